import { Buffer } from 'node:buffer'
import { mkdir, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { beforeEach, describe, expect, it } from 'vitest'
import {
  deleteOrphans,
  findOrphans,
  type FindOrphansOptions,
  type OrphanReport,
} from '../../src/restore/orphans.js'
import { CheckpointStorage } from '../../src/storage/checkpoint-storage.js'
import { DirectoryObjectStore } from '../../src/storage/directory-object-store.js'
import { MemoryObjectStore } from '../../src/storage/memory-object-store.js'
import { bodyOfBytes, type ObjectStore } from '../../src/storage/object-store.js'
import { FaultObjectStore } from '../support/fault-object-store.js'
import { ManualClock } from '../support/manual-clock.js'
import { temporaryDirectory } from '../support/state-task.js'
import { exclusiveName, metadataOf, publish, putObjects, sharedName } from './orphans-fixture.js'

const dayMs = 24 * 60 * 60 * 1000

describe('findOrphans and deleteOrphans', () => {
  let clock: ManualClock
  let store: FaultObjectStore
  let storage: CheckpointStorage
  beforeEach(() => {
    clock = new ManualClock()
    store = new FaultObjectStore(new MemoryObjectStore({ clock }))
    storage = new CheckpointStorage(store, { jobId: 'job' })
  })

  const find = (options: FindOrphansOptions = {}): Promise<OrphanReport> =>
    findOrphans(storage, { clock, ...options })

  async function stored(): Promise<string[]> {
    const keys: string[] = []
    for await (const { key } of store.list('')) keys.push(key)
    return keys
  }

  /** Checkpoint 5 names shared 1 and 2 and its own 1; shared 3, chk-4 and epoch 1 are left over. */
  async function leaveOrphans(): Promise<void> {
    await putObjects(store, [sharedName(1), sharedName(2), sharedName(3)])
    await putObjects(store, [exclusiveName(4, 1), exclusiveName(5, 1), 'epochs/1', 'epochs/2'])
    await publish(store, 5, [sharedName(1), sharedName(2)], exclusiveName(5, 1))
    await clock.advance(dayMs)
  }
  const needed = [
    exclusiveName(5, 1),
    'chk-5/_metadata',
    'epochs/2',
    sharedName(1),
    sharedName(2),
  ].map((location) => `job/${location}`)
  const orphans = [exclusiveName(4, 1), 'epochs/1', sharedName(3)]

  it('finds nothing where nothing is', async () => {
    expect(await find()).toEqual({
      jobId: 'job',
      checkedAtMs: 0,
      minAgeMs: dayMs,
      checkpointIds: [],
      unreadableCheckpoints: [],
      objects: [],
      unfinished: [],
      orphanBytes: 0,
      complete: true,
    })
    expect(await deleteOrphans(storage, await find())).toEqual({
      deletedObjects: 0,
      deletedUploads: 0,
      deletedBytes: 0,
      spared: [],
    })
  })

  it('classifies everything below the job and nothing beside it, deletes nothing, and then deletes the orphans', async () => {
    await leaveOrphans()
    for (const key of ['other/shared/x', `jobs/${sharedName(3)}`, `job2/${sharedName(3)}`]) {
      await store.put(key, bodyOfBytes(Buffer.from('x')))
    }
    await clock.advance(dayMs)
    const before = await stored()
    const report = await find()
    expect(await stored()).toEqual(before)
    expect(report.checkpointIds).toEqual([5])
    expect(report.objects.map(({ location }) => `job/${location}`)).toEqual(
      before.filter((key) => key.startsWith('job/')),
    )
    const found = report.objects.filter((object) => object.class === 'orphan')
    expect(found.map(({ location }) => location)).toEqual(orphans)
    expect(report.orphanBytes).toBe(orphans.join('').length)
    expect(report.objects.filter((object) => object.class === 'live').length).toBe(needed.length)

    expect(await deleteOrphans(storage, report)).toEqual({
      deletedObjects: 3,
      deletedUploads: 0,
      deletedBytes: report.orphanBytes,
      spared: [],
    })
    expect((await stored()).filter((key) => key.startsWith('job/'))).toEqual(needed)
    expect((await stored()).length).toBe(needed.length + 3)
    expect((await find()).orphanBytes).toBe(0)
  })

  it('survives JSON, and a second deletion by the same report', async () => {
    await leaveOrphans()
    const report = JSON.parse(JSON.stringify(await find())) as OrphanReport
    await deleteOrphans(storage, report)
    await deleteOrphans(storage, report)
    expect(await stored()).toEqual(needed)
  })

  it('measures ages against the default of a day, and against what is asked for', async () => {
    await leaveOrphans()
    await putObjects(store, [sharedName(4)])
    await clock.advance(dayMs - 1)
    const classOf = ({ objects }: OrphanReport): string | undefined =>
      objects.find(({ location }) => location === sharedName(4))?.class
    expect(classOf(await find())).toBe('pending')
    expect(classOf(await find({ minAgeMs: dayMs - 1 }))).toBe('orphan')
    await clock.advance(1)
    expect(classOf(await find())).toBe('orphan')
    expect(classOf(await find({ minAgeMs: 0 }))).toBe('orphan')
  })

  it.each([-1, NaN, Infinity])('refuses a minimum age of %d', async (minAgeMs) => {
    await expect(find({ minAgeMs })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
  })

  it.each([
    ['damaged', () => Buffer.from('?'), 'METADATA_DAMAGED'],
    ['of an unknown version', () => newerVersion(), 'METADATA_VERSION_UNKNOWN'],
  ])(
    'G3: spares shared state beside a checkpoint that is %s, and names it',
    async (_, bytes, code) => {
      await leaveOrphans()
      await putObjects(store, [exclusiveName(3, 1)])
      await store.put('job/chk-3/_metadata', bodyOfBytes(bytes()))
      await clock.advance(dayMs)
      const report = await find()
      expect(report.checkpointIds).toEqual([3, 5])
      expect(report.unreadableCheckpoints).toMatchObject([{ checkpointId: 3, code }])
      const spared = report.objects.filter((object) => object.class === 'pending')
      expect(spared.map(({ location }) => location)).toEqual([exclusiveName(3, 1), sharedName(3)])
      expect(spared.every(({ reason }) => reason.startsWith('checkpoint 3 cannot be read'))).toBe(
        true,
      )
      await deleteOrphans(storage, report)
      expect(await stored()).toEqual(expect.arrayContaining([...needed, `job/${sharedName(3)}`]))
    },
  )

  it('G3: takes a checkpoint that storage does not give for unreadable', async () => {
    await leaveOrphans()
    store.plan = (_, key) => (key.endsWith('_metadata') ? 'before' : undefined)
    const report = await find()
    expect(report.unreadableCheckpoints).toMatchObject([
      { checkpointId: 5, code: 'STORAGE_FAILED' },
    ])
    const found = report.objects.filter((object) => object.class === 'orphan')
    expect(found.map(({ location }) => location)).toEqual([exclusiveName(4, 1), 'epochs/1'])
  })

  it('reads the names of a savepoint that was moved here relative to its own folder', async () => {
    await putObjects(store, [exclusiveName(5, 1)])
    const bytes = metadataOf(
      5,
      [exclusiveName(5, 1).slice('chk-5/'.length)],
      undefined,
      'savepoint',
    )
    await store.put('job/chk-5/_metadata', bodyOfBytes(bytes))
    await clock.advance(dayMs)
    expect((await find()).objects.map((object) => object.class)).toEqual(['live', 'live'])
  })

  describe('beside a running job', () => {
    it('G5: finds live what a checkpoint names that is completed while the others are read', async () => {
      await leaveOrphans()
      let read = false
      store.plan = async (operation) => {
        if (operation !== 'get' || read) return undefined
        read = true
        await publish(store, 6, [sharedName(3)])
        await store.delete(['job/chk-5/_metadata'])
        return undefined
      }
      const report = await find()
      // 5 was deleted before it could be read: what 6 took over from it is live all the same.
      expect(report.checkpointIds).toEqual([6])
      const of = (location: string) => report.objects.find((each) => each.location === location)
      expect(of(sharedName(3))).toMatchObject({ class: 'live', reason: 'checkpoint 6 names it' })
    })

    it('gives up when checkpoints never come to rest', async () => {
      await leaveOrphans()
      let id = 5
      store.plan = async (operation) => {
        if (operation === 'get') await publish(store, ++id, [])
        return undefined
      }
      await expect(find()).rejects.toMatchObject({ code: 'STORAGE_FAILED', kind: 'unavailable' })
      expect(id).toBe(5 + 16)
    })

    it('G6: spares what a checkpoint names that was completed after the report', async () => {
      await leaveOrphans()
      const report = await find()
      await publish(store, 6, [sharedName(3), sharedName(1)])
      expect(await deleteOrphans(storage, report)).toMatchObject({
        deletedObjects: 2,
        spared: [{ location: sharedName(3), reason: 'checkpoint 6 names it' }],
      })
      expect(await stored()).toContain(`job/${sharedName(3)}`)
    })

    it('G6: looks again before every batch', async () => {
      const all = Array.from({ length: 2500 }, (_, n) => sharedName(n))
      await putObjects(store, all)
      await clock.advance(dayMs)
      const report = await find()
      let deletions = 0
      store.plan = async (operation) => {
        if (operation === 'delete' && ++deletions === 1) await publish(store, 6, all)
        return undefined
      }
      const deleted = await deleteOrphans(storage, report)
      expect(deleted.deletedObjects).toBe(1000)
      expect(deleted.spared.length).toBe(1500)
      expect((await stored()).length).toBe(1501)
    })

    it('G6: spares shared state when a checkpoint that appeared cannot be read', async () => {
      await leaveOrphans()
      const report = await find()
      await store.put('job/chk-6/_metadata', bodyOfBytes(Buffer.from('?')))
      const { spared } = await deleteOrphans(storage, report)
      expect(spared).toEqual([
        { location: sharedName(3), reason: 'checkpoint 6 cannot be read, and may name it' },
      ])
    })
  })

  it('deletes nothing that a changed report calls an orphan', async () => {
    await leaveOrphans()
    await putObjects(store, ['README.txt'])
    const report = await find()
    const objects = report.objects.map((object) => ({ ...object, class: 'orphan' as const }))
    await deleteOrphans(storage, { ...report, objects })
    expect(await stored()).toEqual(['job/README.txt', ...needed])
  })

  it('reports as much as it may hold, and comes to the end by deleting and looking again', async () => {
    await leaveOrphans()
    const report = await find({ objectsMax: 3 })
    expect(report.complete).toBe(false)
    expect(report.objects.length).toBe(3)
    expect((await find({ objectsMax: 8 })).complete).toBe(true)
    for (let rounds = 0; rounds < 3; rounds++) {
      await deleteOrphans(storage, await find({ objectsMax: 6 }))
    }
    expect(await stored()).toEqual(needed)
    await expect(find({ objectsMax: 0 })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
  })

  it('refuses the report of another job', async () => {
    const report = await findOrphans(new CheckpointStorage(store, { jobId: 'other' }), { clock })
    await expect(deleteOrphans(storage, report)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
  })

  it('stops at an aborted signal, in finding and in deleting', async () => {
    await leaveOrphans()
    const report = await find()
    const before = await stored()
    const controller = new AbortController()
    store.plan = (operation) => {
      if (operation === 'get') controller.abort()
      return operation === 'get' ? 'before' : undefined
    }
    const { signal } = controller
    const aborted = { code: 'SNAPSHOT_ABORTED' }
    await expect(find({ signal })).rejects.toMatchObject(aborted)
    await expect(deleteOrphans(storage, report, { signal })).rejects.toMatchObject(aborted)
    expect(await stored()).toEqual(before)
  })

  it('says what a deletion failed of, and is finished by a repetition', async () => {
    await leaveOrphans()
    const report = await find()
    store.plan = (operation) => (operation === 'delete' ? 'before' : undefined)
    await expect(deleteOrphans(storage, report)).rejects.toMatchObject({ code: 'STORAGE_FAILED' })
    store.heal()
    await deleteOrphans(storage, report)
    expect(await stored()).toEqual(needed)
  })

  it('leaves every checkpoint whole and no orphan, whatever is in storage', async () => {
    const n = fc.integer({ min: 0, max: 8 })
    const checkpoint = fc.record({ id: fc.integer({ min: 1, max: 4 }), shared: fc.uniqueArray(n) })
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(n),
        fc.uniqueArray(checkpoint, { selector: ({ id }) => id }),
        fc.uniqueArray(checkpoint, { selector: ({ id }) => id }),
        async (others, before, after) => {
          const memory: ObjectStore = new MemoryObjectStore({ clock })
          const job = new CheckpointStorage(memory, { jobId: 'job' })
          const publishAll = async (all: typeof before, above: number): Promise<string[]> => {
            for (const { id, shared } of all)
              await publish(memory, above + id, shared.map(sharedName))
            return all.flatMap(({ shared }) => shared.map(sharedName))
          }
          const named = [...before, ...after].flatMap(({ shared }) => shared.map(sharedName))
          await putObjects(memory, [...named, ...others.map(sharedName)])
          await publishAll(before, 0)
          await clock.advance(dayMs)
          const report = await findOrphans(job, { clock })
          await publishAll(after, 4)
          await deleteOrphans(job, report)
          const locations: string[] = []
          for await (const { location } of job.listObjects()) locations.push(location)
          expect(locations).toEqual(expect.arrayContaining(named))
          const left = await findOrphans(job, { clock })
          expect(left.objects.filter((object) => object.class !== 'live')).toEqual([])
        },
      ),
      { numRuns: 60 },
    )
  })

  describe('unfinished uploads', () => {
    async function crashed(): Promise<{ directory: CheckpointStorage; pending: string }> {
      const root = temporaryDirectory()
      const pending = join(root, '.pending')
      await mkdir(pending)
      for (const name of ['old', 'resumed', 'young']) await writeFile(join(pending, name), name)
      for (const name of ['old', 'resumed']) await utimes(join(pending, name), 1, 1)
      await utimes(join(pending, 'young'), 1, 2 * dayMs)
      await clock.advance(dayMs + 1000)
      const objectStore = new DirectoryObjectStore(root)
      return { directory: new CheckpointStorage(objectStore, { jobId: 'job' }), pending }
    }

    it('are orphans when nobody wrote to them for so long, and stay when somebody did since', async () => {
      const { directory, pending } = await crashed()
      const report = await findOrphans(directory, { clock })
      const classes = report.unfinished.map((upload) => `${upload.id} ${upload.class}`).sort()
      expect(classes).toEqual(['old orphan', 'resumed orphan', 'young pending'])
      expect(report.orphanBytes).toBe('oldresumed'.length)
      await utimes(join(pending, 'resumed'), 2, 2)
      const deleted = { deletedObjects: 0, deletedUploads: 1, deletedBytes: 3 }
      expect(await deleteOrphans(directory, report)).toMatchObject(deleted)
      const left = (await findOrphans(directory, { clock })).unfinished.map(({ id }) => id)
      expect(left.sort()).toEqual(['resumed', 'young'])
    })
  })
})

/** A `_metadata` of a format that is to come. */
function newerVersion(): Buffer {
  const bytes = metadataOf(3, [])
  bytes.writeUInt32LE(99, 8)
  return bytes
}
