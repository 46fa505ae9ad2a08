/**
 * lmdb as it is best used by hand: its cache, no sync, and one synchronous transaction for a batch of writes, which are read from here
 * until then (of the ways tried, twice as fast as its asynchronous puts).
 */
import { join } from 'node:path'
import { open, type Database, type Key } from 'lmdb'
import type { Contender, ContenderOptions } from '../contender.js'

/** Past any map key of the benchmark. */
const MAP_KEY_END = 2 ** 31
/** More than the map keys of the benchmark, for one number out of two. */
const MAP_KEY_SPAN = 32

export function openLmdb(options: ContenderOptions): Promise<Contender> {
  const root = open({ path: join(options.directory, 'db'), noSync: true, maxDbs: 3 })
  const values = new Batched<number>(root.openDB({ name: 'value', cache: true }))
  const lists = new Batched<readonly number[]>(root.openDB({ name: 'list', cache: true }))
  const maps = root.openDB<number, [number, number]>({ name: 'map', cache: true })
  const entries = new Batched<number>(maps)
  const write = (): void => {
    root.transactionSync(() => {
      for (const batched of [values, lists, entries]) batched.write()
    })
  }
  const idOf = (key: number, mapKey: number): number => key * MAP_KEY_SPAN + mapKey
  const rangeOf = (key: number): { start: [number, number]; end: [number, number] } => {
    if (entries.isWaiting) write()
    return { start: [key, 0], end: [key, MAP_KEY_END] }
  }
  const addAll = (key: number, numbers: readonly number[]): void => {
    lists.put(key, key, [...(lists.get(key, key) ?? []), ...numbers])
  }
  const put = (key: number, mapKey: number, number: number): void =>
    entries.put(idOf(key, mapKey), [key, mapKey], number)
  return Promise.resolve({
    value: {
      get: (key) => values.get(key, key),
      update: (key, number) => values.put(key, key, number),
    },
    list: {
      get: (key) => lists.get(key, key) ?? [],
      add: (key, number) => addAll(key, [number]),
      addAll,
      update: (key, numbers) => lists.put(key, key, [...numbers]),
    },
    map: {
      get: (key, mapKey) => entries.get(idOf(key, mapKey), [key, mapKey]),
      contains: (key, mapKey) => entries.get(idOf(key, mapKey), [key, mapKey]) !== undefined,
      put,
      putAll: (key, added) => {
        for (const [mapKey, number] of added) put(key, mapKey, number)
      },
      remove: (key, mapKey) => entries.put(idOf(key, mapKey), [key, mapKey], undefined),
      isEmpty: (key) => {
        for (const _ of maps.getKeys({ ...rangeOf(key), limit: 1 })) return false
        return true
      },
      sumKeys: (key) => {
        let sum = 0
        for (const [, mapKey] of maps.getKeys(rangeOf(key))) sum += mapKey
        return sum
      },
      sumValues: (key) => {
        let sum = 0
        for (const { value } of maps.getRange(rangeOf(key))) sum += value
        return sum
      },
      sumEntries: (key) => {
        let sum = 0
        for (const { key: entryKey, value } of maps.getRange(rangeOf(key))) {
          sum += entryKey[1] + value
        }
        return sum
      },
    },
    settle: () => {
      if (values.isWaiting || lists.isWaiting || entries.isWaiting) write()
      return undefined
    },
    close: () => root.close(),
  } satisfies Contender)
}

/** The writes of one database that wait for the transaction; `undefined` removes. */
class Batched<V> {
  readonly #db: Database<V>
  readonly #waiting = new Map<number, { readonly key: Key; readonly value: V | undefined }>()

  constructor(db: Database<V>) {
    this.#db = db
  }

  get isWaiting(): boolean {
    return this.#waiting.size > 0
  }

  get(id: number, key: Key): V | undefined {
    const written = this.#waiting.size === 0 ? undefined : this.#waiting.get(id)
    return written === undefined ? this.#db.get(key) : written.value
  }

  put(id: number, key: Key, value: V | undefined): void {
    this.#waiting.set(id, { key, value })
  }

  /** Within a transaction. */
  write(): void {
    for (const { key, value } of this.#waiting.values()) {
      if (value === undefined) this.#db.removeSync(key)
      else this.#db.putSync(key, value)
    }
    this.#waiting.clear()
  }
}
