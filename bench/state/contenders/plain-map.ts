/** The ceiling: JavaScript's own Map, no persistence at all. */
import type { Contender } from '../contender.js'

export function openPlainMap(): Promise<Contender> {
  const values = new Map<number, number>()
  const lists = new Map<number, number[]>()
  const maps = new Map<number, Map<number, number>>()
  const none: ReadonlyMap<number, number> = new Map<number, number>()
  const own = (key: number): Map<number, number> => {
    let map = maps.get(key)
    if (map === undefined) maps.set(key, (map = new Map<number, number>()))
    return map
  }
  const addAll = (key: number, numbers: readonly number[]): void => {
    const list = lists.get(key)
    if (list === undefined) lists.set(key, [...numbers])
    else list.push(...numbers)
  }
  const sum = (numbers: Iterable<number>): number => {
    let total = 0
    for (const number of numbers) total += number
    return total
  }
  return Promise.resolve({
    value: {
      get: (key) => values.get(key),
      update: (key, number) => {
        values.set(key, number)
      },
    },
    list: {
      get: (key) => lists.get(key) ?? [],
      add: (key, number) => addAll(key, [number]),
      addAll,
      update: (key, numbers) => {
        lists.set(key, [...numbers])
      },
    },
    map: {
      get: (key, mapKey) => maps.get(key)?.get(mapKey),
      contains: (key, mapKey) => maps.get(key)?.has(mapKey) ?? false,
      put: (key, mapKey, number) => {
        own(key).set(mapKey, number)
      },
      putAll: (key, entries) => {
        const map = own(key)
        for (const [mapKey, number] of entries) map.set(mapKey, number)
      },
      remove: (key, mapKey) => {
        const map = maps.get(key)
        map?.delete(mapKey)
        if (map?.size === 0) maps.delete(key)
      },
      isEmpty: (key) => !maps.has(key),
      sumKeys: (key) => sum((maps.get(key) ?? none).keys()),
      sumValues: (key) => sum((maps.get(key) ?? none).values()),
      sumEntries: (key) => {
        let total = 0
        for (const [mapKey, number] of maps.get(key) ?? none) total += mapKey + number
        return total
      },
    },
    settle: () => undefined,
    close: () => Promise.resolve(),
  } satisfies Contender)
}
