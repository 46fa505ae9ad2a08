/** Savepoints beside checkpoints: self-contained, whole or not there at all, and without effect on anything else. */
import { Buffer } from 'node:buffer'
import { describe, expect, it } from 'vitest'
import { objectsOf } from '../../src/checkpoint/completed-checkpoint.js'
import { openSnapshot } from '../../src/restore/snapshot-location.js'
import { CheckpointStorage } from '../../src/storage/checkpoint-storage.js'
import { MemoryObjectStore } from '../../src/storage/memory-object-store.js'
import { bodyOfBytes, type ObjectStore } from '../../src/storage/object-store.js'
import { FaultObjectStore } from '../support/fault-object-store.js'
import {
  attempt,
  expectWhole,
  OPERATOR_ID,
  RemoteTask,
  settle,
  statuses,
  TIMEOUT_MS,
} from './attempt.js'
import { gate } from './fake-task.js'
import { namedObjects, storedObjects } from './stored-objects.js'

const invalid = expect.objectContaining({ code: 'INVALID_ARGUMENT' }) as Error

async function begun(options: Parameters<typeof attempt>[0] = {}) {
  const running = attempt({ rebaseEvery: 100, ...options })
  await running.begin()
  const { coordinator } = running
  const savepoint = (folder?: string) => coordinator.triggerSavepoint('host', { folder })
  const inFolder = async (folder: string) =>
    (await storedObjects(running.objectStore)).filter((key) => key.startsWith(`${folder}/`))
  return { ...running, savepoint, inFolder }
}

async function copyFolder(from: ObjectStore, folder: string, to: ObjectStore, prefix: string) {
  for await (const { key } of from.list(`${folder}/`)) {
    const chunks: Uint8Array[] = []
    for await (const chunk of await from.get(key)) chunks.push(chunk)
    await to.put(prefix + key.slice(folder.length + 1), bodyOfBytes(Buffer.concat(chunks)))
  }
}

