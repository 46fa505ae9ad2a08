/** C6: of two attempts at running one job, at most one can complete a checkpoint, and neither harms what the other has. */
import { describe, expect, it, onTestFinished } from 'vitest'
import { CheckpointStorage } from '../../src/storage/checkpoint-storage.js'
import { MemoryObjectStore } from '../../src/storage/memory-object-store.js'
import { FaultObjectStore } from '../support/fault-object-store.js'
import { attempt, expectWhole, settle, statuses, TIMEOUT_MS, type Attempt } from './attempt.js'
import { gate } from './fake-task.js'
import { PausingObjectStore } from './pausing-object-store.js'
import { namedObjects, storedObjects } from './stored-objects.js'

/** What the first attempt is doing when it is held up. */
const occupations: Record<string, (first: Attempt, faults: FaultObjectStore) => Promise<unknown>> =
  {
    'a checkpoint': ({ coordinator }) => coordinator.triggerCheckpoint(null),
    'two checkpoints at a time': ({ coordinator }) =>
      Promise.all([coordinator.triggerCheckpoint(null), coordinator.triggerCheckpoint(null)]),
    'a savepoint and a checkpoint': ({ coordinator }) =>
      Promise.all([
        coordinator.triggerSavepoint(null, { folder: 'by-hand' }),
        coordinator.triggerCheckpoint(null),
      ]),
    'a checkpoint that is declined': (first) => {
      first.task(1).beforeAcknowledge = async () => {
        await settle()
        throw new Error('no')
      }
      return first.coordinator.triggerCheckpoint(null)
    },
    'a checkpoint whose publication is done and taken for failed': (first, faults) => {
      faults.plan = (operation, key) =>
        operation === 'putIfAbsent' && key.includes('_metadata') ? 'after' : undefined
      return first.coordinator.triggerCheckpoint(null)
    },
    'closing while a checkpoint is published': (first, faults) => {
      let closed: Promise<void> | undefined
      faults.plan = (operation, key) => {
        if (operation !== 'putIfAbsent' || !key.includes('_metadata')) return undefined
        closed = first.coordinator.close()
        return 'after'
      }
      return first.coordinator.triggerCheckpoint(null).then(() => closed)
    },
  }

/**
 * The first attempt is held up in an operation, the second restores and takes checkpoints, the first goes on. Returns false when the
 * first has not that many operations.
 */
async function interleave(
  occupation: string,
  operation: number,
  when: 'before' | 'after',
): Promise<boolean> {
  const memory = new MemoryObjectStore()
  const pausing = new PausingObjectStore(memory)
  const faults = new FaultObjectStore(pausing)
  const limits = { concurrentCheckpointsMax: 2, retainedCheckpointsMax: 2 }
  const first = attempt({ ...limits, objectStore: faults })
  await first.begin()
  for (let id = 1; id <= 3; id++) await first.coordinator.triggerCheckpoint(null)

  pausing.pauseIn(operation, when)
  const busy = occupations[occupation]?.(first, faults)
  const ended = busy?.then(() => 'ended' as const)
  // A failed test must not leave it standing.
  onTestFinished(() => pausing.resume())
  const held = await Promise.race([ended, pausing.paused.then(() => 'paused' as const)])
  if (held !== 'paused') return false

  const second = attempt({ ...limits, objectStore: memory })
  const restored = await second.begin()
  const before = statuses(first.events).length
  for (let count = 0; count < 2; count++) await second.coordinator.triggerCheckpoint(null)
  const restoredId = restored?.checkpoint.checkpointId ?? 0
  expect(second.events.at(-1), 'the second goes on').toMatchObject({ status: 'completed' })

  pausing.resume()
  await ended
  faults.heal()
  await expectFenced(first)

  const completedLate = first.events.slice(before).filter(({ status }) => status === 'completed')
  for (const { checkpointId, snapshotType } of completedLate) {
    if (snapshotType === 'savepoint') continue
    expect(checkpointId, 'the second has seen what the first completes').toBeLessThanOrEqual(
      restoredId,
    )
  }
  await expectSecondUnharmed(second)
  return true
}

/** It is told, its later triggers throw, and it still says nothing false. */
async function expectFenced({ coordinator, failures, events, tasks }: Attempt): Promise<void> {
  for (const task of tasks) task.beforeAcknowledge = () => Promise.resolve()
  const triggered = (): Promise<unknown> => coordinator.triggerCheckpoint(null)
  const closed = statuses(events).some((status) => status.endsWith('closed'))
  if (closed) return
  if (failures.length === 0) expect(await triggered()).toMatchObject({ reason: 'fenced' })
  await settle()
  expect(failures).toHaveLength(1)
  expect(failures[0]).toMatchObject({ code: 'ATTEMPT_FENCED', kind: 'conflict' })
  expect(triggered).toThrow(expect.objectContaining({ code: 'ATTEMPT_FENCED' }))
  expect(() => coordinator.triggerSavepoint(null)).toThrow(
    expect.objectContaining({ code: 'ATTEMPT_FENCED' }),
  )
  expect(coordinator.canTrigger).toBe(false)
}

