/** Restoring what is not the newest checkpoint of the job: savepoints and other jobs' checkpoints, claimed or not, and older ones of its own. */
import { describe, expect, it } from 'vitest'
import { objectsOf } from '../../src/checkpoint/completed-checkpoint.js'
import { HashMapStateBackend } from '../../src/hash-map-state-backend.js'
import type { CheckpointEvent } from '../../src/host/checkpoint-events.js'
import type { ClaimMode, RestoreSource } from '../../src/host/checkpoint-selection.js'
import { LevelDBStateBackend } from '../../src/leveldb-state-backend.js'
import { openSnapshot } from '../../src/restore/snapshot-location.js'
import type { StateBackend } from '../../src/state-backend.js'
import { CheckpointStorage } from '../../src/storage/checkpoint-storage.js'
import { MemoryObjectStore } from '../../src/storage/memory-object-store.js'
import { FaultObjectStore } from '../support/fault-object-store.js'
import { SMALL_MEMORY_BYTES, temporaryDirectory } from '../support/state-task.js'
import { attempt, expectWhole, statuses, type Attempt } from './attempt.js'
import { collectInto, countingJob, expectedResults, numbers, type Results } from './counting-job.js'
import { namedObjects, storedObjects } from './stored-objects.js'

/** Another job, ended, with three retained checkpoints and a savepoint: 'other/chk-1' to 'other/chk-3', and 'saved'. */
async function otherJob(objectStore = new FaultObjectStore(new MemoryObjectStore())) {
  const other = attempt({
    objectStore,
    jobId: 'other',
    retainedCheckpointsMax: 3,
    rebaseEvery: 100,
  })
  await other.begin()
  for (let id = 1; id <= 3; id++) await other.coordinator.triggerCheckpoint(`other ${id}`)
  await other.coordinator.triggerSavepoint('saved', { folder: 'saved' })
  await other.coordinator.close()
  return { other, objectStore, theirs: await storedObjects(objectStore) }
}

async function restoredFrom(
  objectStore: FaultObjectStore,
  pointer: string,
  claimMode: ClaimMode | undefined,
  retainedCheckpointsMax = 1,
) {
  const job = attempt({ objectStore, retainedCheckpointsMax })
  const snapshot = await openSnapshot(objectStore, pointer)
  const restored = await job.begin({ snapshot, claimMode })
  const checkpoint = (): Promise<CheckpointEvent> => job.coordinator.triggerCheckpoint(null)
  return { ...job, restored, checkpoint }
}

