/** A newest checkpoint that is damaged: reported with the object's name, or passed over when that was asked for. */
import { Buffer } from 'node:buffer'
import { describe, expect, it } from 'vitest'
import { objectsOf } from '../../src/checkpoint/completed-checkpoint.js'
import { HashMapStateBackend } from '../../src/hash-map-state-backend.js'
import { MemoryObjectStore } from '../../src/storage/memory-object-store.js'
import { bodyOfBytes } from '../../src/storage/object-store.js'
import { FaultObjectStore } from '../support/fault-object-store.js'
import { SMALL_MEMORY_BYTES } from '../support/state-task.js'
import { attempt, expectWhole } from './attempt.js'
import { collectInto, countingJob, expectedResults, numbers, type Results } from './counting-job.js'
import { namedObjects, storedObjects } from './stored-objects.js'

/** Three retained checkpoints, each standing alone. */
async function withThree() {
  const memory = new MemoryObjectStore()
  const objectStore = new FaultObjectStore(memory)
  const first = attempt({ objectStore, retainedCheckpointsMax: 3, rebaseEvery: 1 })
  await first.begin()
  for (let id = 1; id <= 3; id++) await first.coordinator.triggerCheckpoint(`position ${id}`)
  await first.coordinator.close()
  const bytesOf = async (key: string): Promise<Buffer> => {
    const chunks: Uint8Array[] = []
    for await (const chunk of await memory.get(key)) chunks.push(chunk)
    return Buffer.concat(chunks)
  }
  /** Returns the location of what was damaged. */
  const damage = async (id: number, how: Damage): Promise<string> => {
    const metadata = `job/chk-${id}/_metadata`
    const checkpoint = await expectWhole(memory, `job/chk-${id}`)
    const [table = ''] = objectsOf(checkpoint).shared
    const [meta = ''] = objectsOf(checkpoint).exclusive
    if (how === 'its _metadata is cut') {
      await memory.put(metadata, bodyOfBytes((await bytesOf(metadata)).subarray(0, -1)))
      return metadata
    }
    if (how === 'a table is gone') {
      await memory.delete([`job/${table}`])
      return table
    }
    const location = how === 'a byte of a table is another' ? table : meta
    const bytes = await bytesOf(`job/${location}`)
    bytes[0] = (bytes[0] ?? 0) ^ 1
    await memory.put(`job/${location}`, bodyOfBytes(bytes))
    return location
  }
  return { objectStore, damage }
}

type Damage =
  | 'its _metadata is cut'
  | 'a table is gone'
  | 'a byte of a table is another'
  | 'a byte of its meta information is another'

const damages: [Damage, string][] = [
  ['its _metadata is cut', 'METADATA_DAMAGED'],
  ['a table is gone', 'OBJECT_MISSING'],
  ['a byte of a table is another', 'OBJECT_DAMAGED'],
  ['a byte of its meta information is another', 'OBJECT_DAMAGED'],
]

