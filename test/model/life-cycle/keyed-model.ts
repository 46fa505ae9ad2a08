/**
 * What the five states of a few keys must be, as plain values, and random writes to model and backend alike.
 *
 * What a key has is never changed in place, so a copy of the whole model is a copy of one small map.
 */
import { isDeepStrictEqual } from 'node:util'
import {
  aggregatingState,
  listState,
  mapState,
  reducingState,
  valueState,
} from '../../../src/state/state-descriptor.js'
import type { SeededRandom } from '../../support/random.js'
import { collect, type Backend } from '../../support/state-task.js'

/** Few enough to be rewritten all the time, enough for every key group to have some. */
const KEYS = 16
const USER_KEYS = 200
/** More spill to a cell for each: see `PACKED_ENTRIES_MAX`. */
const BULK_ENTRIES = 150
const LIST_ELEMENTS_MAX = 400

interface Sum {
  readonly count: number
  readonly sum: number
}

export interface KeyModel {
  readonly value: string | undefined
  readonly list: readonly number[]
  readonly map: ReadonlyMap<number, string>
  readonly reducing: number | undefined
  readonly aggregating: Sum | undefined
}

const NOTHING: KeyModel = {
  value: undefined,
  list: [],
  map: new Map(),
  reducing: undefined,
  aggregating: undefined,
}

export type KeyedModel = ReadonlyMap<number, KeyModel>

const states = {
  value: valueState<string>('value'),
  list: listState<number>('list'),
  map: mapState<number, string>('map'),
  reducing: reducingState<number>('reducing', (left, right) => left + right),
  aggregating: aggregatingState<number, Sum, string>('aggregating', {
    createAccumulator: () => ({ count: 0, sum: 0 }),
    add: (value, { count, sum }) => ({ count: count + 1, sum: sum + value }),
    getResult: ({ count, sum }) => `${count}: ${sum}`,
  }),
}

/** Whose backend a key is in. */
export type BackendOf = (key: number) => Backend

/** One random write to `model` and to the backend of its key. A state is registered when it is first used. */
export function write(random: SeededRandom, model: Map<number, KeyModel>, of: BackendOf): void {
  const key = random.below(KEYS)
  const backend = of(key)
  const before = model.get(key) ?? NOTHING
  backend.setCurrentKey(key)
  const kind = random.pick([
    'value',
    'value',
    'list',
    'map',
    'map',
    'reducing',
    'aggregating',
  ] as const)
  const after = { ...before, ...writers[kind](random, backend, before) }
  if (isDeepStrictEqual(after, NOTHING)) model.delete(key)
  else model.set(key, after)
}

type Writer = (random: SeededRandom, backend: Backend, before: KeyModel) => Partial<KeyModel>

const writers: Record<'value' | 'list' | 'map' | 'reducing' | 'aggregating', Writer> = {
  value: writeValue,
  list: writeList,
  map: writeMap,
  reducing: (random, backend, { reducing }) => {
    const state = backend.getState(states.reducing)
    if (random.chance(0.15)) {
      state.clear()
      return { reducing: undefined }
    }
    const added = random.below(1000)
    state.add(added)
    return { reducing: (reducing ?? 0) + added }
  },
  aggregating: (random, backend, { aggregating = { count: 0, sum: 0 } }) => {
    const state = backend.getState(states.aggregating)
    if (random.chance(0.15)) {
      state.clear()
      return { aggregating: undefined }
    }
    const added = random.below(1000)
    state.add(added)
    return { aggregating: { count: aggregating.count + 1, sum: aggregating.sum + added } }
  },
}

function writeValue(random: SeededRandom, backend: Backend): Partial<KeyModel> {
  const state = backend.getState(states.value)
  if (random.chance(0.2)) {
    state.clear()
    return { value: undefined }
  }
  const value = text(random)
  state.update(value)
  return { value }
}

function text(random: SeededRandom): string {
  return `${random.below(1_000_000)} `.repeat(1 + random.below(random.chance(0.03) ? 900 : 8))
}

function writeList(random: SeededRandom, backend: Backend, { list }: KeyModel): Partial<KeyModel> {
  const state = backend.getState(states.list)
  const kind = random.next()
  if (kind < 0.1 || list.length > LIST_ELEMENTS_MAX) {
    state.clear()
    return { list: [] }
  }
  const numbers = Array.from({ length: random.below(random.chance(0.05) ? BULK_ENTRIES : 6) }, () =>
    random.below(1000),
  )
  if (kind < 0.2) {
    state.update(numbers)
    return { list: numbers }
  }
  state.addAll(numbers)
  return { list: [...list, ...numbers] }
}