/** That every checkpoint the job has is whole and consists of its own objects alone. */
async function expectOwn({ objectStore, storage }: Attempt): Promise<void> {
  for (const id of await storage.listCheckpoints()) {
    const { shared } = objectsOf(await expectWhole(objectStore, `job/chk-${id}`))
    for (const location of shared) expect(location).toMatch(/^shared\//)
  }
}

describe.each([
  ['a savepoint', 'saved'],
  ['another job’s checkpoint', 'other/chk-2'],
])('NO_CLAIM of %s', (_, pointer) => {
  it('C5: never changes or deletes it, and the first checkpoint is full', async () => {
    const { objectStore, theirs } = await otherJob()
    const job = await restoredFrom(objectStore, pointer, undefined)
    expect(job.coordinator.lastCompletedCheckpointId).toBeUndefined()
    const types: string[] = []
    for (let count = 0; count < 4; count++) types.push((await job.checkpoint()).snapshotType)
    expect(types).toEqual(['full-checkpoint', 'checkpoint', 'checkpoint', 'checkpoint'])
    await expectOwn(job)
    const now = await storedObjects(objectStore)
    expect(now.filter((key) => !key.startsWith('job/'))).toEqual(theirs)
    expect(now.filter((key) => key.startsWith('job/'))).toEqual(await namedObjects(job.storage))
  })

  it('asks for full checkpoints until one is completed', async () => {
    const { objectStore } = await otherJob()
    const job = await restoredFrom(objectStore, pointer, 'NO_CLAIM')
    job.task(0).beforeAcknowledge = () => Promise.reject(new Error('no'))
    const types = [(await job.checkpoint()).snapshotType, (await job.checkpoint()).snapshotType]
    job.task(0).beforeAcknowledge = () => Promise.resolve()
    types.push((await job.checkpoint()).snapshotType, (await job.checkpoint()).snapshotType)
    expect(types).toEqual(['full-checkpoint', 'full-checkpoint', 'full-checkpoint', 'checkpoint'])
  })

  it('is not needed any more once a checkpoint is completed', async () => {
    const { objectStore, theirs } = await otherJob()
    const job = await restoredFrom(objectStore, pointer, 'NO_CLAIM')
    await job.checkpoint()
    await objectStore.delete(theirs)
    await job.checkpoint()
    await expectOwn(job)
    const again = attempt({ objectStore })
    expect((await again.begin())?.checkpoint.checkpointId).toBe(
      job.coordinator.lastCompletedCheckpointId,
    )
  })

  it('gives ids above its own and above all in storage', async () => {
    const { objectStore } = await otherJob()
    const job = await restoredFrom(objectStore, pointer, 'NO_CLAIM')
    const restoredId = job.restored?.checkpoint.checkpointId ?? 0
    expect(await job.checkpoint()).toMatchObject({ checkpointId: restoredId + 1 })
    const again = await restoredFrom(objectStore, pointer, 'NO_CLAIM')
    expect(await again.checkpoint()).toMatchObject({ checkpointId: restoredId + 2 })
  })
})

describe('CLAIM', () => {
  it('of a savepoint: it counts as retained, and is deleted whole when it is subsumed', async () => {
    const { objectStore, theirs } = await otherJob()
    const job = await restoredFrom(objectStore, 'saved', 'CLAIM', 2)
    expect(await job.checkpoint()).toMatchObject({ snapshotType: 'checkpoint' })
    await expectWhole(objectStore, 'saved')
    await expectOwn(job)
    await job.checkpoint()
    const now = (await storedObjects(objectStore)).filter((key) => !key.startsWith('job/'))
    expect(now).toEqual(theirs.filter((key) => !key.startsWith('saved/')))
    await expectOwn(job)
  })

  it('of a checkpoint: what its job’s other checkpoints name is kept', async () => {
    const { objectStore } = await otherJob()
    const job = await restoredFrom(objectStore, 'other/chk-2', 'CLAIM')
    await job.checkpoint()
    const ids = await new CheckpointStorage(objectStore, { jobId: 'other' }).listCheckpoints()
    expect(ids).toEqual([1, 3])
    for (const id of ids) await expectWhole(objectStore, `other/chk-${id}`)
    await expectOwn(job)
  })

  it('of the newest checkpoint of a job that is gone: what it alone names goes with it', async () => {
    const { objectStore, other } = await otherJob()
    const before = await storedObjects(objectStore)
    const job = await restoredFrom(objectStore, 'other/chk-3', 'CLAIM')
    await job.checkpoint()
    const now = (await storedObjects(objectStore)).filter((key) => key.startsWith('other/'))
    expect(now).toEqual(await namedObjects(other.storage))
    expect(now.length).toBeLessThan(before.filter((key) => key.startsWith('other/')).length)
  })

  it('keeps all shared state when another checkpoint of that job cannot be read', async () => {
    const { objectStore } = await otherJob()
    objectStore.plan = async (operation, key) => {
      if (operation !== 'get' || key !== 'other/chk-1/_metadata') return undefined
      await objectStore.delete([key])
      return undefined
    }
    const job = await restoredFrom(objectStore, 'other/chk-3', 'CLAIM')
    const shared = async () =>
      (await storedObjects(objectStore)).filter((key) => key.startsWith('other/shared/'))
    const before = await shared()
    await job.checkpoint()
    expect(await shared()).toEqual(before)
  })

  it('that cannot be deleted is a warning, and is tried again', async () => {
    const { objectStore } = await otherJob()
    const job = await restoredFrom(objectStore, 'saved', 'CLAIM')
    objectStore.plan = (operation, key) =>
      operation === 'delete' && key.startsWith('saved/') ? 'before' : undefined
    expect(await job.checkpoint()).toMatchObject({ status: 'completed' })
    expect(job.warnings).toMatchObject([{ code: 'STORAGE_FAILED', details: { folder: 'saved' } }])
    await expectWhole(objectStore, 'saved')
    objectStore.heal()
    await job.checkpoint()
    const now = await storedObjects(objectStore)
    expect(now.filter((key) => key.startsWith('saved/'))).toEqual([])
  })
})

describe('one of the job’s own', () => {
  async function withThree() {
    const objectStore = new MemoryObjectStore()
    const first = attempt({ objectStore, retainedCheckpointsMax: 3, rebaseEvery: 100 })
    await first.begin()
    for (let id = 1; id <= 3; id++) await first.coordinator.triggerCheckpoint(`own ${id}`)
    await first.coordinator.close()
    return objectStore
  }

  it('is refused as a snapshot, and nothing has changed', async () => {
    const objectStore = await withThree()
    const before = await storedObjects(objectStore)
    const job = attempt({ objectStore })
    const snapshot = await openSnapshot(objectStore, 'job/chk-2')
    await expect(job.begin({ snapshot })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
    expect(await storedObjects(objectStore)).toEqual(before)
    expect((await job.begin())?.checkpoint.checkpointId, 'the call may be repeated').toBe(3)
  })

  it('is restored by its id; what is newer goes with the next checkpoint, and ids go on above all', async () => {
    const objectStore = await withThree()
    const job = attempt({ objectStore, rebaseEvery: 100 })
    const restored = await job.begin({ checkpointId: 2 })
    expect(restored?.checkpoint.hostData).toBe('own 2')
    expect(job.coordinator.lastCompletedCheckpointId).toBe(2)
    expect(await job.storage.listCheckpoints(), 'nothing is deleted yet').toEqual([1, 2, 3])
    expect(await job.coordinator.triggerCheckpoint('after')).toMatchObject({ checkpointId: 4 })
    expect(job.task(0).lastCompletedIds, 'C5: it goes on incrementally').toEqual([2])
    expect(await job.storage.listCheckpoints()).toEqual([4])
    await expectOwn(job)
    expect(await storedObjects(objectStore)).toEqual(await namedObjects(job.storage))
    expect((await attempt({ objectStore }).begin())?.checkpoint.hostData).toBe('after')
  })

  it('that was restored stays the one to go on from after a crash, with more retained than one', async () => {
    const objectStore = await withThree()
    const job = attempt({ objectStore, retainedCheckpointsMax: 3 })
    await job.begin({ checkpointId: 1 })
    await job.coordinator.triggerCheckpoint('after')
    expect(await job.storage.listCheckpoints()).toEqual([1, 3, 4])
    await expectOwn(job)
    const again = attempt({ objectStore })
    expect((await again.begin())?.checkpoint.hostData).toBe('after')
  })

  it('that is not there is said, with those that are', async () => {
    const objectStore = await withThree()
    const job = attempt({ objectStore })
    const missing = job.begin({ checkpointId: 9 })
    await expect(missing).rejects.toMatchObject({
      code: 'OBJECT_MISSING',
      message: expect.stringContaining('1, 2, 3') as string,
    })
  })
})

describe.each([
  [
    'leveldb',
    () => new LevelDBStateBackend({ directory: temporaryDirectory(), memory: SMALL_MEMORY_BYTES }),
  ],
  ['hashmap', () => new HashMapStateBackend({ memory: SMALL_MEMORY_BYTES })],
] as [string, () => StateBackend][])('with state in %s', (_, backend) => {
  const RECORDS = 60

  it.each(['CLAIM', 'NO_CLAIM'] as const)(
    'C1, C5: %s of a savepoint and of a checkpoint: own checkpoints consist of own objects, every record once',
    async (claimMode) => {
      const objectStore = new MemoryObjectStore()
      const checkpoints = { everyRecords: 10, retainedCheckpointsMax: 4 }
      const storageOf = (jobId: string) =>
        new CheckpointStorage(objectStore, { jobId, inlineThresholdBytes: 0 })
      let folder: string | undefined
      const first = countingJob({
        objectStore,
        stateBackend: backend(),
        checkpoints,
        source: numbers(RECORDS, (at) => {
          if (at > 40) void first.stopWithSavepoint({ folder: (folder = 'saved') }).catch(() => 0)
        }),
      })
      await first.run()
      const pointers = [folder ?? '', 'job/chk-2']
      for (const [index, pointer] of pointers.entries()) {
        const before = await storedObjects(objectStore)
        const jobId = `next-${index}`
        const results: Results = {}
        const snapshot = await openSnapshot(objectStore, pointer)
        const restore: RestoreSource = { snapshot, claimMode }
        const events: CheckpointEvent[] = []
        await countingJob({
          objectStore,
          stateBackend: backend(),
          source: numbers(RECORDS),
          checkpointStorage: storageOf(jobId),
          checkpoints: { everyRecords: 4, retainedCheckpointsMax: 2 },
          onCheckpoint: (event) => void events.push(event),
        }).run({ restore, scan: collectInto(results) })
        expect(results, pointer).toEqual(expectedResults(RECORDS))
        expect(statuses(events).every((status) => /^\d+$/.test(status))).toBe(true)
        for (const id of await storageOf(jobId).listCheckpoints()) {
          await expectWhole(objectStore, `${jobId}/chk-${id}`)
        }
        const now = (await storedObjects(objectStore)).filter((key) => !key.startsWith(jobId))
        if (claimMode === 'NO_CLAIM') expect(now).toEqual(before)
        else expect(now).not.toContain(`${pointer}/_metadata`)
        const again: Results = {}
        await countingJob({
          objectStore,
          stateBackend: backend(),
          source: numbers(RECORDS),
          checkpointStorage: storageOf(jobId),
        }).run({ scan: collectInto(again) })
        expect(again, 'and its own newest restores').toEqual(expectedResults(RECORDS))
      }
    },
  )
})
