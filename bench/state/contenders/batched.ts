/**
 * What is written by hand around a store of ordered bytes: big-endian keys, one entry per user key of a map, a list as one value (there
 * is no merge operator), and a batch whose writes are read from here until it is written.
 */
import { Buffer } from 'node:buffer'
import { mapAnswer, type Answer, type Contender } from '../contender.js'

export interface OrderedBytes {
  get(key: Buffer): Answer<Buffer | null | undefined>
  /** All values in [gte, lt), ascending, with their keys. */
  scan(gte: Buffer, lt: Buffer, limit: number): Promise<(readonly [Buffer, Buffer])[]>
  /** Adds to the batch; the caller keeps neither buffer. */
  put(key: Buffer, value: Buffer): void
  delete(key: Buffer): void
  write(): Promise<void>
  close(): Promise<void>
}

const NUMBER_BYTES = 8
/** No map key reaches it: the end of a key's entries. */
const MAP_KEY_END = Infinity
/** More than a map of the benchmark has. */
const SCAN_MAX = 64

export function batchedContender(store: OrderedBytes): Contender {
  /** What the batch holds of maps; the operations of a batch are on other keys, except for those of one map. */
  const batch = new Map<string, Buffer | undefined>()
  const put = (key: Buffer, value: Buffer): void => {
    store.put(key, value)
    batch.set(key.toString('latin1'), value)
  }
  const remove = (key: Buffer): void => {
    store.delete(key)
    batch.set(key.toString('latin1'), undefined)
  }
  const get = (key: Buffer): Answer<Buffer | null | undefined> => {
    if (batch.size === 0) return store.get(key)
    const identity = key.toString('latin1')
    return batch.has(identity) ? batch.get(identity) : store.get(key)
  }
  const write = async (): Promise<void> => {
    await store.write()
    batch.clear()
  }
  const scan = async (key: number, limit = SCAN_MAX): Promise<(readonly [Buffer, Buffer])[]> => {
    if (batch.size > 0) await write()
    return store.scan(bytesOf(key, 0), bytesOf(key, MAP_KEY_END), limit)
  }
  const append = (key: number, values: readonly number[]): Answer<void> => {
    const listKey = bytesOf(key)
    return mapAnswer(get(listKey), (list) => {
      put(listKey, list ? Buffer.concat([list, bytesOf(...values)]) : bytesOf(...values))
    })
  }
  return {
    value: {
      get: (key) => mapAnswer(get(bytesOf(key)), optionalNumber),
      update: (key, value) => put(bytesOf(key), bytesOf(value)),
    },
    list: {
      get: (key) => mapAnswer(get(bytesOf(key)), numbersOf),
      add: (key, value) => append(key, [value]),
      addAll: append,
      update: (key, values) => put(bytesOf(key), bytesOf(...values)),
    },
    map: {
      get: (key, mapKey) => mapAnswer(get(bytesOf(key, mapKey)), optionalNumber),
      contains: (key, mapKey) => mapAnswer(get(bytesOf(key, mapKey)), Boolean),
      put: (key, mapKey, value) => put(bytesOf(key, mapKey), bytesOf(value)),
      putAll: (key, entries) => {
        for (const [mapKey, value] of entries) put(bytesOf(key, mapKey), bytesOf(value))
      },
      remove: (key, mapKey) => remove(bytesOf(key, mapKey)),
      isEmpty: async (key) => (await scan(key, 1)).length === 0,
      sumKeys: async (key) =>
        (await scan(key)).reduce((sum, [k]) => sum + k.readDoubleBE(NUMBER_BYTES), 0),
      sumValues: async (key) => (await scan(key)).reduce((sum, [, v]) => sum + v.readDoubleBE(), 0),
      sumEntries: async (key) =>
        (await scan(key)).reduce(
          (sum, [k, v]) => sum + k.readDoubleBE(NUMBER_BYTES) + v.readDoubleBE(),
          0,
        ),
    },
    settle: () => (batch.size === 0 ? undefined : write()),
    close: () => store.close(),
  }
}

function bytesOf(...numbers: number[]): Buffer {
  const bytes = Buffer.allocUnsafe(numbers.length * NUMBER_BYTES)
  for (let i = 0; i < numbers.length; i++) bytes.writeDoubleBE(numbers[i] ?? 0, i * NUMBER_BYTES)
  return bytes
}

function optionalNumber(bytes: Buffer | null | undefined): number | undefined {
  return bytes ? bytes.readDoubleBE() : undefined
}

function numbersOf(bytes: Buffer | null | undefined): number[] {
  const numbers: number[] = []
  for (let at = 0; bytes && at < bytes.length; at += NUMBER_BYTES)
    numbers.push(bytes.readDoubleBE(at))
  return numbers
}
