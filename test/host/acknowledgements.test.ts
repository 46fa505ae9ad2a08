/** Tasks that are elsewhere and answer by messages, which come twice, late, or from nowhere. */
import { describe, expect, it } from 'vitest'
import { CheckpointOptions } from '../../src/checkpoint/checkpoint-options.js'
import { StateBackendError } from '../../src/errors.js'
import {
  attempt,
  expectWhole,
  OPERATOR_ID,
  RemoteTask,
  settle,
  statuses,
  TIMEOUT_MS,
  type AttemptOptions,
} from './attempt.js'
import { namedObjects, storedObjects } from './stored-objects.js'

async function begun(options: AttemptOptions = {}) {
  const running = attempt(options)
  const remotes: RemoteTask[] = []
  await running.begin({}, (task) => {
    const remote = new RemoteTask(task)
    remotes.push(remote)
    return remote
  })
  const { coordinator } = running
  const remote = (index: number): RemoteTask => {
    const found = remotes[index]
    if (found === undefined) throw new Error(`there is no task ${index}`)
    return found
  }
  /** The state goes to storage, and the message to the coordinator. */
  const acknowledge = async (checkpointId: number, subtaskIndex: number) => {
    const result = await remote(subtaskIndex).perform(checkpointId)
    const message = { checkpointId, operatorId: OPERATOR_ID, subtaskIndex, result }
    return { result, answer: coordinator.acknowledgeCheckpoint(message) }
  }
  const complete = async (): Promise<void> => {
    const ended = coordinator.triggerCheckpoint(null)
    const id = nextId++
    for (const index of remotes.keys()) await acknowledge(id, index)
    expect(await ended).toMatchObject({ status: 'completed', checkpointId: id })
  }
  let nextId = 1
  const expire = async (): Promise<void> => {
    const ended = coordinator.triggerCheckpoint(null)
    nextId++
    await running.clock.advance(TIMEOUT_MS)
    expect(await ended).toMatchObject({ reason: 'expired' })
  }
  const decline = (checkpointId: number, cause: unknown, subtaskIndex = 0): void =>
    coordinator.declineCheckpoint({ checkpointId, operatorId: OPERATOR_ID, subtaskIndex, cause })
  const objects = () => storedObjects(running.objectStore)
  const named = () => namedObjects(running.storage)
  return { ...running, remote, acknowledge, complete, expire, decline, objects, named }
}

