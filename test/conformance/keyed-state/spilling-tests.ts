import { expect, it } from 'vitest'
import { CheckpointOptions } from '../../../src/checkpoint/checkpoint-options.js'
import { PACKED_BYTES_MAX, PACKED_ENTRIES_MAX } from '../../../src/state/spilling.js'
import { listState, mapState } from '../../../src/state/state-descriptor.js'
import type { ListState, MapState } from '../../../src/state/state.js'
import { liveEntries } from './checkpoint-entries.js'
import {
  collect,
  evict,
  range,
  startNumberTask,
  turns,
  type NumberTask,
  type StateBackendFactory,
} from './task.js'

const m = mapState<number, unknown>('m')
const l = listState<unknown>('l')

function statesOf({ backend }: NumberTask): {
  map: MapState<number, unknown>
  list: ListState<unknown>
} {
  const states = { map: backend.getState(m), list: backend.getState(l) }
  backend.setCurrentKey(1)
  return states
}

/** Holds a task's map and list of key 1 against what they must contain, by every way of reading. */
async function expectContents(
  task: NumberTask,
  entries: ReadonlyMap<number, unknown>,
  elements: readonly unknown[],
): Promise<void> {
  const { map, list } = statesOf(task)
  const sorted = [...entries].toSorted(([a], [b]) => a - b)
  expect(await collect(map.entries())).toEqual(sorted)
  expect(sorted.map(([userKey]) => [userKey, map.get(userKey)])).toEqual(sorted)
  expect(map.contains(-1)).toBe(false)
  expect(await map.isEmpty()).toBe(entries.size === 0)
  expect(list.get()).toEqual(elements)
  expect(await collect(task.backend.getKeys('m'))).toEqual(entries.size === 0 ? [] : [1])
  expect(await collect(task.backend.getKeys('l'))).toEqual(elements.length === 0 ? [] : [1])
}

/** Checks now, after a flush, after an eviction, and after a restore. */
async function expectEverywhere(
  task: NumberTask,
  entries: ReadonlyMap<number, unknown>,
  elements: readonly unknown[],
): Promise<void> {
  await expectContents(task, entries, elements)
  await task.checkpoint()
  await expectContents(task, entries, elements)
  await evict(task)
  await expectContents(task, entries, elements)
  await task.restart()
  await expectContents(task, entries, elements)
}

const limits = [
  PACKED_ENTRIES_MAX - 1,
  PACKED_ENTRIES_MAX,
  PACKED_ENTRIES_MAX + 1,
  2 * PACKED_ENTRIES_MAX + 1,
  3000,
]

