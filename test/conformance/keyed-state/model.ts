/**
 * A random program over five states of a few keys, with snapshots, notices, restores, evictions and scans between, held against
 * plain JavaScript objects. The same seed is the same program.
 */
import { expect } from 'vitest'
import { CheckpointOptions } from '../../../src/checkpoint/checkpoint-options.js'
import type { IncrementalRemoteKeyedStateHandle } from '../../../src/checkpoint/keyed-state-handle.js'
import { numberKey } from '../../../src/record/key-serializer.js'
import {
  aggregatingState,
  listState,
  mapState,
  reducingState,
  valueState,
  type StateDescriptor,
} from '../../../src/state/state-descriptor.js'
import type { State } from '../../../src/state/state.js'
import {
  Task,
  collect,
  evict,
  sorted,
  handleOf,
  range,
  turns,
  type StateBackendFactory,
} from './task.js'

const KEYS = [0, 1, 2, 3, 4]
const USER_KEYS = 250
const SNAPSHOTS_KEPT = 5

/** What one key has. */
interface KeyModel {
  value: unknown
  list: unknown[]
  map: Map<number, unknown>
  reducing: number | undefined
  aggregating: string[] | undefined
}

const emptyKey = (): KeyModel => ({
  value: undefined,
  list: [],
  map: new Map(),
  reducing: undefined,
  aggregating: undefined,
})

type Model = Map<number, KeyModel>

interface Taken {
  readonly handle: IncrementalRemoteKeyedStateHandle
  readonly model: Model
}

