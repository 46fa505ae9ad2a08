/**
 * One state of every kind and size, with contents that can be told apart by version: version n + 1 changes something in each, in
 * place where the state is in the active generation.
 */
import { expect } from 'vitest'
import {
  aggregatingState,
  listState,
  mapState,
  reducingState,
  valueState,
} from '../../../src/state/state-descriptor.js'
import { collect, range, type NumberTask } from './task.js'

const SPILLED_SIZE = 300
const SMALL_SIZE = 5
export const KEYS: readonly number[] = [1, 2, 3]

const concat = (left: string, right: string): string => left + right

export function statesOf({ backend }: NumberTask) {
  return {
    count: backend.getState(valueState<number>('count')),
    value: backend.getState(valueState<{ version: number }>('value')),
    smallList: backend.getState(listState<string>('small-list')),
    largeList: backend.getState(listState<string>('large-list')),
    smallMap: backend.getState(mapState<number, string>('small-map')),
    largeMap: backend.getState(mapState<number, string>('large-map')),
    reducing: backend.getState(reducingState<string>('reducing', concat)),
    aggregating: backend.getState(
      aggregatingState<string, string[], number>('aggregating', {
        createAccumulator: () => [],
        add: (value, all) => [...all, value],
        getResult: (all) => all.length,
      }),
    ),
  }
}

/** Writes version 0, or turns version `version - 1` into `version`. */
export function writeVersion(task: NumberTask, version: number): void {
  const states = statesOf(task)
  for (const key of KEYS) {
    task.backend.setCurrentKey(key)
    const text = `${key}/${version}`
    states.count.update(version)
    states.value.update({ version })
    states.smallList.add(text)
    states.largeList.addAll(version === 0 ? Array<string>(SPILLED_SIZE).fill(text) : [text, text])
    states.smallMap.put(version % SMALL_SIZE, text)
    if (version % 2 === 1) states.smallMap.remove((version - 1) % SMALL_SIZE)
    if (version === 0) states.largeMap.putAll(range(0, SPILLED_SIZE).map((i) => [i, text]))
    else states.largeMap.putAll(range(0, 3).map((i) => [version * 10 + i, text]))
    if (version % 2 === 1) states.largeMap.remove(version * 10)
    states.reducing.add(text)
    states.aggregating.add(text)
  }
}

/** Holds everything the task reads against `version`. */
export async function expectVersion(task: NumberTask, version: number): Promise<void> {
  const states = statesOf(task)
  for (const key of KEYS) {
    task.backend.setCurrentKey(key)
    const small: string[] = []
    const large: string[] = []
    const smallMap = new Map<number, string>()
    const largeMap = new Map<number, string>()
    for (const v of range(0, version + 1)) {
      const text = `${key}/${v}`
      small.push(text)
      large.push(...Array<string>(v === 0 ? SPILLED_SIZE : 2).fill(text))
      smallMap.set(v % SMALL_SIZE, text)
      if (v % 2 === 1) smallMap.delete((v - 1) % SMALL_SIZE)
      for (const i of range(0, v === 0 ? SPILLED_SIZE : 3)) largeMap.set(v * 10 + i, text)
      if (v % 2 === 1) largeMap.delete(v * 10)
    }
    expect(states.count.value()).toBe(version)
    expect(states.value.value()).toEqual({ version })
    expect(states.smallList.get()).toEqual(small)
    expect(states.largeList.get()).toEqual(large)
    const userKeys = range(0, SPILLED_SIZE)
    expect(userKeys.map((i) => states.smallMap.get(i))).toEqual(
      userKeys.map((i) => smallMap.get(i)),
    )
    expect(userKeys.map((i) => states.largeMap.get(i))).toEqual(
      userKeys.map((i) => largeMap.get(i)),
    )
    expect(states.reducing.get()).toBe(small.join(''))
    expect(states.aggregating.get()).toBe(small.length)
    const sorted = (map: Map<number, string>): [number, string][] =>
      [...map].toSorted(([a], [b]) => a - b)
    const { backend } = task
    expect(await collect(states.smallMap.entries())).toEqual(sorted(smallMap))
    backend.setCurrentKey(key)
    expect(await collect(states.largeMap.entries())).toEqual(sorted(largeMap))
  }
}