describe('walkBack', () => {
  it.each(damages)(
    'V2: passes over a newest checkpoint when %s, and says so',
    async (how, code) => {
      const { objectStore, damage } = await withThree()
      const location = await damage(3, how)
      const job = attempt({ objectStore })
      const restored = await job.begin({ walkBack: true })
      expect(restored?.checkpoint.hostData).toBe('position 2')
      const [warning] = job.warnings
      expect(warning).toMatchObject({ code, details: { checkpointId: 3 } })
      expect(warning?.message).toContain('PASSED OVER')
      if (how !== 'its _metadata is cut') expect(warning?.message).toContain(location)
      expect(await job.coordinator.triggerCheckpoint('after')).toMatchObject({ checkpointId: 4 })
      await expectWhole(objectStore, 'job/chk-4')
      expect((await attempt({ objectStore }).begin())?.checkpoint.hostData).toBe('after')
    },
  )

  it('goes back as far as it must', async () => {
    const { objectStore, damage } = await withThree()
    await damage(3, 'a table is gone')
    await damage(2, 'its _metadata is cut')
    const job = attempt({ objectStore })
    expect((await job.begin({ walkBack: true }))?.checkpoint.hostData).toBe('position 1')
    expect(job.warnings.filter(({ message }) => message.includes('PASSED OVER'))).toHaveLength(2)
    await job.coordinator.triggerCheckpoint(null)
    await expectWhole(objectStore, 'job/chk-4')
  })

  it('passes over nothing when the newest is whole', async () => {
    const { objectStore, damage } = await withThree()
    await damage(2, 'a table is gone')
    const job = attempt({ objectStore })
    expect((await job.begin({ walkBack: true }))?.checkpoint.hostData).toBe('position 3')
    expect(job.warnings).toEqual([])
  })

  it('rejects when none is whole, with what is wrong with the newest, and does not start empty', async () => {
    const { objectStore, damage } = await withThree()
    await damage(3, 'a byte of a table is another')
    await damage(2, 'a table is gone')
    await damage(1, 'its _metadata is cut')
    const before = await storedObjects(objectStore)
    const job = attempt({ objectStore })
    await expect(job.begin({ walkBack: true })).rejects.toMatchObject({
      code: 'OBJECT_DAMAGED',
      details: { checkpointId: 3 },
    })
    expect(await storedObjects(objectStore)).toEqual(before)
  })

  it('starts empty where there never was a checkpoint', async () => {
    const job = attempt()
    expect(await job.begin({ walkBack: true })).toBeUndefined()
    expect(job.warnings).toEqual([])
  })

  it('goes back from the checkpoint that was named', async () => {
    const { objectStore, damage } = await withThree()
    await damage(2, 'a table is gone')
    const job = attempt({ objectStore })
    const restored = await job.begin({ checkpointId: 2, walkBack: true })
    expect(restored?.checkpoint.hostData).toBe('position 1')
  })

  it('takes storage that fails for no damage: it rejects, and passes over nothing', async () => {
    const { objectStore } = await withThree()
    objectStore.plan = (operation, key) =>
      operation === 'get' && key.includes('shared/') ? 'before' : undefined
    const job = attempt({ objectStore })
    await expect(job.begin({ walkBack: true })).rejects.toMatchObject({ code: 'STORAGE_FAILED' })
    expect(job.warnings).toEqual([])
    objectStore.heal()
    expect((await job.begin({ walkBack: true }))?.checkpoint.hostData).toBe('position 3')
  })

  it('what was passed over is subsumed like others: nothing of it is left', async () => {
    const { objectStore, damage } = await withThree()
    await damage(3, 'a byte of a table is another')
    const job = attempt({ objectStore })
    await job.begin({ walkBack: true })
    await job.coordinator.triggerCheckpoint(null)
    expect(await job.storage.listCheckpoints()).toEqual([4])
    expect(await storedObjects(objectStore)).toEqual(await namedObjects(job.storage))
  })
})

describe('without walkBack', () => {
  it('a newest _metadata that is damaged is reported, and nothing is passed over', async () => {
    const { objectStore, damage } = await withThree()
    await damage(3, 'its _metadata is cut')
    const job = attempt({ objectStore })
    await expect(job.begin()).rejects.toMatchObject({
      code: 'METADATA_DAMAGED',
      message: expect.stringContaining('checkpoint 3') as string,
    })
    await expect(job.begin({ checkpointId: 3 })).rejects.toMatchObject({ code: 'METADATA_DAMAGED' })
    expect((await job.begin({ checkpointId: 2 }))?.checkpoint.hostData).toBe('position 2')
  })

  it('a job whose newest checkpoint has a damaged table rejects with its name; walkBack counts every record once', async () => {
    const objectStore = new MemoryObjectStore()
    const job = (results: Results) => {
      const stateBackend = new HashMapStateBackend({ memory: SMALL_MEMORY_BYTES })
      const checkpoints = { everyRecords: 20, retainedCheckpointsMax: 3 }
      const running = countingJob({ objectStore, stateBackend, source: numbers(50), checkpoints })
      return { running, scan: collectInto(results) }
    }
    await job({}).running.run()
    const newest = objectsOf(await expectWhole(objectStore, 'job/chk-3')).shared
    const older = objectsOf(await expectWhole(objectStore, 'job/chk-2')).shared
    const [location] = newest.filter((each) => !older.includes(each))
    await objectStore.put(`job/${location}`, bodyOfBytes(Buffer.from('not what it was')))
    await expect(job({}).running.run()).rejects.toMatchObject({
      code: 'OBJECT_DAMAGED',
      message: expect.stringContaining(location ?? 'a table') as string,
    })
    const results: Results = {}
    const { running, scan } = job(results)
    const summary = await running.run({ restore: { walkBack: true }, scan })
    expect(summary.restoredCheckpointId).toBe(2)
    expect(results).toEqual(expectedResults(50))
  })
})