/** Mulberry32. */
function randomOf(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

const descriptors = {
  value: valueState<unknown>('value'),
  list: listState<unknown>('list'),
  map: mapState<number, unknown>('map'),
  reducing: reducingState<number>('reducing', (left, right) => left + right),
  aggregating: aggregatingState<string, string[], string>('aggregating', {
    createAccumulator: () => [],
    add: (value, all) => [...all.slice(-9), value],
    getResult: (all) => all.join(),
  }),
}

function expectSame(actual: unknown, expected: unknown): void {
  expect(actual).toStrictEqual(expected)
}

class ModelRun {
  readonly #task: Task<number>
  readonly #random: () => number
  readonly #factoryOf: (restores: number) => StateBackendFactory
  #model: Model = new Map(KEYS.map((key) => [key, emptyKey()]))
  #taken: Taken[] = []
  #inFlight: Promise<Taken>[] = []
  #restores = 0
  #counter = 0

  constructor(
    task: Task<number>,
    factoryOf: (restores: number) => StateBackendFactory,
    random: () => number,
  ) {
    this.#task = task
    this.#factoryOf = factoryOf
    this.#random = random
  }

  async step(): Promise<void> {
    const dice = this.#random()
    if (this.#task.backend.needsDrain) await this.#task.backend.drain()
    if (dice < 0.9) await this.#access()
    else if (dice < 0.945) this.#snapshot()
    else if (dice < 0.965) await this.#settle()
    else if (dice < 0.975) await evict(this.#task)
    else if (dice < 0.985) await turns(this.#below(5))
    else if (dice < 0.99) await this.#restore()
    else await this.#checkKey(this.#below(KEYS.length))
  }

  /** Holds everything against the model. */
  async finish(): Promise<void> {
    await this.#settle()
    for (const key of KEYS) await this.#checkKey(key)
    await this.#checkKeys()
  }

  #below(limit: number): number {
    return Math.floor(this.#random() * limit)
  }

  #pick<T>(items: readonly T[]): T {
    return items[this.#below(items.length)] as T
  }

  #value(): unknown {
    const n = ++this.#counter
    switch (this.#below(8)) {
      case 0:
        return `text ${n}`
      case 1:
        return { n, nested: [n, { zero: -0 }] }
      case 2:
        return new Map([[n, `${n}`]])
      case 3:
        return this.#pick([-0, NaN, Infinity, 0, true, '', 7n])
      case 4:
        return 'large '.repeat(this.#below(2000))
      default:
        return n
    }
  }

  #of(key: number): KeyModel {
    return this.#model.get(key) as KeyModel
  }

  async #access(): Promise<void> {
    const { backend } = this.#task
    const key = this.#pick(KEYS)
    const model = this.#of(key)
    backend.setCurrentKey(key)
    expectSame(backend.currentKey, key)
    switch (this.#below(5)) {
      case 0:
        return this.#accessValue(model)
      case 1:
        return this.#accessList(model)
      case 2:
        return this.#accessAggregates(model)
      default:
        return this.#accessMap(model)
    }
  }

  #accessValue(model: KeyModel): void {
    const state = this.#task.backend.getState(descriptors.value)
    expectSame(state.value(), model.value)
    if (this.#random() < 0.2) {
      state.clear()
      model.value = undefined
    } else {
      const value = this.#value()
      state.update(value)
      model.value = value
    }
  }

  #accessList(model: KeyModel): void {
    const state = this.#task.backend.getState(descriptors.list)
    const dice = this.#random()
    if (dice < 0.03) {
      state.clear()
      model.list = []
    } else if (dice < 0.12) {
      const values = range(0, this.#below(200)).map(() => this.#value())
      state.update(values)
      model.list = values
    } else if (dice < 0.3) {
      const values = range(0, this.#below(60)).map(() => ++this.#counter)
      state.addAll(values)
      model.list = [...model.list, ...values]
    } else if (dice < 0.8) {
      const value = this.#value()
      state.add(value)
      model.list = [...model.list, value]
    } else {
      expectSame(state.get(), model.list)
    }
  }

  #accessAggregates(model: KeyModel): void {
    const { backend } = this.#task
    const reducing = backend.getState(descriptors.reducing)
    const aggregating = backend.getState(descriptors.aggregating)
    expectSame(reducing.get(), model.reducing)
    expectSame(aggregating.get(), model.aggregating?.join())
    if (this.#random() < 0.1) {
      reducing.clear()
      aggregating.clear()
      model.reducing = undefined
      model.aggregating = undefined
    } else {
      const n = ++this.#counter
      reducing.add(n)
      aggregating.add(`${n}`)
      model.reducing = (model.reducing ?? 0) + n
      model.aggregating = [...(model.aggregating ?? []).slice(-9), `${n}`]
    }
  }

  #accessMap(model: KeyModel): void {
    const state = this.#task.backend.getState(descriptors.map)
    const userKey = this.#below(USER_KEYS)
    const dice = this.#random()
    expectSame(state.get(userKey), model.map.get(userKey))
    expectSame(state.contains(userKey), model.map.has(userKey))
    if (dice < 0.03) {
      state.clear()
      model.map.clear()
    } else if (dice < 0.1) {
      const from = this.#below(USER_KEYS)
      const entries = range(from, from + this.#below(160)).map((i) => [i, this.#counter] as const)
      state.putAll(entries)
      for (const [i, value] of entries) model.map.set(i, value)
    } else if (dice < 0.35) {
      for (const i of range(userKey, userKey + this.#below(60))) {
        state.remove(i)
        model.map.delete(i)
      }
    } else {
      const value = this.#random() < 0.1 ? null : this.#value()
      state.put(userKey, value)
      model.map.set(userKey, value)
    }
  }

  #copyOfModel(): Model {
    return new Map(
      [...this.#model].map(([key, model]) => [
        key,
        { ...model, list: [...model.list], map: new Map(model.map) },
      ]),
    )
  }

  #snapshot(): void {
    const options = this.#pick([
      CheckpointOptions.checkpoint(),
      CheckpointOptions.checkpoint(),
      CheckpointOptions.checkpoint(this.#taken.at(-1)?.handle.checkpointId),
      CheckpointOptions.fullCheckpoint(),
      CheckpointOptions.savepoint(),
    ])
    const model = this.#copyOfModel()
    // Every state is registered, so that no snapshot is empty.
    const all: StateDescriptor<State>[] = Object.values(descriptors)
    for (const descriptor of all) this.#task.backend.getState(descriptor)
    const running = this.#task.snapshot(options)
    const taken = running.then((result) => ({ handle: handleOf(result), model }))
    // Reported when it is waited for, which may be after the rejection.
    taken.catch(() => undefined)
    this.#inFlight.push(taken)
  }

  /** Waits for the snapshots in flight; tells that some are completed and others aborted. */
  async #settle(): Promise<void> {
    const taken = await Promise.all(this.#inFlight)
    this.#inFlight = []
    for (const each of taken) {
      const { checkpointId } = each.handle
      if (this.#random() < 0.6) this.#task.backend.notifyCheckpointComplete(checkpointId)
      else if (this.#random() < 0.5) this.#task.backend.notifyCheckpointAborted(checkpointId)
      this.#taken.push(each)
    }
    this.#taken = this.#taken.slice(-SNAPSHOTS_KEPT)
  }

  /** Comes back from one of the last snapshots, completed or not: storage keeps them all. */
  async #restore(): Promise<void> {
    await this.#settle()
    if (this.#taken.length === 0) return
    const { handle, model } = this.#pick(this.#taken)
    await this.#task.restore(handle, this.#factoryOf(++this.#restores))
    this.#model = model
    this.#model = this.#copyOfModel()
    // Registered late, or not at all before the next snapshot.
    if (this.#random() < 0.5) return
    for (const key of KEYS) await this.#checkKey(key)
    await this.#checkKeys()
  }

  async #checkKey(key: number): Promise<void> {
    const { backend } = this.#task
    const model = this.#of(key)
    backend.setCurrentKey(key)
    expectSame(backend.getState(descriptors.value).value(), model.value)
    expectSame(backend.getState(descriptors.list).get(), model.list)
    expectSame(backend.getState(descriptors.reducing).get(), model.reducing)
    expectSame(backend.getState(descriptors.aggregating).get(), model.aggregating?.join())
    const map = backend.getState(descriptors.map)
    const entries = collect(map.entries())
    const isEmpty = map.isEmpty()
    expectSame(
      await entries,
      [...model.map].toSorted(([a], [b]) => a - b),
    )
    expectSame(await isEmpty, model.map.size === 0)
  }

  async #checkKeys(): Promise<void> {
    const { backend } = this.#task
    const has: [string, (model: KeyModel) => boolean][] = [
      ['value', ({ value }) => value !== undefined],
      ['list', ({ list }) => list.length > 0],
      ['map', ({ map }) => map.size > 0],
      ['reducing', ({ reducing }) => reducing !== undefined],
    ]
    for (const [name, isThere] of has) {
      const expected = KEYS.filter((key) => isThere(this.#of(key)))
      expectSame(await sorted(backend.getKeys(name)), expected)
    }
  }
}

/** Runs a program on the backends of `factoryOf`, which is asked anew at every restore. */
export async function runModel(
  factoryOf: (restores: number) => StateBackendFactory,
  { seed, operations }: { seed: number; operations: number },
): Promise<void> {
  await using task = await Task.start(factoryOf(0), { keySerializer: numberKey })
  const run = new ModelRun(task, factoryOf, randomOf(seed))
  for (let i = 0; i < operations; i++) await run.step()
  await run.finish()
}
