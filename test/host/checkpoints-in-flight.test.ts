/**
 * Several checkpoints in flight, and acknowledgements that come once more, perhaps long after: a message that was sent again must not cost
 * anybody anything. What is here was found by the model test of the whole life cycle.
 */
import { expect, it } from 'vitest'
import type { SnapshotResult } from '../../src/checkpoint/snapshotable.js'
import { MemoryObjectStore } from '../../src/storage/memory-object-store.js'
import {
  attempt,
  expectWhole,
  OPERATOR_ID,
  RemoteTask,
  settle,
  TIMEOUT_MS,
  type Attempt,
} from './attempt.js'
import { PausingObjectStore } from './pausing-object-store.js'

/** `_metadata` is written, the epoch is looked at. */
const PUBLICATION_OPERATIONS = 2

/** One task, which is elsewhere. */
async function begin(job: Attempt): Promise<RemoteTask> {
  const tasks: RemoteTask[] = []
  await job.begin(undefined, (task) => {
    const remote = new RemoteTask(task)
    tasks.push(remote)
    return remote
  })
  const [task] = tasks
  if (task === undefined) throw new Error('there is one task')
  return task
}

function acknowledge(job: Attempt, checkpointId: number, result: SnapshotResult): string {
  const message = { checkpointId, operatorId: OPERATOR_ID, subtaskIndex: 0, result }
  return job.coordinator.acknowledgeCheckpoint(message)
}

it('C4: that of a subsumed checkpoint takes nothing from a pending one that is based on it', async () => {
  const job = attempt({ taskNames: ['a'], rebaseEvery: 100, concurrentCheckpointsMax: 3 })
  const task = await begin(job)
  void job.coordinator.triggerCheckpoint(null)
  const first = await task.perform(1)
  expect(acknowledge(job, 1, first)).toBe('accepted')
  await settle()

  const second = job.coordinator.triggerCheckpoint(null)
  const third = job.coordinator.triggerCheckpoint(null)
  // Names what the first one brought.
  const based = await task.perform(3)
  acknowledge(job, 2, await task.perform(2))
  expect(await second).toMatchObject({ status: 'completed' })

  expect(acknowledge(job, 1, first)).toBe('duplicate')
  await settle()
  expect(acknowledge(job, 3, based)).toBe('accepted')
  expect(await third).toMatchObject({ status: 'completed' })
  await expectWhole(job.objectStore, 'job/chk-3')
})

it('that of a savepoint which was completed just when its time was over leaves it alone', async () => {
  const objectStore = new PausingObjectStore(new MemoryObjectStore())
  const job = attempt({ objectStore, taskNames: ['a'] })
  const task = await begin(job)
  const ended = job.coordinator.triggerSavepoint(null, { folder: 'savepoints/one' })
  const result = await task.perform(1)
  // The answer to the last of them is on its way.
  objectStore.pauseIn(PUBLICATION_OPERATIONS, 'after')
  expect(acknowledge(job, 1, result)).toBe('accepted')
  await objectStore.paused
  await job.clock.advance(TIMEOUT_MS)
  objectStore.resume()
  expect(await ended).toMatchObject({ status: 'completed' })

  expect(acknowledge(job, 1, result)).toBe('duplicate')
  await settle()
  await expectWhole(objectStore, 'savepoints/one')
})

it('that of a checkpoint which is being published just when its time is over takes nothing from it', async () => {
  const objectStore = new PausingObjectStore(new MemoryObjectStore())
  const job = attempt({ objectStore, taskNames: ['a'] })
  const task = await begin(job)
  const ended = job.coordinator.triggerCheckpoint(null)
  const result = await task.perform(1)
  objectStore.pauseIn(PUBLICATION_OPERATIONS, 'after')
  expect(acknowledge(job, 1, result)).toBe('accepted')
  await objectStore.paused
  await job.clock.advance(TIMEOUT_MS)
  expect(acknowledge(job, 1, result)).toBe('duplicate')
  await settle()
  objectStore.resume()
  expect(await ended).toMatchObject({ status: 'completed' })
  await settle()
  await expectWhole(objectStore, 'job/chk-1')
})

it('H2: a pending checkpoint may be built on one that was completed after its trigger', async () => {
  const job = attempt({ taskNames: ['a'], rebaseEvery: 100, concurrentCheckpointsMax: 3 })
  const task = await begin(job)
  const ended = [1, 2, 3].map(() => job.coordinator.triggerCheckpoint(null))
  const first = await task.perform(1)
  const second = await task.perform(2)
  acknowledge(job, 1, first)
  await settle()
  // The task has heard of the first when it does its part of the third.
  const third = await task.perform(3)
  acknowledge(job, 2, second)
  await settle()
  await expectWhole(job.objectStore, 'job/chk-1')
  acknowledge(job, 3, third)
  for (const event of await Promise.all(ended)) expect(event).toMatchObject({ status: 'completed' })
  await expectWhole(job.objectStore, 'job/chk-3')
  expect(await job.storage.listCheckpoints()).toEqual([3])
})