export function spillingTests(factory: StateBackendFactory): void {
  it.each(limits)('%d entries and elements, one by one and at once', async (size) => {
    await using task = await startNumberTask(factory)
    const entries = new Map(range(0, size).map((i) => [(i * 7919) % size, `value ${i}`]))
    const elements = range(0, size)
    const { map, list } = statesOf(task)
    for (const [userKey, value] of entries) map.put(userKey, value)
    for (const element of elements) list.add(element)
    await expectEverywhere(task, entries, elements)
    statesOf(task).map.putAll(entries)
    statesOf(task).list.update(elements)
    await expectEverywhere(task, entries, elements)
  })

  it.each([PACKED_BYTES_MAX - 1000, PACKED_BYTES_MAX, 100_000, 1_000_000])(
    'values of %d bytes',
    async (size) => {
      await using task = await startNumberTask(factory)
      const large = 'x'.repeat(size)
      const { map, list } = statesOf(task)
      const entries = new Map<number, unknown>([
        [1, large],
        [2, 'small'],
        [3, { large }],
        [4, null],
      ])
      map.putAll(entries)
      await task.backend.drain()
      list.addAll([large, 'small', { large }])
      if (task.backend.needsDrain) await task.backend.drain()
      list.add('last')
      await expectEverywhere(task, entries, [large, 'small', { large }, 'last'])
      statesOf(task).map.remove(1)
      entries.delete(1)
      statesOf(task).list.update(['small', large])
      await expectEverywhere(task, entries, ['small', large])
    },
  )

  it('shrinks, is cleared and refilled, and old entries never come back', async () => {
    await using task = await startNumberTask(factory)
    const entries = new Map<number, unknown>()
    const elements: unknown[] = []
    for (let round = 0; round < 6; round++) {
      const { map, list } = statesOf(task)
      for (const i of range(0, 300)) {
        map.put(i, `round ${round}, ${i}`)
        entries.set(i, `round ${round}, ${i}`)
        list.add([round, i])
        elements.push([round, i])
      }
      if (round % 2 === 0) await task.checkpoint()
      for (const i of range(0, 300)) {
        if (i % 10 === round) continue
        map.remove(i)
        entries.delete(i)
      }
      await expectContents(task, entries, elements)
      if (round === 1) await evict(task)
      const fresh = statesOf(task)
      fresh.map.clear()
      fresh.list.clear()
      entries.clear()
      elements.length = 0
      if (round % 3 === 0) await expectContents(task, entries, elements)
      if (round % 3 === 1) await task.checkpoint()
      statesOf(task).map.put(round, 'again')
      entries.set(round, 'again')
      statesOf(task).list.add('again')
      elements.push('again')
      await (round === 3 ? expectEverywhere : expectContents)(task, entries, elements)
    }
    await expectEverywhere(task, entries, elements)
  })

  it('grows over many generations, with overwrites, removals and appends between them', async () => {
    await using task = await startNumberTask(factory)
    const entries = new Map<number, unknown>()
    const elements: unknown[] = []
    for (let generation = 0; generation < 20; generation++) {
      const { map, list } = statesOf(task)
      for (const i of range(0, 25)) {
        const userKey = (generation * 17 + i * 3) % 500
        if (i % 6 === 5) {
          map.remove(userKey)
          entries.delete(userKey)
        } else {
          map.put(userKey, generation)
          entries.set(userKey, generation)
        }
        list.add(generation)
        elements.push(generation)
      }
      await task.snapshot()
      if (generation % 10 === 9) await evict(task)
    }
    await expectEverywhere(task, entries, elements)
  })

  it('a spilled map that was emptied entry by entry is empty everywhere', async () => {
    await using task = await startNumberTask(factory)
    statesOf(task).map.putAll(range(0, 300).map((i) => [i, i]))
    await task.checkpoint()
    await evict(task)
    for (const i of range(0, 300)) statesOf(task).map.remove(i)
    await expectEverywhere(task, new Map(), [])
    statesOf(task).map.put(3, 'again')
    await expectEverywhere(task, new Map([[3, 'again']]), [])
  })

  it('an epoch is never used again, also after walking back to an older checkpoint', async () => {
    await using task = await startNumberTask(factory)
    statesOf(task).map.putAll(range(0, 300).map((i) => [i, 'first']))
    statesOf(task).list.addAll(range(0, 300))
    const first = await task.checkpoint()
    for (const text of ['second', 'third']) {
      await task.restore(first)
      const { map, list } = statesOf(task)
      map.clear()
      list.clear()
      map.putAll(range(100, 400).map((i) => [i, text]))
      list.addAll(range(0, 200))
      const expected = new Map(range(100, 400).map((i) => [i, text]))
      await expectEverywhere(task, expected, range(0, 200))
    }
    await task.restore(first)
    await expectContents(task, new Map(range(0, 300).map((i) => [i, 'first'])), range(0, 300))
  })

  it.each([
    ['at once', false],
    ['after a restart', true],
  ])('entries of a map and a list cleared %s are removed in the end', async (_, restarted) => {
    await using task = await startNumberTask(factory)
    for (const round of range(0, 3)) {
      const { map, list } = statesOf(task)
      map.clear()
      list.clear()
      map.putAll(range(0, 1500).map((i) => [i, round]))
      list.addAll(range(0, 1500))
      await task.checkpoint()
    }
    if (restarted) await task.restart()
    statesOf(task).map.clear()
    statesOf(task).list.clear()
    statesOf(task).map.put(1, 'left')
    let left = Infinity
    for (let attempt = 0; attempt < 50 && left > 1; attempt++) {
      await task.checkpoint()
      await turns(20)
      const full = await task.checkpoint(CheckpointOptions.fullCheckpoint())
      left = (await liveEntries(task.storage, full)).length
    }
    expect(left).toBe(1)
    await expectContents(task, new Map([[1, 'left']]), [])
  })

  it('a sweep that a restore cut short goes on after it', async () => {
    await using task = await startNumberTask(factory)
    statesOf(task).map.putAll(range(0, 3000).map((i) => [i, 'old']))
    await task.checkpoint()
    statesOf(task).map.clear()
    statesOf(task).map.put(1, 'left')
    await task.restart()
    await expectContents(task, new Map([[1, 'left']]), [])
    let left = Infinity
    for (let attempt = 0; attempt < 50 && left > 1; attempt++) {
      statesOf(task).map.put(1, 'left')
      await task.checkpoint()
      await turns(20)
      const full = await task.checkpoint(CheckpointOptions.fullCheckpoint())
      left = (await liveEntries(task.storage, full)).length
    }
    expect(left).toBe(1)
    await expectContents(task, new Map([[1, 'left']]), [])
  })
}
