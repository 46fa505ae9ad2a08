/**
 * What the state of a task must be: plain maps that never change in place, so that a snapshot of the model is a copy of three of them.
 */
import { expect } from 'vitest'
import type { SeededRandom } from '../support/random.js'
import { collect, type Backend, type TaskStates } from '../support/state-task.js'

/** Enough for a map and a list to spill, few enough to be rewritten all the time. */
const KEYS = 60
const USER_KEYS = 300

export interface StateModel {
  readonly values: ReadonlyMap<number, string>
  readonly maps: ReadonlyMap<number, ReadonlyMap<number, string>>
  readonly lists: ReadonlyMap<number, readonly string[]>
}

export const EMPTY_MODEL: StateModel = { values: new Map(), maps: new Map(), lists: new Map() }

/** A model that is written together with a backend. */
export class ModelWriter {
  #values: Map<number, string>
  #maps: Map<number, ReadonlyMap<number, string>>
  #lists: Map<number, readonly string[]>
  readonly #random: SeededRandom

  constructor(model: StateModel, random: SeededRandom) {
    this.#values = new Map(model.values)
    this.#maps = new Map(model.maps)
    this.#lists = new Map(model.lists)
    this.#random = random
  }

  /** The state as it is now. */
  model(): StateModel {
    return {
      values: new Map(this.#values),
      maps: new Map(this.#maps),
      lists: new Map(this.#lists),
    }
  }

  /** One random write to both. `hot` keys are few. */
  write(backend: Backend, states: TaskStates, hot: boolean): void {
    const random = this.#random
    const key = random.below(hot ? 8 : KEYS)
    backend.setCurrentKey(key)
    const kind = random.next()
    if (kind < 0.5) this.#writeValue(key, states)
    else if (kind < 0.8) this.#writeMap(key, states)
    else this.#writeList(key, states)
  }

  #text(): string {
    const random = this.#random
    return `${random.next()} `.repeat(1 + random.below(random.chance(0.1) ? 80 : 6))
  }

  #writeValue(key: number, { value }: TaskStates): void {
    if (this.#random.chance(0.15)) {
      value.clear()
      this.#values.delete(key)
    } else {
      const text = this.#text()
      value.update(text)
      this.#values.set(key, text)
    }
  }

  #writeMap(key: number, { map }: TaskStates): void {
    const random = this.#random
    const entries = new Map(this.#maps.get(key))
    const kind = random.next()
    if (kind < 0.05) {
      map.clear()
      entries.clear()
    } else if (kind < 0.25) {
      const userKey = random.below(USER_KEYS)
      map.remove(userKey)
      entries.delete(userKey)
    } else {
      const added: [number, string][] = []
      const count = random.chance(0.1) ? 150 : 1
      for (let index = 0; index < count; index++)
        added.push([random.below(USER_KEYS), this.#text()])
      map.putAll(added)
      for (const [userKey, text] of added) entries.set(userKey, text)
    }
    if (entries.size === 0) this.#maps.delete(key)
    else this.#maps.set(key, entries)
  }

  #writeList(key: number, { list }: TaskStates): void {
    const random = this.#random
    const kind = random.next()
    const before = this.#lists.get(key) ?? []
    let after: readonly string[]
    if (kind < 0.1 || before.length > 600) {
      list.clear()
      after = []
    } else if (kind < 0.2) {
      after = Array.from(
        { length: random.below(200) },
        (_, index) => `${index} of ${random.next()}`,
      )
      list.update(after)
    } else {
      const added = Array.from({ length: 1 + random.below(40) }, () => this.#text())
      list.addAll(added)
      after = [...before, ...added]
    }
    if (after.length === 0) this.#lists.delete(key)
    else this.#lists.set(key, after)
  }
}

/** Compares everything there is, and that nothing else is: values, entries by scan and one by one, lists, and the keys of all states. */
export async function expectModel(
  backend: Backend,
  states: TaskStates,
  model: StateModel,
): Promise<void> {
  for (let key = 0; key < KEYS; key++) {
    backend.setCurrentKey(key)
    const where = `key ${key}`
    expect(states.value.value(), where).toBe(model.values.get(key))
    expect(states.list.get(), where).toEqual(model.lists.get(key) ?? [])
    const entries = model.maps.get(key) ?? new Map<number, string>()
    const found = new Map(await collect(states.map.entries()))
    expect(found.size, where).toBe(entries.size)
    for (const [userKey, text] of entries) {
      // A plain comparison first: a hundred thousand assertions take their time.
      if (found.get(userKey) !== text) expect(found.get(userKey), `${where}, ${userKey}`).toBe(text)
    }
    // Point reads go another way than scans, and find what a scan would hide.
    for (let userKey = key % 10; userKey < USER_KEYS; userKey += 10) {
      const read = states.map.get(userKey)
      if (read !== entries.get(userKey)) {
        expect(read, `${where}, ${userKey}`).toBe(entries.get(userKey))
      }
    }
  }
  const keysOf = async (name: string): Promise<number[]> =>
    (await collect(backend.getKeys(name))).sort((a, b) => a - b)
  const sorted = (keys: Iterable<number>): number[] => [...keys].sort((a, b) => a - b)
  expect(await keysOf('value')).toEqual(sorted(model.values.keys()))
  expect(await keysOf('map')).toEqual(sorted(model.maps.keys()))
  expect(await keysOf('list')).toEqual(sorted(model.lists.keys()))
}