async function expectSecondUnharmed(second: Attempt): Promise<void> {
  const { objectStore, coordinator, events } = second
  const completed = events.filter(({ status }) => status === 'completed').slice(-2)
  for (const { checkpointId } of completed) {
    await expectWhole(objectStore, `job/chk-${checkpointId}`)
  }
  expect(await coordinator.triggerCheckpoint(null)).toMatchObject({ status: 'completed' })
  const newest = second.coordinator.lastCompletedCheckpointId
  const third = attempt({ objectStore })
  expect((await third.begin())?.checkpoint).toMatchObject({ checkpointId: newest, epoch: 2 })
  await expectWhole(objectStore, `job/chk-${newest}`)
  expect(await third.coordinator.triggerCheckpoint(null)).toMatchObject({ status: 'completed' })
}

describe('of two attempts at most one completes a checkpoint, wherever the first is held up in', () => {
  const cases = Object.keys(occupations).flatMap((occupation) =>
    (['before', 'after'] as const).map((when) => [occupation, when] as const),
  )
  it.each(cases)('%s, %s each operation on storage', async (occupation, when) => {
    let interleavings = 0
    while (await interleave(occupation, interleavings + 1, when)) interleavings++
    expect(interleavings).toBeGreaterThan(2)
  })
})

describe('an attempt that does not know yet that it is overtaken', () => {
  /** Its `_metadata` is on the way when the second begins, and arrives after that has restored. */
  async function overtaken(options: { readonly ahead: number }) {
    const memory = new MemoryObjectStore()
    const faults = new FaultObjectStore(memory)
    // State so small that nothing tells of a checkpoint before its `_metadata`: so the second may give the same id.
    const first = attempt({ objectStore: faults, inlineThresholdBytes: 1000 })
    await first.begin()
    await first.coordinator.triggerCheckpoint('restored')
    // Ids that came to nothing: the first is ahead of the second.
    const refusing = failingAcknowledgements(first)
    for (let count = 0; count < options.ahead; count++) {
      await first.coordinator.triggerCheckpoint(null)
    }
    refusing.stop()
    const arrived = gate()
    const sent = gate()
    faults.plan = async (operation, key) => {
      if (operation === 'putIfAbsent' && key.includes('_metadata')) {
        sent.open()
        await arrived.promise
      }
      return undefined
    }
    const zombie = first.coordinator.triggerCheckpoint('zombie')
    await sent.promise
    const second = attempt({ objectStore: memory, tolerableFailedCheckpoints: 0 })
    return { memory, first, second, zombie, arrived }
  }

  it('V1: wins no restore with a higher id, and is told ATTEMPT_FENCED', async () => {
    const { memory, first, second, zombie, arrived } = await overtaken({ ahead: 5 })
    const restored = await second.begin()
    expect(restored?.checkpoint.hostData).toBe('restored')
    await second.coordinator.triggerCheckpoint('second')
    const secondId = second.coordinator.lastCompletedCheckpointId ?? 0
    arrived.open()
    const event = await zombie
    expect(event).toMatchObject({ status: 'aborted', reason: 'fenced' })
    expect(first.failures).toMatchObject([{ code: 'ATTEMPT_FENCED' }])
    expect(event.checkpointId).toBeGreaterThan(secondId)
    const ids = await second.storage.listCheckpoints()
    expect(ids, 'it deletes nothing any more').toEqual([secondId, event.checkpointId])

    const third = attempt({ objectStore: memory })
    expect((await third.begin())?.checkpoint.hostData).toBe('second')
    expect(await third.coordinator.triggerCheckpoint(null)).toMatchObject({
      checkpointId: event.checkpointId + 1,
    })
    expect(await storedObjects(memory)).toEqual(await namedObjects(third.storage))
  })

  it('D3: takes an id from the later one, which goes on with the next and deletes nothing of it', async () => {
    const { memory, second, zombie, arrived } = await overtaken({ ahead: 0 })
    await second.begin()
    const acknowledged = gate()
    second.task(0).beforeAcknowledge = () => acknowledged.promise
    const same = second.coordinator.triggerCheckpoint('second')
    arrived.open()
    const { checkpointId } = await zombie
    const named = await namedObjects(second.storage)
    acknowledged.open()
    expect(await same).toMatchObject({ checkpointId, reason: 'not-published' })
    expect(second.failures, 'it is no fault of the later one').toEqual([])
    expect(await storedObjects(memory)).toEqual(named)
    expect(await second.coordinator.triggerCheckpoint('second')).toMatchObject({
      status: 'completed',
      checkpointId: checkpointId + 1,
    })
    await expectWhole(memory, `job/chk-${checkpointId + 1}`)
    const third = attempt({ objectStore: memory })
    expect((await third.begin())?.checkpoint.hostData).toBe('second')
  })
})

