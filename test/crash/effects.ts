/**
 * A job whose state follows from a number: the effect of record n is a pure function of n, so what the state must be after the first n
 * records can be computed without it. All five states; maps and lists grow beyond one cell, are cut and cleared.
 */
import type { KeyedStateBackend } from '../../src/state/keyed-state-backend.js'
import {
  aggregatingState,
  listState,
  mapState,
  reducingState,
  valueState,
} from '../../src/state/state-descriptor.js'
import type {
  AggregatingState,
  ListState,
  MapState,
  ReducingState,
  ValueState,
} from '../../src/state/state.js'
import { computeKeyGroupForKeyHash } from '../../src/record/key-group-range-assignment.js'
import { numberKey } from '../../src/record/key-serializer.js'
import type { StreamOperator } from '../../src/host/local-stream-job.js'
import { collect } from '../support/state-task.js'

export const MAX_PARALLELISM = 16
const KEYS = 40
const USER_KEYS = 250

type Effect =
  | { readonly on: 'value' | 'reducing' | 'aggregating'; readonly number: number }
  | { readonly on: 'list'; readonly texts: readonly string[]; readonly replace: boolean }
  | { readonly on: 'map'; readonly userKey: number; readonly text: string | undefined }
  | { readonly on: 'clear' }

/** Well mixed bits of record n; `salt` gives others. */
function bits(n: number, salt: number): number {
  let mixed = Math.imul(n + 0x9e3779b9 * (salt + 1), 0x85ebca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0xc2b2ae35)
  return (mixed ^ (mixed >>> 13)) >>> 0
}

export function keyOf(record: number): number {
  return bits(record, 0) % KEYS
}

function effectOf(record: number): Effect {
  const kind = bits(record, 1) % 100
  const number = bits(record, 2) % 1000
  if (kind < 25) return { on: 'value', number }
  if (kind < 40) return { on: 'reducing', number }
  if (kind < 50) return { on: 'aggregating', number }
  if (kind < 70) {
    const texts = Array.from({ length: 1 + (number % 30) }, (_, index) => `${record}/${index}`)
    return { on: 'list', texts, replace: number % 20 === 0 }
  }
  if (kind < 99) {
    const userKey = bits(record, 3) % USER_KEYS
    return { on: 'map', userKey, text: number % 6 === 0 ? undefined : `${record}`.repeat(9) }
  }
  return { on: 'clear' }
}

const valueOf = valueState<number>('value')
const listOf = listState<string>('list')
const mapOf = mapState<number, string>('map', { keySerializer: numberKey })
const reducingOf = reducingState<number>('reducing', (a, b) => a + b)
const aggregatingOf = aggregatingState<number, number[], number>('aggregating', {
  createAccumulator: () => [],
  add: (number, numbers) => [...numbers.slice(-9), number],
  getResult: (numbers) => numbers.reduce((sum, number) => sum * 3 + number, 0) % 1_000_003,
})

export class Effects implements StreamOperator<number> {
  readonly #backend: KeyedStateBackend<number>
  readonly #value: ValueState<number>
  readonly #list: ListState<string>
  readonly #map: MapState<number, string>
  readonly #reducing: ReducingState<number>
  readonly #aggregating: AggregatingState<number, number>

  constructor(backend: KeyedStateBackend<number>) {
    this.#backend = backend
    this.#value = backend.getState(valueOf)
    this.#list = backend.getState(listOf)
    this.#map = backend.getState(mapOf)
    this.#reducing = backend.getState(reducingOf)
    this.#aggregating = backend.getState(aggregatingOf)
  }

  process(record: number): void {
    const effect = effectOf(record)
    switch (effect.on) {
      case 'value':
        return this.#value.update((this.#value.value() ?? 0) + effect.number)
      case 'reducing':
        return this.#reducing.add(effect.number)
      case 'aggregating':
        return this.#aggregating.add(effect.number)
      case 'list':
        if (effect.replace) return this.#list.update(effect.texts)
        return this.#list.addAll(effect.texts)
      case 'map':
        if (effect.text === undefined) return this.#map.remove(effect.userKey)
        return this.#map.put(effect.userKey, effect.text)
      case 'clear':
        for (const state of [this.#value, this.#list, this.#map, this.#reducing]) state.clear()
        return this.#aggregating.clear()
    }
  }

  /** What the state holds for the keys of this backend. */
  async contents(): Promise<Map<number, unknown>> {
    const contents = new Map<number, unknown>()
    for (let key = 0; key < KEYS; key++) {
      if (!isOwned(this.#backend, key)) continue
      this.#backend.setCurrentKey(key)
      contents.set(key, {
        value: this.#value.value(),
        list: this.#list.get(),
        map: await collect(this.#map.entries()),
        reducing: this.#reducing.get(),
        aggregating: this.#aggregating.get(),
      })
    }
    return contents
  }
}

function isOwned({ keyGroupRange }: KeyedStateBackend<number>, key: number): boolean {
  const hash = numberKey.hashCode(numberKey.identityOf(key))
  return keyGroupRange.contains(computeKeyGroupForKeyHash(hash, MAX_PARALLELISM))
}

interface KeyModel {
  value: number | undefined
  list: string[]
  map: Map<number, string>
  reducing: number | undefined
  aggregating: number[]
}

/** The same in plain objects; it only goes forward. */
export class EffectsModel {
  #position = 0
  readonly #keys: KeyModel[] = Array.from({ length: KEYS }, () => ({
    value: undefined,
    list: [],
    map: new Map(),
    reducing: undefined,
    aggregating: [],
  }))

  advanceTo(position: number): void {
    for (; this.#position < position; this.#position++) this.#apply(this.#position)
  }

  #apply(record: number): void {
    const model = this.#keys[keyOf(record)]
    if (model === undefined) throw new Error('every key has a model')
    const effect = effectOf(record)
    switch (effect.on) {
      case 'value':
        model.value = (model.value ?? 0) + effect.number
        break
      case 'reducing':
        model.reducing = (model.reducing ?? 0) + effect.number
        break
      case 'aggregating':
        model.aggregating = [...model.aggregating.slice(-9), effect.number]
        break
      case 'list':
        if (effect.replace) model.list = []
        model.list.push(...effect.texts)
        break
      case 'map':
        if (effect.text === undefined) model.map.delete(effect.userKey)
        else model.map.set(effect.userKey, effect.text)
        break
      case 'clear':
        Object.assign(model, { value: undefined, reducing: undefined, list: [], aggregating: [] })
        model.map = new Map()
    }
  }

  /** As `Effects.contents` for all keys. */
  contents(): Map<number, unknown> {
    return new Map(
      this.#keys.map(({ value, list, map, reducing, aggregating }, key) => [
        key,
        {
          value,
          list: [...list],
          map: [...map].sort(([a], [b]) => a - b),
          reducing,
          aggregating:
            aggregating.length === 0
              ? undefined
              : aggregating.reduce((sum, number) => sum * 3 + number, 0) % 1_000_003,
        },
      ]),
    )
  }
}