function writeMap(random: SeededRandom, backend: Backend, before: KeyModel): Partial<KeyModel> {
  const state = backend.getState(states.map)
  const kind = random.next()
  if (kind < 0.06) {
    state.clear()
    return { map: new Map() }
  }
  const map = new Map(before.map)
  const first = random.below(USER_KEYS)
  if (kind < 0.25) {
    state.remove(first)
    map.delete(first)
  } else {
    const count = random.chance(0.05) ? BULK_ENTRIES : 1
    const entries = Array.from({ length: count }, (_, index): [number, string] => [
      (first + index) % USER_KEYS,
      `${random.below(1000)}`,
    ])
    state.putAll(entries)
    for (const [userKey, value] of entries) map.set(userKey, value)
  }
  return { map }
}

/** Values that fill a write buffer, over what the keys had. */
export async function writeMuch(
  random: SeededRandom,
  model: Map<number, KeyModel>,
  of: BackendOf,
  bytes: number,
): Promise<void> {
  for (let written = 0; written < bytes;) {
    const key = random.below(KEYS)
    const backend = of(key)
    if (backend.needsDrain) await backend.drain()
    const value = `${random.below(1_000_000)}`.repeat(20_000)
    backend.setCurrentKey(key)
    backend.getState(states.value).update(value)
    model.set(key, { ...(model.get(key) ?? NOTHING), value })
    written += value.length
  }
  // They would make every later checkpoint slow.
  for (const [key, before] of model) {
    const backend = of(key)
    backend.setCurrentKey(key)
    backend.getState(states.value).clear()
    model.set(key, { ...before, value: undefined })
  }
}

/** Compares one key in all states, by points and by scan; throws what is different. */
export async function checkKey(model: KeyedModel, of: BackendOf, key: number): Promise<void> {
  const backend = of(key)
  const expected = model.get(key) ?? NOTHING
  backend.setCurrentKey(key)
  const map = backend.getState(states.map)
  const aggregate = expected.aggregating
  const userKey = key * 7
  equal(backend.getState(states.value).value(), expected.value, `value of ${key}`)
  equal(backend.getState(states.list).get(), expected.list, `list of ${key}`)
  equal(backend.getState(states.reducing).get(), expected.reducing, `reducing of ${key}`)
  equal(
    backend.getState(states.aggregating).get(),
    aggregate && `${aggregate.count}: ${aggregate.sum}`,
    `aggregating of ${key}`,
  )
  equal(map.get(userKey), expected.map.get(userKey), `map of ${key} at ${userKey}`)
  equal(new Map(await collect(map.entries())), expected.map, `map of ${key}`)
}

export function randomKey(random: SeededRandom): number {
  return random.below(KEYS)
}

/** Compares everything, and that there is nothing else. */
export async function checkAll(
  model: KeyedModel,
  backends: readonly Backend[],
  of: BackendOf,
): Promise<void> {
  for (let key = 0; key < KEYS; key++) await checkKey(model, of, key)
  const held: Record<string, (key: KeyModel) => boolean> = {
    value: ({ value }) => value !== undefined,
    list: ({ list }) => list.length > 0,
    map: ({ map }) => map.size > 0,
    reducing: ({ reducing }) => reducing !== undefined,
    aggregating: ({ aggregating }) => aggregating !== undefined,
  }
  for (const [name, isHeld] of Object.entries(held)) {
    const found: number[] = []
    for (const backend of backends) found.push(...(await collect(backend.getKeys(name))))
    const expected = [...model].flatMap(([key, each]) => (isHeld(each) ? key : []))
    equal(new Set(found), new Set(expected), `keys of ${name}`)
    equal(found.length, expected.length, `number of keys of ${name}`)
  }
}

/** A million comparisons are too many for `expect`. */
function equal(actual: unknown, expected: unknown, what: string): void {
  if (isDeepStrictEqual(actual, expected)) return
  throw new Error(`${what} is ${shown(actual)}, not ${shown(expected)}`)
}

function shown(value: unknown): string {
  const plain = value instanceof Map || value instanceof Set ? [...value] : value
  return (JSON.stringify(plain) ?? 'undefined').slice(0, 400)
}