it('D3: two attempts that use one id never delete each other’s objects', async () => {
  const memory = new MemoryObjectStore()
  const [first, second] = [attempt({ objectStore: memory }), attempt({ objectStore: memory })]
  await first.begin()
  const [firstWrites, firstEnds, secondEnds] = [gate(), gate(), gate()]
  first.task(0).beforeAcknowledge = () => firstWrites.promise
  first.task(1).beforeAcknowledge = () => firstEnds.promise
  void first.coordinator.triggerCheckpoint(null)
  await second.begin()
  second.task(1).beforeAcknowledge = () => secondEnds.promise
  const secondOne = second.coordinator.triggerCheckpoint(null)
  firstWrites.open()
  await settle()
  const both = await storedObjects(memory)
  expect(both.filter((key) => key.startsWith('job/chk-1/'))).toHaveLength(2)
  secondEnds.fail(new Error('no'))
  expect(await secondOne).toMatchObject({ checkpointId: 1, reason: 'declined' })
  const left = await storedObjects(memory)
  expect(left, 'of the second nothing, of the first all').toEqual([
    expect.stringMatching(/^job\/chk-1\/1-/),
    expect.stringMatching(/^job\/shared\/1-/),
  ])
  await first.clock.advance(TIMEOUT_MS)
  await settle()
  expect(statuses(first.events)).toEqual(['1 expired'])
  expect(first.failures).toMatchObject([{ code: 'ATTEMPT_FENCED' }])
  expect(await storedObjects(memory), 'who is overtaken deletes nothing').toEqual(left)
  firstEnds.fail(new Error('aborted'))
})

function failingAcknowledgements({ tasks }: Attempt): { stop(): void } {
  const [task] = tasks
  if (task !== undefined) task.beforeAcknowledge = () => Promise.reject(new Error('no'))
  return {
    stop: () => {
      if (task !== undefined) task.beforeAcknowledge = () => Promise.resolve()
    },
  }
}

describe('epochs', () => {
  it('are distinct, however many attempts begin at a time, and the highest alone goes on', async () => {
    const objectStore = new MemoryObjectStore()
    const storages = Array.from(
      { length: 16 },
      () => new CheckpointStorage(objectStore, { jobId: 'job' }),
    )
    const epochs = await Promise.all(storages.map((storage) => storage.claimEpoch()))
    expect(new Set(epochs).size).toBe(16)
    const highest = Math.max(...epochs)
    const checks = await Promise.allSettled(
      storages.map((storage, index) => storage.checkEpoch(epochs[index] ?? 0)),
    )
    expect(epochs.filter((_, index) => checks[index]?.status === 'fulfilled')).toEqual([highest])
    const [storage] = storages
    expect(await storage?.claimEpoch()).toBe(highest + 1)
  })

  it('are claimed in whatever order the requests of two attempts reach storage', async () => {
    let interleavings = 0
    for (let operation = 1; ; operation++) {
      const memory = new MemoryObjectStore()
      const slow = new PausingObjectStore(memory)
      onTestFinished(() => slow.resume())
      const first = new CheckpointStorage(slow, { jobId: 'job' })
      const second = new CheckpointStorage(memory, { jobId: 'job' })
      slow.pauseIn(operation, 'after')
      const claiming = first.claimEpoch()
      const held = await Promise.race([claiming.then(() => false), slow.paused.then(() => true)])
      if (!held) break
      interleavings++
      const epochs = [await second.claimEpoch(), await second.claimEpoch()]
      slow.resume()
      const own = await claiming
      const highest = Math.max(own, ...epochs)
      expect(new Set([own, ...epochs]).size, `operation ${operation}`).toBe(3)
      await second.checkEpoch(highest)
      const others = [own, ...epochs].filter((epoch) => epoch < highest)
      for (const epoch of others) {
        await expect(second.checkEpoch(epoch)).rejects.toMatchObject({ code: 'ATTEMPT_FENCED' })
      }
    }
    expect(interleavings).toBe(4)
  })
})
