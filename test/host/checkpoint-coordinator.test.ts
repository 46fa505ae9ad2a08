import { Buffer } from 'node:buffer'
import { setImmediate as turn } from 'node:timers/promises'
import { describe, expect, it, onTestFinished } from 'vitest'
import { CheckpointCoordinator } from '../../src/host/checkpoint-coordinator.js'
import type { CheckpointCoordinatorOptions } from '../../src/host/checkpoint-coordinator.js'
import type { CheckpointEvent } from '../../src/host/checkpoint-events.js'
import { stateHandlesOf } from '../../src/checkpoint/completed-checkpoint.js'
import type { StateBackendError } from '../../src/errors.js'
import { CheckpointStorage } from '../../src/storage/checkpoint-storage.js'
import { MemoryObjectStore } from '../../src/storage/memory-object-store.js'
import { bodyOfBytes } from '../../src/storage/object-store.js'
import { FaultObjectStore, type FaultOperation } from '../support/fault-object-store.js'
import { ManualClock } from '../support/manual-clock.js'
import { FakeTask, gate } from './fake-task.js'
import { namedObjects, storedObjects } from './stored-objects.js'

const TIMEOUT_MS = 1000

function setUp(
  options: Partial<CheckpointCoordinatorOptions> & {
    store?: FaultObjectStore
    tasks?: number
  } = {},
) {
  const store = options.store ?? new FaultObjectStore(new MemoryObjectStore())
  const storage = new CheckpointStorage(store, { jobId: 'job', inlineThresholdBytes: 0 })
  const clock = new ManualClock()
  const events: CheckpointEvent[] = []
  const warnings: StateBackendError[] = []
  const failures: StateBackendError[] = []
  const told: string[] = []
  const coordinator = new CheckpointCoordinator({
    storage,
    clock,
    timeoutMs: TIMEOUT_MS,
    onCheckpoint: (event) => events.push(event),
    onWarning: (warning) => warnings.push(warning),
    failJob: (error) => failures.push(error),
    ...options,
  })
  const names = ['a', 'b', 'c'].slice(0, options.tasks ?? 2)
  const tasks = names.map((name) => new FakeTask({ name, storage, told }))
  const [a, b] = tasks
  if (a === undefined || b === undefined) throw new Error('there are two tasks')
  const start = async () => {
    const restored = await coordinator.restore()
    coordinator.start([{ operatorId: 'op', maxParallelism: 128, tasks }])
    return restored?.checkpoint
  }
  onTestFinished(() => coordinator.close())
  const parts = { store, storage, clock, coordinator, start, tasks, a, b }
  return { ...parts, events, warnings, failures, told }
}

/** Fails the operations whose key contains `part`. */
function failing(operation: FaultOperation, part: string, fault: 'before' | 'after' = 'before') {
  return (tried: FaultOperation, key: string) =>
    tried === operation && key.includes(part) ? fault : undefined
}

const statuses = (events: readonly CheckpointEvent[]): string[] =>
  events.map((event) =>
    event.status === 'completed'
      ? `${event.checkpointId}`
      : `${event.checkpointId} ${event.reason}`,
  )