describe('a savepoint', () => {
  it('consists of all it names, in one folder, and names nothing outside', async () => {
    const { coordinator, savepoint, inFolder, objectStore } = await begun()
    await coordinator.triggerCheckpoint(null)
    expect(await savepoint('by-hand/one')).toMatchObject({
      status: 'completed',
      snapshotType: 'savepoint',
      savepointFolder: 'by-hand/one',
      checkpointId: 2,
    })
    const checkpoint = await expectWhole(objectStore, 'by-hand/one')
    expect(checkpoint).toMatchObject({ snapshotType: 'savepoint', hostData: 'host', epoch: 1 })
    const { shared, exclusive } = objectsOf(checkpoint)
    const named = [...shared, ...exclusive, '_metadata'].map((name) => `by-hand/one/${name}`)
    expect(await inFolder('by-hand/one')).toEqual(named.sort())
  })

  it('goes to a folder of its own where none is named', async () => {
    const { savepoint, storage, objectStore } = await begun()
    const [first, second] = [await savepoint(), await savepoint()]
    for (const { savepointFolder } of [first, second]) {
      expect(savepointFolder).toMatch(/^savepoints\/job-[12]-/)
      await expectWhole(objectStore, savepointFolder ?? '')
    }
    expect(await storage.listCheckpoints(), 'outside the folder of the job').toEqual([])
  })

  it.each(['job', 'job/savepoint', 'job/chk-7', '', '/', 'a//b', '../a', 'a/'])(
    'is refused the folder %j, and no task is asked',
    async (folder) => {
      const { savepoint, told, coordinator } = await begun()
      expect(() => savepoint(folder)).toThrow(invalid)
      expect(told).toEqual([])
      expect(await coordinator.triggerCheckpoint(null)).toMatchObject({ checkpointId: 1 })
    },
  )

  it('may lie in a folder whose name begins as the job’s', async () => {
    const { savepoint, objectStore } = await begun()
    await savepoint('job-savepoints/1')
    await expectWhole(objectStore, 'job-savepoints/1')
  })

  it('no job may be called as the folder of all savepoints is', () => {
    const objectStore = new MemoryObjectStore()
    expect(() => new CheckpointStorage(objectStore, { jobId: 'savepoints' })).toThrow(invalid)
  })

  it('H5: is never retained, and pushes no checkpoint out', async () => {
    const { coordinator, savepoint, storage, objectStore, told, inFolder } = await begun()
    await coordinator.triggerCheckpoint(null)
    for (const folder of ['one', 'two', 'three']) await savepoint(folder)
    expect(await storage.listCheckpoints()).toEqual([1])
    expect(coordinator.lastCompletedCheckpointId).toBe(1)
    for (let count = 0; count < 4; count++) await coordinator.triggerCheckpoint(null)
    for (const folder of ['one', 'two', 'three']) {
      await expectWhole(objectStore, folder)
      expect(await inFolder(folder)).toHaveLength(5)
    }
    expect(
      told.filter((text) => /complete [234]/.test(text)),
      'tasks hear nothing',
    ).toEqual([])
  })

  it('C1: is no base: the next checkpoint is incremental as before, and names nothing of it', async () => {
    const { coordinator, savepoint, storage, objectStore, task } = await begun()
    await coordinator.triggerCheckpoint(null)
    await savepoint('one')
    await coordinator.triggerCheckpoint(null)
    expect(task(0).lastCompletedIds).toEqual([undefined, undefined, 1])
    const checkpoint = await expectWhole(objectStore, 'job/chk-3')
    const chain = checkpoint.operators[0]?.subtasks[0]?.keyedStateHandle?.sharedState
    expect(chain, 'the table of checkpoint 1 and one more').toHaveLength(2)
    const { shared } = objectsOf(checkpoint)
    expect(shared.every((location) => location.startsWith('shared/'))).toBe(true)
    const jobs = (await storedObjects(objectStore)).filter((key) => key.startsWith('job/'))
    expect(jobs).toEqual(await namedObjects(storage))
  })

  it('is taken while checkpoints are in flight, which are completed around it', async () => {
    const { coordinator, savepoint, task, events } = await begun()
    const slow = gate()
    task(0).beforeAcknowledge = (id) => (id === 2 ? slow.promise : Promise.resolve())
    await coordinator.triggerCheckpoint(null)
    const taken = savepoint('one')
    expect(coordinator.canTrigger).toBe(true)
    await coordinator.triggerCheckpoint(null)
    slow.open()
    expect(await taken).toMatchObject({ status: 'completed' })
    expect(statuses(events), 'a newer checkpoint does not subsume it').toEqual(['1', '3', '2'])
  })

  it('at most 8 are in flight', async () => {
    const { savepoint, task, coordinator } = await begun()
    const slow = gate()
    task(0).beforeAcknowledge = () => slow.promise
    for (let count = 0; count < 8; count++) void savepoint()
    expect(() => savepoint()).toThrow(expect.objectContaining({ code: 'CHECKPOINT_FAILED' }))
    slow.open()
    await coordinator.idle()
    expect(await savepoint()).toMatchObject({ status: 'completed' })
  })

  it('can be copied to another store and prefix, the copy restored, and the original deleted', async () => {
    const { savepoint, objectStore, inFolder } = await begun()
    await savepoint('one')
    const copies: [ObjectStore, string][] = []
    for (const [prefix, folder] of [
      ['deep/down/', 'deep/down'],
      ['', ''],
    ] as const) {
      const elsewhere = new MemoryObjectStore()
      await copyFolder(objectStore, 'one', elsewhere, prefix)
      await expectWhole(elsewhere, folder)
      const snapshot = await openSnapshot(elsewhere, `${prefix}_metadata`)
      const restored = await attempt({ objectStore: elsewhere, jobId: 'new' }).begin({ snapshot })
      expect(restored?.checkpoint.hostData).toBe('host')
      copies.push([elsewhere, folder])
    }
    await objectStore.delete(await inFolder('one'))
    for (const [elsewhere, folder] of copies) await expectWhole(elsewhere, folder)
  })
})

