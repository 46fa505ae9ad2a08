/** Several checkpoints in flight: who is completed, who is aborted for it, what tasks hear, and what is left in storage. */
import { describe, expect, it } from 'vitest'
import type { CheckpointEvent } from '../../src/host/checkpoint-events.js'
import { attempt, expectWhole, settle, statuses, TIMEOUT_MS, type Attempt } from './attempt.js'
import { gate } from './fake-task.js'
import { namedObjects, storedObjects } from './stored-objects.js'

/** Each checkpoint of each task waits for its gate. */
function gated({ tasks }: Attempt) {
  const gates = new Map<string, ReturnType<typeof gate>>()
  const gateOf = (task: number, id: number) => {
    const key = `${task} ${id}`
    const made = gates.get(key) ?? gate()
    gates.set(key, made)
    return made
  }
  for (const [index, task] of tasks.entries()) {
    task.beforeAcknowledge = (id) => gateOf(index, id).promise
  }
  const acknowledge = async (id: number): Promise<void> => {
    for (const index of tasks.keys()) gateOf(index, id).open()
    await settle()
  }
  return { gateOf, acknowledge }
}

async function begun(options: Parameters<typeof attempt>[0] = {}) {
  const running = attempt({ concurrentCheckpointsMax: 3, ...options })
  await running.begin()
  const trigger = (): Promise<CheckpointEvent> => running.coordinator.triggerCheckpoint(null)
  return { ...running, trigger }
}

const ends = (told: readonly string[], task = 'a'): string[] =>
  told.filter((text) => /complete|aborted/.test(text) && text.startsWith(`${task} `))

async function expectExactlyNamed({ objectStore, storage }: Attempt): Promise<void> {
  expect(await storedObjects(objectStore)).toEqual(await namedObjects(storage))
  for (const id of await storage.listCheckpoints()) await expectWhole(objectStore, `job/chk-${id}`)
}

describe('several checkpoints in flight', () => {
  it('completed in order are all completed, and each subsumes the one before', async () => {
    const running = await begun()
    const { acknowledge } = gated(running)
    const triggered = [running.trigger(), running.trigger(), running.trigger()]
    for (const id of [1, 2, 3]) await acknowledge(id)
    expect(statuses(await Promise.all(triggered))).toEqual(['1', '2', '3'])
    expect(ends(running.told)).toEqual(['a complete 1', 'a complete 2', 'a complete 3'])
    expect(await running.storage.listCheckpoints()).toEqual([3])
    await expectExactlyNamed(running)
  })

  it('a newer one that is completed first aborts the older ones, which tasks hear of first', async () => {
    const running = await begun()
    const { acknowledge } = gated(running)
    const triggered = [running.trigger(), running.trigger(), running.trigger()]
    await acknowledge(3)
    expect(statuses(running.events)).toEqual(['1 subsumed', '2 subsumed', '3'])
    expect(ends(running.told)).toEqual(['a aborted 1', 'a aborted 2', 'a complete 3'])
    expect(running.task(0).signals.map(({ aborted }) => aborted)).toEqual([true, true, false])
    await acknowledge(1)
    await acknowledge(2)
    expect(statuses(await Promise.all(triggered))).toEqual(['1 subsumed', '2 subsumed', '3'])
    expect(ends(running.told), 'each end once').toHaveLength(3)
    expect(running.failures, 'being subsumed is no failure').toEqual([])
    await expectExactlyNamed(running)
  })

  it('an older one that is only partly acknowledged leaves nothing', async () => {
    const running = await begun()
    const { acknowledge, gateOf } = gated(running)
    void running.trigger()
    void running.trigger()
    gateOf(0, 1).open()
    await settle()
    await acknowledge(2)
    expect(statuses(running.events)).toEqual(['1 subsumed', '2'])
    gateOf(1, 1).fail(new Error('aborted'))
    await running.coordinator.idle()
    await expectExactlyNamed(running)
  })

  it('publications are one at a time: of two acknowledged at once, the older comes first', async () => {
    const running = await begun()
    const { gateOf } = gated(running)
    const triggered = [running.trigger(), running.trigger()]
    for (const id of [1, 2]) for (const task of [0, 1]) gateOf(task, id).open()
    expect(statuses(await Promise.all(triggered))).toEqual(['1', '2'])
    expect(ends(running.told)).toEqual(['a complete 1', 'a complete 2'])
    await expectExactlyNamed(running)
  })

  it('H2: what a pending one is based on stays until it has ended, also when its base is subsumed', async () => {
    // Every second checkpoint starts anew: the third names a table that only the first names, and the second does not.
    const running = await begun({ rebaseEvery: 2 })
    await running.trigger()
    const { acknowledge } = gated(running)
    const [second, third] = [running.trigger(), running.trigger()]
    await acknowledge(2)
    await second
    expect(ends(running.told)).toEqual(['a complete 1', 'a complete 2'])
    await acknowledge(3)
    expect(await third).toMatchObject({ status: 'completed' })
    await expectWhole(running.objectStore, 'job/chk-3')
    await expectExactlyNamed(running)
  })

  it('D4: when a pending one is aborted, its base goes as well', async () => {
    const running = await begun({ rebaseEvery: 2 })
    await running.trigger()
    const { acknowledge, gateOf } = gated(running)
    const [second, third] = [running.trigger(), running.trigger()]
    await acknowledge(2)
    await second
    gateOf(0, 3).fail(new Error('no'))
    gateOf(1, 3).fail(new Error('no'))
    expect(await third).toMatchObject({ reason: 'declined' })
    expect(await running.storage.listCheckpoints()).toEqual([2])
    await expectExactlyNamed(running)
  })

  it('each expires by its own time', async () => {
    const running = await begun()
    const { gateOf } = gated(running)
    void running.trigger()
    await running.clock.advance(TIMEOUT_MS / 2)
    void running.trigger()
    await running.clock.advance(TIMEOUT_MS / 2)
    await settle()
    expect(statuses(running.events)).toEqual(['1 expired'])
    await running.clock.advance(TIMEOUT_MS / 2)
    await settle()
    expect(statuses(running.events)).toEqual(['1 expired', '2 expired'])
    for (const id of [1, 2]) for (const task of [0, 1]) gateOf(task, id).open()
    await running.coordinator.close()
    expect(await storedObjects(running.objectStore)).toEqual([])
  })

  it('all are aborted by close, and leave nothing', async () => {
    const running = await begun()
    const { gateOf } = gated(running)
    const triggered = [running.trigger(), running.trigger(), running.trigger()]
    gateOf(0, 2).open()
    await settle()
    const closed = running.coordinator.close()
    for (const id of [1, 2, 3]) for (const task of [0, 1]) gateOf(task, id).fail(new Error('no'))
    await closed
    expect(statuses(await Promise.all(triggered))).toEqual(['1 closed', '2 closed', '3 closed'])
    expect(running.failures).toEqual([])
    expect(await storedObjects(running.objectStore)).toEqual([])
  })
})