describe('a checkpoint', () => {
  it('is complete when every task has acknowledged, and comes back with all of it', async () => {
    const { coordinator, start, storage, clock, events } = setUp()
    expect(await start()).toBeUndefined()
    await clock.advance(5)
    const event = await coordinator.triggerCheckpoint({ position: 42 })
    expect(event).toMatchObject({ status: 'completed', checkpointId: 1, kind: 'delta' })
    expect(events).toEqual([event])

    const again = setUp({ store: new FaultObjectStore(new MemoryObjectStore()), storage })
    const restored = await again.start()
    expect(restored).toMatchObject({
      checkpointId: 1,
      timestampMs: 5,
      jobId: 'job',
      hostData: { position: 42 },
    })
    const handles = stateHandlesOf(restored, 'op')
    expect(handles.map((handle) => handle.backendIdentifier)).toEqual(['a', 'b'])
  })

  it('takes the synchronous parts of all tasks before the call returns', async () => {
    const { coordinator, start, told } = setUp()
    await start()
    const finished = coordinator.triggerCheckpoint(null)
    expect(told).toEqual(['a snapshot 1', 'b snapshot 1'])
    expect(coordinator.canTrigger).toBe(false)
    await finished
    expect(coordinator.canTrigger).toBe(true)
  })

  it('C3: has no _metadata while a task has not acknowledged', async () => {
    const { coordinator, start, storage, b } = setUp()
    await start()
    const acknowledged = gate()
    b.beforeAcknowledge = () => acknowledged.promise
    const finished = coordinator.triggerCheckpoint(null)
    for (let turns = 0; turns < 20; turns++) await turn()
    expect(await storage.listCheckpoints()).toEqual([])
    acknowledged.open()
    await finished
    expect(await storage.listCheckpoints()).toEqual([1])
  })

  it('adds up what its tasks report', async () => {
    const { coordinator, start, a, b } = setUp()
    await start()
    a.kind = 'merge'
    b.kind = 'none'
    const event = await coordinator.triggerCheckpoint(null)
    const bytes = Buffer.byteLength('a 1')
    expect(event).toMatchObject({ kind: 'merge', uploadedBytes: 4 * bytes, stateBytes: 4 * bytes })
    expect(event).toMatchObject({ syncMs: 1, asyncMs: 2 })
  })

  it('is refused while another is in flight, and idle() waits for that one', async () => {
    const { coordinator, start, events } = setUp()
    await start()
    void coordinator.triggerCheckpoint(null)
    expect(() => coordinator.triggerCheckpoint(null)).toThrow(
      expect.objectContaining({ code: 'CHECKPOINT_FAILED' }),
    )
    await coordinator.idle()
    expect(statuses(events)).toEqual(['1'])
  })

  it('is refused with host data that JSON would lose, and no task is asked', async () => {
    const { coordinator, start, told } = setUp()
    await start()
    expect(() => coordinator.triggerCheckpoint({ position: Number.NaN })).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT' }),
    )
    expect(told).toEqual([])
    expect(await coordinator.triggerCheckpoint(null)).toMatchObject({ checkpointId: 1 })
  })
})

describe('tasks are told', () => {
  it('in the order of ids: completed, then what is subsumed', async () => {
    const { coordinator, start, told } = setUp()
    await start()
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
    const { coordinator, start, told, a } = setUp()
    await start()
    a.beforeAcknowledge = () => Promise.reject(new Error('no'))
    await coordinator.triggerCheckpoint(null)
    expect(told.slice(2)).toEqual(['a aborted 1', 'b aborted 1'])
  })

  it('of the last completed checkpoint at every barrier', async () => {
    const { coordinator, start, a, b } = setUp({ tolerableFailedCheckpoints: 9 })
    await start()
    await coordinator.triggerCheckpoint(null)
    a.beforeAcknowledge = (id) => (id === 2 ? Promise.reject(new Error('no')) : Promise.resolve())
    await coordinator.triggerCheckpoint(null)
    await coordinator.triggerCheckpoint(null)
    await coordinator.triggerCheckpoint(null)
    expect(b.lastCompletedIds).toEqual([undefined, 1, 1, 3])
  })

  it('and may throw: that is a warning, and the others are told all the same', async () => {
    const { coordinator, start, told, a, warnings, failures } = setUp()
    await start()
    a.throwsWhenTold = true
    expect(await coordinator.triggerCheckpoint(null)).toMatchObject({ status: 'completed' })
    expect(await coordinator.triggerCheckpoint(null)).toMatchObject({ status: 'completed' })
    expect(told).toContain('b complete 1')
    expect(told).toContain('b subsumed 1')
    expect(warnings).toHaveLength(3)
    expect(failures).toEqual([])
  })

  it('a callback of the host that throws is a warning too', async () => {
    const { coordinator, start, warnings } = setUp({
      onCheckpoint: () => {
        throw new Error('shown on a closed terminal')
      },
    })
    await start()
    expect(await coordinator.triggerCheckpoint(null)).toMatchObject({ status: 'completed' })
    expect(warnings).toHaveLength(1)
  })
})

