/** The life of one coordinator: what makes a checkpoint complete, what its tasks are told, and which checkpoints are kept. */
import { Buffer } from 'node:buffer'
import { describe, expect, it } from 'vitest'
import { stateHandlesOf } from '../../src/checkpoint/completed-checkpoint.js'
import { failing } from '../support/fault-object-store.js'
import { attempt, begun, OPERATOR_ID, settle, statuses } from './attempt.js'
import { gate } from './fake-task.js'
import { namedObjects, storedObjects } from './stored-objects.js'

describe('a checkpoint', () => {
  it('is complete when every task has acknowledged, and comes back with all of it', async () => {
    const { coordinator, objectStore, begin, clock, events } = attempt()
    expect(await begin()).toBeUndefined()
    await clock.advance(5)
    const event = await coordinator.triggerCheckpoint({ position: 42 })
    expect(event).toMatchObject({ status: 'completed', checkpointId: 1, kind: 'delta' })
    expect(events).toEqual([event])

    const restored = await attempt({ objectStore }).begin()
    expect(restored?.checkpoint).toMatchObject({
      checkpointId: 1,
      timestampMs: 5,
      jobId: 'job',
      hostData: { position: 42 },
    })
    const handles = stateHandlesOf(restored?.checkpoint, OPERATOR_ID)
    expect(handles.map((handle) => handle.backendIdentifier)).toEqual(['a', 'b'])
  })

  it('takes the synchronous parts of all tasks before the call returns', async () => {
    const { coordinator, told } = await begun()
    const finished = coordinator.triggerCheckpoint(null)
    expect(told).toEqual(['a snapshot 1', 'b snapshot 1'])
    expect(coordinator.canTrigger).toBe(false)
    await finished
    expect(coordinator.canTrigger).toBe(true)
  })

  it('C3: has no _metadata while a task has not acknowledged', async () => {
    const { coordinator, storage, task } = await begun()
    const acknowledged = gate()
    task(1).beforeAcknowledge = () => acknowledged.promise
    const finished = coordinator.triggerCheckpoint(null)
    await settle()
    expect(await storage.listCheckpoints()).toEqual([])
    acknowledged.open()
    await finished
    expect(await storage.listCheckpoints()).toEqual([1])
  })

  it('adds up what its tasks report', async () => {
    const { coordinator, task } = await begun()
    task(0).kind = 'merge'
    task(1).kind = 'none'
    const event = await coordinator.triggerCheckpoint(null)
    const bytes = Buffer.byteLength('a 1')
    expect(event).toMatchObject({ kind: 'merge', uploadedBytes: 4 * bytes, stateBytes: 4 * bytes })
    expect(event).toMatchObject({ syncMs: 1, asyncMs: 2 })
  })

  it('is refused while another is in flight, and idle() waits for that one', async () => {
    const { coordinator, events } = await begun()
    void coordinator.triggerCheckpoint(null)
    expect(() => coordinator.triggerCheckpoint(null)).toThrow(
      expect.objectContaining({ code: 'CHECKPOINT_FAILED' }),
    )
    await coordinator.idle()
    expect(statuses(events)).toEqual(['1'])
  })

  it('is refused with host data that JSON would lose, and no task is asked', async () => {
    const { coordinator, told } = await begun()
    expect(() => coordinator.triggerCheckpoint({ position: Number.NaN })).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT' }),
    )
    expect(told).toEqual([])
    expect(await coordinator.triggerCheckpoint(null)).toMatchObject({ checkpointId: 1 })
  })
})

describe('tasks are told', () => {
  it('in the order of ids: completed, then what is subsumed', async () => {
    const { coordinator, told } = await begun()
    await coordinator.triggerCheckpoint(null)
    await coordinator.triggerCheckpoint(null)
    expect(told).toEqual([
      'a snapshot 1',
      'b snapshot 1',
      'a complete 1',
      'b complete 1',
      'a snapshot 2',
      'b snapshot 2',
      'a complete 2',
      'b complete 2',
      'a subsumed 1',
      'b subsumed 1',
    ])
  })

  it('once that a checkpoint was aborted', async () => {
    const { coordinator, told, task } = await begun()
    task(0).beforeAcknowledge = () => Promise.reject(new Error('no'))
    await coordinator.triggerCheckpoint(null)
    expect(told.slice(2)).toEqual(['a aborted 1', 'b aborted 1'])
  })

  it('of the last completed checkpoint at every barrier', async () => {
    const { coordinator, task } = await begun()
    await coordinator.triggerCheckpoint(null)
    task(0).beforeAcknowledge = (id) =>
      id === 2 ? Promise.reject(new Error('no')) : Promise.resolve()
    await coordinator.triggerCheckpoint(null)
    await coordinator.triggerCheckpoint(null)
    await coordinator.triggerCheckpoint(null)
    expect(task(1).lastCompletedIds).toEqual([undefined, 1, 1, 3])
  })

  it('and may throw: that is a warning, and the others are told all the same', async () => {
    const { coordinator, told, warnings, failures, task } = await begun({
      tolerableFailedCheckpoints: undefined,
    })
    task(0).throwsWhenTold = true
    expect(await coordinator.triggerCheckpoint(null)).toMatchObject({ status: 'completed' })
    expect(await coordinator.triggerCheckpoint(null)).toMatchObject({ status: 'completed' })
    expect(told).toContain('b complete 1')
    expect(told).toContain('b subsumed 1')
    expect(warnings).toHaveLength(3)
    expect(failures).toEqual([])
  })

  it('a callback of the host that throws is a warning too', async () => {
    const { coordinator, warnings } = await begun({
      onCheckpoint: () => {
        throw new Error('shown on a closed terminal')
      },
    })
    expect(await coordinator.triggerCheckpoint(null)).toMatchObject({ status: 'completed' })
    expect(warnings).toHaveLength(1)
  })
})