describe('a savepoint that fails leaves nothing, harms nothing and fails no job:', () => {
  it('in a folder that is used already, whose savepoint stays whole', async () => {
    const { savepoint, inFolder, objectStore, failures } = await begun()
    await savepoint('one')
    const before = await inFolder('one')
    expect(await savepoint('one')).toMatchObject({
      status: 'aborted',
      reason: 'not-published',
      savepointFolder: 'one',
      cause: expect.objectContaining({ code: 'OBJECT_EXISTS' }) as unknown,
    })
    expect(await inFolder('one')).toEqual(before)
    await expectWhole(objectStore, 'one')
    expect(failures).toEqual([])
  })

  it('one of two into one folder at the same time', async () => {
    const { savepoint, inFolder, objectStore, events } = await begun()
    await Promise.all([savepoint('one'), savepoint('one')])
    expect(statuses(events).sort()).toEqual(['1', '2 not-published'])
    await expectWhole(objectStore, 'one')
    expect(await inFolder('one')).toHaveLength(5)
  })

  it('one that is declined, with the tasks told', async () => {
    const { coordinator, savepoint, task, failures, objectStore, told } = await begun({
      tolerableFailedCheckpoints: 0,
    })
    task(1).beforeAcknowledge = async () => {
      await settle()
      throw new Error('no')
    }
    expect(await savepoint('one')).toMatchObject({ reason: 'declined' })
    expect(await storedObjects(objectStore)).toEqual([])
    expect(told.slice(2)).toEqual(['a aborted 1', 'b aborted 1'])
    expect(failures).toEqual([])
    task(1).beforeAcknowledge = () => Promise.resolve()
    expect(await coordinator.triggerCheckpoint(null)).toMatchObject({ status: 'completed' })
  })

  it('one that expires, and what comes late by message is removed', async () => {
    const running = attempt()
    const remotes: RemoteTask[] = []
    await running.begin({}, (task) => {
      remotes.push(new RemoteTask(task))
      return remotes.at(-1) ?? task
    })
    const { coordinator, clock, objectStore } = running
    const acknowledge = async (subtaskIndex: number) => {
      const result = await remotes[subtaskIndex]?.perform(1)
      if (result === undefined) throw new Error('there is such a task')
      const message = { checkpointId: 1, operatorId: OPERATOR_ID, subtaskIndex, result }
      return coordinator.acknowledgeCheckpoint(message)
    }
    const taken = coordinator.triggerSavepoint(null, { folder: 'one' })
    expect(await acknowledge(0)).toBe('accepted')
    await clock.advance(TIMEOUT_MS)
    expect(await taken).toMatchObject({ reason: 'expired' })
    expect(await storedObjects(objectStore)).toEqual([])
    expect(await acknowledge(1)).toBe('late')
    await coordinator.close()
    expect(await storedObjects(objectStore)).toEqual([])
  })

  it.each(['before', 'after'] as const)(
    'one whose publication fails %s it was done',
    async (fault) => {
      const objectStore = new FaultObjectStore(new MemoryObjectStore())
      const { savepoint, coordinator } = await begun({ objectStore })
      await coordinator.triggerCheckpoint(null)
      objectStore.plan = (operation) => (operation === 'putIfAbsent' ? fault : undefined)
      const before = await storedObjects(objectStore)
      expect(await savepoint('one')).toMatchObject({ reason: 'not-published' })
      expect(await storedObjects(objectStore)).toEqual(before)
    },
  )

  it('one that cannot be removed is a warning that names the folder', async () => {
    const objectStore = new FaultObjectStore(new MemoryObjectStore())
    const { savepoint, task, warnings } = await begun({ objectStore })
    task(1).beforeAcknowledge = async () => {
      await settle()
      throw new Error('no')
    }
    objectStore.plan = (operation) => (operation === 'delete' ? 'before' : undefined)
    await savepoint('one')
    expect(warnings).toMatchObject([{ code: 'STORAGE_FAILED' }])
    expect(warnings[0]?.message).toContain('one')
  })

  it('one that is in flight when the coordinator is closed', async () => {
    const { coordinator, savepoint, task, objectStore } = await begun()
    const slow = gate()
    task(0).beforeAcknowledge = () => slow.promise
    const taken = savepoint('one')
    await settle()
    const closed = coordinator.close()
    slow.open()
    await closed
    expect(await taken).toMatchObject({ reason: 'closed' })
    expect(await storedObjects(objectStore)).toEqual([])
  })
})

describe('a savepoint that the job ends with', () => {
  it('is told to the tasks, after the abort of the checkpoints that are older', async () => {
    const { coordinator, task, told, events } = await begun({ concurrentCheckpointsMax: 2 })
    const slow = gate()
    task(0).beforeAcknowledge = (id) => (id === 1 ? slow.promise : Promise.resolve())
    void coordinator.triggerCheckpoint(null)
    await coordinator.triggerSavepoint(null, { folder: 'one', stop: true })
    expect(statuses(events)).toEqual(['1 subsumed', '2'])
    const ends = told.filter((text) => text.startsWith('a ') && !text.includes('snapshot'))
    expect(ends).toEqual(['a aborted 1', 'a complete 2'])
    slow.open()
  })

  it('leaves what is in flight alone when it fails', async () => {
    const { coordinator, task, events } = await begun()
    const slow = gate()
    task(0).beforeAcknowledge = (id) => (id === 1 ? slow.promise : Promise.reject(new Error('no')))
    const checkpoint = coordinator.triggerCheckpoint(null)
    await coordinator.triggerSavepoint(null, { folder: 'one', stop: true })
    slow.open()
    await checkpoint
    expect(statuses(events)).toEqual(['2 declined', '1'])
  })
})