describe('a failed checkpoint', () => {
  it('is aborted when a task declines: the others are stopped, and nothing of it stays', async () => {
    const { coordinator, start, store, a, b, failures } = setUp()
    await start()
    await coordinator.triggerCheckpoint(null)
    const before = await storedObjects(store)
    const declining = gate()
    b.beforeAcknowledge = () => declining.promise
    const finished = coordinator.triggerCheckpoint(null)
    for (let turns = 0; turns < 20; turns++) await turn()
    expect(await storedObjects(store), 'task a has uploaded').not.toEqual(before)
    declining.fail(new Error('no'))
    expect(await finished).toMatchObject({ status: 'aborted', checkpointId: 2, reason: 'declined' })
    expect(a.signals.at(-1)?.aborted).toBe(true)
    expect(await storedObjects(store)).toEqual(before)
    expect(failures).toHaveLength(1)
    expect(failures[0]).toMatchObject({
      code: 'CHECKPOINT_FAILED',
      details: { checkpointId: 2, reason: 'declined' },
    })
  })

  it('is aborted when it takes too long; what comes late is removed', async () => {
    const { coordinator, start, store, clock, b, told, events } = setUp({
      tolerableFailedCheckpoints: 9,
    })
    await start()
    const late = gate()
    b.beforeAcknowledge = (id) => (id === 1 ? late.promise : Promise.resolve())
    const finished = coordinator.triggerCheckpoint(null)
    await clock.advance(TIMEOUT_MS - 1)
    expect(events).toEqual([])
    await clock.advance(1)
    expect(await finished).toMatchObject({
      status: 'aborted',
      reason: 'expired',
      cause: undefined,
      durationMs: TIMEOUT_MS,
    })
    expect(await storedObjects(store)).toEqual([])
    expect(told).toContain('b aborted 1')

    expect(await coordinator.triggerCheckpoint(null)).toMatchObject({ checkpointId: 2 })
    const complete = await storedObjects(store)
    late.open()
    await coordinator.close()
    expect(await storedObjects(store)).toEqual(complete)
    expect(statuses(events)).toEqual(['1 expired', '2'])
    expect(clock.sleepers).toBe(0)
  })

  it('a late acknowledgement takes nothing that another checkpoint needs', async () => {
    const { coordinator, start, storage, store, clock, b, events } = setUp({
      tolerableFailedCheckpoints: 9,
    })
    await start()
    await coordinator.triggerCheckpoint(null)
    const late = gate()
    b.beforeAcknowledge = (id) => (id === 2 ? late.promise : Promise.resolve())
    const expiring = coordinator.triggerCheckpoint(null)
    await clock.advance(TIMEOUT_MS)
    await expiring
    const pending = gate()
    b.beforeAcknowledge = () => pending.promise
    const third = coordinator.triggerCheckpoint(null)
    late.open()
    for (let turns = 0; turns < 20; turns++) await turn()
    expect(await storedObjects(store)).toEqual(expect.arrayContaining(await namedObjects(storage)))
    pending.open()
    await third
    expect(statuses(events)).toEqual(['1', '2 expired', '3'])
    expect(await storedObjects(store)).toEqual(await namedObjects(storage))
  })

  it('is tolerated as often in a row as is said; a success in between starts anew', async () => {
    const { coordinator, start, a, failures, events } = setUp({ tolerableFailedCheckpoints: 1 })
    await start()
    a.beforeAcknowledge = (id) =>
      [1, 3, 4].includes(id) ? Promise.reject(new Error('no')) : Promise.resolve()
    for (let count = 0; count < 3; count++) await coordinator.triggerCheckpoint(null)
    expect(failures).toEqual([])
    await coordinator.triggerCheckpoint(null)
    expect(failures).toHaveLength(1)
    expect(statuses(events)).toEqual(['1 declined', '2', '3 declined', '4 declined'])
  })

  it('H3: does not exist when writing _metadata failed before it was done', async () => {
    const { coordinator, start, storage, store, told } = setUp({ tolerableFailedCheckpoints: 9 })
    await start()
    await coordinator.triggerCheckpoint(null)
    const complete = await storedObjects(store)
    store.plan = failing('putIfAbsent', '_metadata')
    const event = await coordinator.triggerCheckpoint(null)
    store.heal()
    expect(event).toMatchObject({ status: 'aborted', checkpointId: 2, reason: 'not-published' })
    expect(told).toContain('a aborted 2')
    expect(await storedObjects(store)).toEqual(complete)
    expect(await coordinator.triggerCheckpoint(null)).toMatchObject({ checkpointId: 3 })
    expect(await storedObjects(store)).toEqual(await namedObjects(storage))
  })

  it('D5: stays whole when writing _metadata failed after it was done, until a later one is completed', async () => {
    const { coordinator, start, storage, store, told } = setUp({ tolerableFailedCheckpoints: 9 })
    await start()
    await coordinator.triggerCheckpoint(null)
    store.plan = failing('putIfAbsent', '_metadata', 'after')
    const event = await coordinator.triggerCheckpoint(null)
    store.heal()
    expect(event).toMatchObject({ status: 'aborted', checkpointId: 2, reason: 'not-published' })
    expect(told).toContain('a aborted 2')
    expect(await storage.listCheckpoints()).toEqual([1, 2])
    expect(await storedObjects(store)).toEqual(await namedObjects(storage))
    expect(await coordinator.triggerCheckpoint(null)).toMatchObject({ checkpointId: 3 })
    expect(await storage.listCheckpoints()).toEqual([3])
    expect(await storedObjects(store)).toEqual(await namedObjects(storage))
  })

  it('D2: keeps what a _metadata names that may be there and cannot be deleted, until it can', async () => {
    const { coordinator, start, storage, store, warnings, events } = setUp({
      tolerableFailedCheckpoints: 9,
    })
    await start()
    await coordinator.triggerCheckpoint(null)
    store.plan = (operation, key) => {
      if (operation === 'putIfAbsent') return 'after'
      return operation === 'delete' && key.includes('chk-2/') ? 'before' : undefined
    }
    await coordinator.triggerCheckpoint(null)
    expect(await storage.listCheckpoints()).toEqual([1, 2])
    store.plan = failing('delete', 'chk-2/')
    await coordinator.triggerCheckpoint(null)
    expect(await storedObjects(store)).toEqual(await namedObjects(storage))
    expect(await storage.listCheckpoints()).toEqual([2, 3])
    expect(warnings).toHaveLength(1)
    store.heal()
    await coordinator.triggerCheckpoint(null)
    expect(await storage.listCheckpoints()).toEqual([4])
    expect(await storedObjects(store)).toEqual(await namedObjects(storage))
    expect(statuses(events)).toEqual(['1', '2 not-published', '3', '4'])
  })

  it('deletes nothing of what somebody else published under its id, and goes on with the next', async () => {
    const { coordinator, start, storage, store } = setUp({ tolerableFailedCheckpoints: 1 })
    await start()
    const factory = storage.streamFactory(1)
    await factory.write('exclusive', bodyOfBytes(Buffer.from('theirs')))
    await storage.writeMetadata(1, Buffer.from('theirs'))
    const theirs = await storedObjects(store)
    expect(await coordinator.triggerCheckpoint(null)).toMatchObject({
      status: 'aborted',
      reason: 'not-published',
      cause: expect.objectContaining({ code: 'OBJECT_EXISTS' }) as unknown,
    })
    expect(await storedObjects(store)).toEqual(theirs)
    expect(await coordinator.triggerCheckpoint(null)).toMatchObject({ checkpointId: 2 })
    expect(await storedObjects(store)).toEqual(expect.arrayContaining(theirs))
  })

  it('counts no failure when the coordinator is closed, and leaves nothing', async () => {
    const { coordinator, start, store, a, b, failures, events } = setUp()
    await start()
    const never = gate()
    b.beforeAcknowledge = () => never.promise
    const finished = coordinator.triggerCheckpoint(null)
    for (let turns = 0; turns < 20; turns++) await turn()
    const closed = coordinator.close()
    expect(a.signals.at(-1)?.aborted).toBe(true)
    never.fail(new Error('aborted'))
    await closed
    expect(await finished).toMatchObject({ status: 'aborted', reason: 'closed' })
    expect(failures).toEqual([])
    expect(statuses(events)).toEqual(['1 closed'])
    expect(await storedObjects(store)).toEqual([])
  })
})