describe('retention', () => {
  it.each([1, 2, 3])('keeps the last %i, and exactly what they name', async (retained) => {
    const { coordinator, storage, objectStore, warnings } = await begun({
      retainedCheckpointsMax: retained,
      taskNames: ['a', 'b', 'c'],
    })
    for (let id = 1; id <= 10; id++) {
      await coordinator.triggerCheckpoint({ id })
      const first = Math.max(1, id - retained + 1)
      const kept = Array.from({ length: id - first + 1 }, (_, index) => first + index)
      expect(await storage.listCheckpoints()).toEqual(kept)
      expect(await storedObjects(objectStore)).toEqual(await namedObjects(storage))
    }
    expect(warnings).toEqual([])
  })

  it('D1: deletes _metadata alone, then all state that it named', async () => {
    const { coordinator, objectStore } = await begun()
    for (let id = 1; id <= 3; id++) await coordinator.triggerCheckpoint(null)
    const deleted: string[] = []
    objectStore.plan = (operation, key) => {
      if (operation === 'delete') deleted.push(key.replaceAll(/\d+-[0-9a-f-]{36}/g, '*'))
      return undefined
    }
    // The third rebased, so the fourth subsumes it alone; the sixth rebases and frees tables.
    for (let id = 4; id <= 6; id++) await coordinator.triggerCheckpoint(null)
    const state = ['job/chk-5/*', 'job/chk-5/*', ...Array.from({ length: 6 }, () => 'job/shared/*')]
    expect(deleted.slice(-2)).toEqual(['job/chk-5/_metadata', state.join(' ')])
  })

  it('takes a failed deletion for a warning, and tries again', async () => {
    const { coordinator, storage, objectStore, warnings, failures } = await begun({
      tolerableFailedCheckpoints: undefined,
    })
    await coordinator.triggerCheckpoint(null)
    await coordinator.triggerCheckpoint(null)
    objectStore.plan = failing('delete', 'shared/')
    await coordinator.triggerCheckpoint(null)
    expect(warnings).toHaveLength(1)
    expect(await storedObjects(objectStore)).not.toEqual(await namedObjects(storage))
    objectStore.heal()
    await coordinator.triggerCheckpoint(null)
    expect(await storedObjects(objectStore)).toEqual(await namedObjects(storage))
    expect(failures).toEqual([])
  })

  it('goes on over a restart: what was retained is subsumed and freed', async () => {
    const first = await begun({ retainedCheckpointsMax: 3 })
    // The third rebases, so that the oldest retained one names tables that the newest does not.
    for (let id = 1; id <= 4; id++) await first.coordinator.triggerCheckpoint(null)
    await first.coordinator.close()

    const { objectStore } = first
    const second = attempt({ objectStore })
    expect(await second.begin()).toMatchObject({ checkpoint: { checkpointId: 4 } })
    await second.coordinator.triggerCheckpoint(null)
    expect(await second.storage.listCheckpoints()).toEqual([5])
    expect(second.told.filter((text) => text.startsWith('a subsumed'))).toHaveLength(3)
    expect(await storedObjects(objectStore)).toEqual(await namedObjects(second.storage))
  })
})

describe('options', () => {
  it.each([
    { retainedCheckpointsMax: 0 },
    { retainedCheckpointsMax: 1.5 },
    { timeoutMs: 0 },
    { timeoutMs: 2 ** 31 },
    { tolerableFailedCheckpoints: -1 },
    { tolerableFailedCheckpoints: Number.NaN },
  ])('out of range are refused: %o', (options) => {
    expect(() => attempt(options)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }))
  })
})