describe('an acknowledgement by message', () => {
  it('is accepted, and the last one completes the checkpoint', async () => {
    const { coordinator, acknowledge, objects, named, events } = await begun()
    const ended = coordinator.triggerCheckpoint('host')
    expect((await acknowledge(1, 1)).answer).toBe('accepted')
    await settle()
    expect(events).toEqual([])
    expect((await acknowledge(1, 0)).answer).toBe('accepted')
    expect(await ended).toMatchObject({ status: 'completed' })
    expect(await objects()).toEqual(await named())
  })

  it('may come before snapshot() has returned', async () => {
    const running = attempt()
    const result = { jobManagerOwnedSnapshot: undefined, kind: 'none' } as const
    const numbers = { uploadedBytes: 0, stateBytes: 0, syncMs: 0, asyncMs: 0 }
    await running.begin({}, (task) => ({
      snapshot: (checkpointId) => {
        const message = { checkpointId, operatorId: OPERATOR_ID, result: { ...result, ...numbers } }
        const subtaskIndex = running.tasks.indexOf(task)
        expect(running.coordinator.acknowledgeCheckpoint({ ...message, subtaskIndex })).toBe(
          'accepted',
        )
        return undefined
      },
      notifyCheckpointComplete: (id) => task.notifyCheckpointComplete(id),
      notifyCheckpointAborted: (id) => task.notifyCheckpointAborted(id),
      notifyCheckpointSubsumed: (id) => task.notifyCheckpointSubsumed(id),
    }))
    expect(await running.coordinator.triggerCheckpoint(null)).toMatchObject({ status: 'completed' })
    expect(running.told).toEqual(['a complete 1', 'b complete 1'])
  })

  it('that comes twice is a duplicate, before the completion and after it', async () => {
    const { coordinator, acknowledge, events, objects, named } = await begun()
    const ended = coordinator.triggerCheckpoint(null)
    const { result } = await acknowledge(1, 0)
    const again = { checkpointId: 1, operatorId: OPERATOR_ID, subtaskIndex: 0, result }
    expect(coordinator.acknowledgeCheckpoint(again)).toBe('duplicate')
    await settle()
    expect(events, 'one task does not stand for another').toEqual([])
    await acknowledge(1, 1)
    await ended
    expect(coordinator.acknowledgeCheckpoint(again)).toBe('duplicate')
    await settle()
    expect(await objects()).toEqual(await named())
  })

  it('that comes twice with other objects: the first counts, and the others are not kept for ever', async () => {
    const { coordinator, acknowledge, objectStore, objects, named, events } = await begun()
    const ended = coordinator.triggerCheckpoint(null)
    await acknowledge(1, 0)
    expect((await acknowledge(1, 0)).answer).toBe('duplicate')
    await acknowledge(1, 1)
    await ended
    expect((await acknowledge(1, 1)).answer, 'after the completion').toBe('duplicate')
    await settle()
    expect((await objects()).length).toBeGreaterThan((await named()).length)
    await expectWhole(objectStore, 'job/chk-1')
    expect(statuses(events)).toEqual(['1'])
    const second = coordinator.triggerCheckpoint(null)
    for (const index of [0, 1]) await acknowledge(2, index)
    await second
    expect(await objects()).toEqual(await named())
  })

  it('that comes after the checkpoint has expired is late, and what it names is removed', async () => {
    const { acknowledge, complete, expire, objects, named, coordinator } = await begun()
    await complete()
    await expire()
    const before = await objects()
    expect((await acknowledge(2, 0)).answer).toBe('late')
    await coordinator.close()
    expect(await objects()).toEqual(before)
    expect(before).toEqual(await named())
  })

  it('that comes late is removed also when newer checkpoints were completed since', async () => {
    const { acknowledge, complete, expire, objects, named, coordinator } = await begun()
    await expire()
    await complete()
    await complete()
    expect((await acknowledge(1, 0)).answer).toBe('late')
    expect((await acknowledge(1, 0)).answer).toBe('late')
    await coordinator.idle()
    await coordinator.close()
    expect(await objects()).toEqual(await named())
  })

  it('H2: repeated for a checkpoint that is subsumed takes nothing from one that is based on it', async () => {
    const { acknowledge, coordinator, objectStore, objects, named } = await begun({
      concurrentCheckpointsMax: 3,
      rebaseEvery: 2,
    })
    const first = coordinator.triggerCheckpoint(null)
    const { result } = await acknowledge(1, 0)
    await acknowledge(1, 1)
    await first
    const [second, third] = [
      coordinator.triggerCheckpoint(null),
      coordinator.triggerCheckpoint(null),
    ]
    // The second starts anew, so the tables of the first are only what the third will name.
    for (const index of [0, 1]) await acknowledge(2, index)
    await second
    const again = { checkpointId: 1, operatorId: OPERATOR_ID, subtaskIndex: 0, result }
    expect(coordinator.acknowledgeCheckpoint(again)).toBe('duplicate')
    await settle()
    for (const index of [0, 1]) await acknowledge(3, index)
    expect(await third).toMatchObject({ status: 'completed' })
    await expectWhole(objectStore, 'job/chk-3')
    expect(await objects()).toEqual(await named())
  })

  it.each([
    ['an id of the future', { checkpointId: 3 }],
    ['an id of an earlier attempt', { checkpointId: 1 }],
    ['no id at all', { checkpointId: Number.NaN }],
    ['an unknown operator', { operatorId: 'other' }],
    ['an unknown subtask', { subtaskIndex: 2 }],
    ['a subtask that cannot be', { subtaskIndex: -1 }],
  ])('of %s is unknown, and nothing that it names is touched', async (_, wrong) => {
    const earlier = await begun()
    await earlier.complete()
    await earlier.coordinator.close()
    const { coordinator, remote, objectStore, storage, events } = await begun({
      objectStore: earlier.objectStore,
    })
    const target = { epoch: 2 }
    const theirs = await earlier
      .task(0)
      .snapshot(
        7,
        0,
        CheckpointOptions.fullCheckpoint(undefined, target),
        new AbortController().signal,
      )
    const before = await storedObjects(objectStore)
    const right = { checkpointId: 2, operatorId: OPERATOR_ID, subtaskIndex: 0, result: theirs }
    const ended = coordinator.triggerCheckpoint(null)
    const message = { ...right, ...wrong }
    expect(coordinator.acknowledgeCheckpoint(message)).toBe('unknown')
    for (const subtaskIndex of [0, 1]) {
      const result = await remote(subtaskIndex).perform(2)
      coordinator.acknowledgeCheckpoint({ ...right, subtaskIndex, result })
    }
    await ended
    expect(coordinator.acknowledgeCheckpoint(message), 'nor after it').toBe('unknown')
    await settle()
    expect(statuses(events)).toEqual(['2'])
    expect(await storedObjects(objectStore)).toEqual(
      expect.arrayContaining([
        ...before.filter((key) => key.includes('7/')),
        ...(await namedObjects(storage)),
      ]),
    )
    for (const { state } of theirs.jobManagerOwnedSnapshot?.sharedState ?? []) {
      await storage.verify(state)
    }
  })
})

describe('a decline by message', () => {
  it('aborts the checkpoint, which counts as a failure', async () => {
    const { coordinator, decline, failures, objects, acknowledge } = await begun({
      tolerableFailedCheckpoints: 0,
    })
    const ended = coordinator.triggerCheckpoint(null)
    await acknowledge(1, 1)
    const cause = new Error('disk full')
    decline(1, cause)
    expect(await ended).toMatchObject({ reason: 'declined', cause })
    expect(failures).toMatchObject([{ code: 'CHECKPOINT_FAILED' }])
    expect(failures[0]?.message).toContain('disk full')
    expect(await objects()).toEqual([])
  })

  it('of a task that is closing aborts it too, and counts for nothing', async () => {
    const { coordinator, decline, failures } = await begun({ tolerableFailedCheckpoints: 0 })
    const ended = coordinator.triggerCheckpoint(null)
    decline(1, new StateBackendError('BACKEND_CLOSED', 'The task was stopped.'))
    expect(await ended).toMatchObject({ reason: 'closed' })
    expect(failures).toEqual([])
  })

  it('changes nothing for an unknown task, an unknown id, or when it comes after the end', async () => {
    const { coordinator, decline, acknowledge, events } = await begun()
    const ended = coordinator.triggerCheckpoint(null)
    decline(2, new Error('future'))
    decline(1, new Error('unknown task'), 9)
    for (const index of [0, 1]) await acknowledge(1, index)
    await ended
    decline(1, new Error('too late'))
    await settle()
    expect(statuses(events)).toEqual(['1'])
  })

  it('that comes twice counts once', async () => {
    const { coordinator, decline, failures } = await begun({ tolerableFailedCheckpoints: 1 })
    const ended = coordinator.triggerCheckpoint(null)
    decline(1, new Error('no'))
    decline(1, new Error('no'), 1)
    await ended
    decline(1, new Error('no'))
    expect(failures).toEqual([])
  })
})