describe('retention', () => {
  it.each([1, 2, 3])('keeps the last %i, and exactly what they name', async (retained) => {
    const { coordinator, start, storage, store, warnings } = setUp({
      retainedCheckpointsMax: retained,
      tasks: 3,
    })
    await start()
    for (let id = 1; id <= 10; id++) {
      await coordinator.triggerCheckpoint({ id })
      const first = Math.max(1, id - retained + 1)
      const kept = Array.from({ length: id - first + 1 }, (_, index) => first + index)
      expect(await storage.listCheckpoints()).toEqual(kept)
      expect(await storedObjects(store)).toEqual(await namedObjects(storage))
    }
    expect(warnings).toEqual([])
  })

  it('D1: deletes _metadata alone, then all state that it named', async () => {
    const { coordinator, start, store } = setUp()
    await start()
    for (let id = 1; id <= 3; id++) await coordinator.triggerCheckpoint(null)
    const deleted: string[] = []
    store.plan = (operation, key) => {
      if (operation === 'delete') deleted.push(key.replaceAll(/\d+-[0-9a-f-]{36}/g, '*'))
      return undefined
    }
    // The third rebased, so the fourth subsumes it alone; the sixth rebases and frees tables.
    for (let id = 4; id <= 6; id++) await coordinator.triggerCheckpoint(null)
    const state = ['job/chk-5/*', 'job/chk-5/*', ...Array.from({ length: 6 }, () => 'job/shared/*')]
    expect(deleted.slice(-2)).toEqual(['job/chk-5/_metadata', state.join(' ')])
  })

  it('takes a failed deletion for a warning, and tries again', async () => {
    const { coordinator, start, storage, store, warnings, failures } = setUp()
    await start()
    await coordinator.triggerCheckpoint(null)
    await coordinator.triggerCheckpoint(null)
    store.plan = failing('delete', 'shared/')
    await coordinator.triggerCheckpoint(null)
    expect(warnings).toHaveLength(1)
    expect(await storedObjects(store)).not.toEqual(await namedObjects(storage))
    store.heal()
    await coordinator.triggerCheckpoint(null)
    expect(await storedObjects(store)).toEqual(await namedObjects(storage))
    expect(failures).toEqual([])
  })

  it('goes on over a restart: what was retained is subsumed and freed', async () => {
    const store = new FaultObjectStore(new MemoryObjectStore())
    const first = setUp({ store, retainedCheckpointsMax: 3 })
    await first.start()
    // The third rebases, so that the oldest retained one names tables that the newest does not.
    for (let id = 1; id <= 4; id++) await first.coordinator.triggerCheckpoint(null)
    await first.coordinator.close()

    const second = setUp({ store })
    expect(await second.start()).toMatchObject({ checkpointId: 4 })
    await second.coordinator.triggerCheckpoint(null)
    expect(await second.storage.listCheckpoints()).toEqual([5])
    expect(second.told.filter((text) => text.startsWith('a subsumed'))).toHaveLength(3)
    expect(await storedObjects(store)).toEqual(await namedObjects(second.storage))
  })
})

