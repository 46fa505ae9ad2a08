/** Where the state of a snapshot goes is where its options say, or there is no snapshot. */
import { describe, expect, it } from 'vitest'
import { CheckpointOptions } from '../../src/checkpoint/checkpoint-options.js'
import { CheckpointCoordinator } from '../../src/host/checkpoint-coordinator.js'
import type { CheckpointTarget } from '../../src/storage/checkpoint-storage.js'
import { rejection, StateTask } from '../support/state-task.js'

const SAVEPOINT = { savepointFolder: 'savepoint', epoch: 1 }

describe('the stream factory of a snapshot', () => {
  const refused: [string, CheckpointOptions, number, CheckpointTarget][] = [
    ['of another id', CheckpointOptions.checkpoint(), 2, {}],
    ['of the job, for a savepoint', CheckpointOptions.savepoint(SAVEPOINT), 1, { epoch: 1 }],
    ['of another savepoint', CheckpointOptions.savepoint(SAVEPOINT), 1, { ...SAVEPOINT, savepointFolder: 'other' }], // prettier-ignore
    ['of a savepoint, for a checkpoint', CheckpointOptions.checkpoint(undefined, { epoch: 1 }), 1, SAVEPOINT], // prettier-ignore
    ['of another attempt', CheckpointOptions.checkpoint(undefined, { epoch: 3 }), 1, {}],
  ]
  it.each(refused)('%s is refused, and the next snapshot holds all', async (_, options, id, to) => {
    const task = await StateTask.start({ kind: 'hashmap' })
    await task.put(0, 10, (key) => `${key}`)
    const { backend, storage } = task
    expect(
      await rejection(backend.snapshot(1, 0, storage.streamFactory(id, to), options)),
    ).toMatchObject({ code: 'INVALID_ARGUMENT', details: { snapshotId: 1, factoryId: id } })
    const factory = storage.streamFactory(2, options.target)
    const { jobManagerOwnedSnapshot } = await backend.snapshot(2, 0, factory, options)
    expect(jobManagerOwnedSnapshot?.sharedState).toHaveLength(1)
  })

  it('that leaves out the target makes a coordinated savepoint fail, not a completed one that cannot be restored', async () => {
    const started = await StateTask.start({ kind: 'hashmap' })
    await started.put(0, 10, (key) => `${key}`)
    const { backend, storage } = started
    const coordinator = new CheckpointCoordinator({ storage, failJob: () => undefined })
    await coordinator.restore()
    const task = {
      snapshot: (id: number, timestampMs: number, options: CheckpointOptions) =>
        backend.snapshot(id, timestampMs, storage.streamFactory(id), options),
      notifyCheckpointComplete: () => undefined,
      notifyCheckpointAborted: () => undefined,
      notifyCheckpointSubsumed: () => undefined,
    }
    coordinator.start([{ operatorId: 'operator', maxParallelism: 4, tasks: [task] }])
    const event = await coordinator.triggerSavepoint(null)
    await coordinator.close()
    expect(event).toMatchObject({ status: 'aborted', cause: { code: 'INVALID_ARGUMENT' } })
  })
})