describe('canTrigger', () => {
  it('counts what is in flight, and freeSlot waits for the first to end', async () => {
    const running = await begun({ concurrentCheckpointsMax: 2 })
    const { coordinator, trigger } = running
    const { acknowledge } = gated(running)
    void trigger()
    expect(coordinator.canTrigger).toBe(true)
    await coordinator.freeSlot()
    void trigger()
    expect(coordinator.canTrigger).toBe(false)
    expect(trigger).toThrow(expect.objectContaining({ code: 'CHECKPOINT_FAILED' }))
    let free = false
    const freed = (async () => {
      await coordinator.freeSlot()
      free = true
    })()
    await settle()
    expect(free).toBe(false)
    await acknowledge(1)
    await freed
    expect(coordinator.canTrigger).toBe(true)
    await acknowledge(2)
    await coordinator.idle()
    expect(statuses(running.events)).toEqual(['1', '2'])
  })

  it('says no for the minimum pause after a completion, which freeSlot does not wait for', async () => {
    const { coordinator, clock, trigger, events } = await begun({ minPauseMs: 500 })
    await trigger()
    await clock.advance(499)
    expect(coordinator.canTrigger).toBe(false)
    await coordinator.freeSlot()
    expect(trigger).toThrow(expect.objectContaining({ code: 'CHECKPOINT_FAILED' }))
    expect(await coordinator.triggerCheckpoint(null, { ignoreMinPause: true })).toMatchObject({
      checkpointId: 2,
    })
    await clock.advance(499)
    expect(coordinator.canTrigger).toBe(false)
    await clock.advance(1)
    expect(coordinator.canTrigger).toBe(true)
    await trigger()
    expect(statuses(events)).toEqual(['1', '2', '3'])
  })

  it('asks for no pause after an abort, nor after a savepoint', async () => {
    const running = await begun({ minPauseMs: 500 })
    running.task(0).beforeAcknowledge = (id) =>
      id === 1 ? Promise.reject(new Error('no')) : Promise.resolve()
    expect(await running.trigger()).toMatchObject({ reason: 'declined' })
    expect(running.coordinator.canTrigger).toBe(true)
    expect(await running.coordinator.triggerSavepoint(null)).toMatchObject({ status: 'completed' })
    expect(running.coordinator.canTrigger).toBe(true)
  })

  it('is false before start and after close', async () => {
    const running = attempt()
    expect(running.coordinator.canTrigger).toBe(false)
    await running.begin()
    expect(running.coordinator.canTrigger).toBe(true)
    await running.coordinator.close()
    expect(running.coordinator.canTrigger).toBe(false)
  })

  it.each([0, 101, 1.5])('concurrentCheckpointsMax %d is refused', (concurrentCheckpointsMax) => {
    expect(() => attempt({ concurrentCheckpointsMax })).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT' }),
    )
  })
})