describe('restore', () => {
  it('H1: gives ids above every id in storage, published or not', async () => {
    const { coordinator, start, storage } = setUp()
    await storage.streamFactory(17).write('exclusive', bodyOfBytes(Buffer.from('left over')))
    await start()
    expect(await coordinator.triggerCheckpoint(null)).toMatchObject({ checkpointId: 18 })
  })

  it('never gives an id twice, also after aborts', async () => {
    const { coordinator, start, a, events } = setUp({ tolerableFailedCheckpoints: Infinity })
    await start()
    a.beforeAcknowledge = (id) =>
      id % 2 === 0 ? Promise.reject(new Error('no')) : Promise.resolve()
    for (let count = 0; count < 5; count++) await coordinator.triggerCheckpoint(null)
    expect(events.map((event) => event.checkpointId)).toEqual([1, 2, 3, 4, 5])
  })

  it.each([
    ['cut', 'METADATA_DAMAGED', (bytes: Buffer) => bytes.subarray(0, -1)],
    ['altered', 'METADATA_DAMAGED', (bytes: Buffer) => bytes.fill(0x20, 20, 21)],
    ['of a future version', 'METADATA_VERSION_UNKNOWN', (bytes: Buffer) => bytes.fill(9, 8, 9)],
  ])('reports a newest checkpoint that is %s, and touches nothing', async (_, code, damage) => {
    const store = new FaultObjectStore(new MemoryObjectStore())
    const first = setUp({ store })
    await first.start()
    await first.coordinator.triggerCheckpoint(null)
    const bytes = await first.storage.readMetadata(1)
    await store.put('job/chk-1/_metadata', bodyOfBytes(damage(bytes)))
    const before = await storedObjects(store)

    const second = setUp({ store })
    await expect(second.start()).rejects.toMatchObject({ code })
    expect(await storedObjects(store)).toEqual(before)
  })

  it('reports a checkpoint that was copied to another id', async () => {
    const first = setUp()
    await first.start()
    await first.coordinator.triggerCheckpoint(null)
    await first.storage.writeMetadata(9, await first.storage.readMetadata(1))
    const second = setUp({ store: first.store })
    await expect(second.start()).rejects.toMatchObject({ code: 'METADATA_DAMAGED' })
  })

  it('warns of an older checkpoint that cannot be read, and goes on', async () => {
    const first = setUp({ retainedCheckpointsMax: 2 })
    await first.start()
    await first.coordinator.triggerCheckpoint(null)
    await first.coordinator.triggerCheckpoint(null)
    await first.store.put('job/chk-1/_metadata', bodyOfBytes(Buffer.from('?')))
    const second = setUp({ store: first.store })
    expect(await second.start()).toMatchObject({ checkpointId: 2 })
    expect(second.warnings).toHaveLength(1)
    await second.coordinator.triggerCheckpoint(null)
    expect(await second.storage.listCheckpoints()).toEqual([3])
  })

  it('may be called again after storage failed', async () => {
    const { start, store, coordinator } = setUp()
    const first = setUp({ store })
    await first.start()
    await first.coordinator.triggerCheckpoint(null)
    store.plan = failing('get', '_metadata')
    await expect(start()).rejects.toMatchObject({ code: 'STORAGE_FAILED' })
    store.heal()
    expect(await start()).toMatchObject({ checkpointId: 1 })
    expect(await coordinator.triggerCheckpoint(null)).toMatchObject({ checkpointId: 2 })
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
    expect(() => setUp(options)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }))
  })
})
