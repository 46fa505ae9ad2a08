/**
 * A job that is ended and started again at other parallelisms, with writes, deletes, clears and checkpoints between, beside a plain
 * model of what its state must be.
 */
import { join } from 'node:path'
import { expect } from 'vitest'
import type { RebasePolicy } from '../../src/checkpoint/rebase-policy.js'
import { CheckpointOptions } from '../../src/checkpoint/checkpoint-options.js'
import { keyGroupOf } from '../../src/record/composite-key.js'
import { KeyGroupRange } from '../../src/record/key-group-range.js'
import {
  computeKeyGroupForKeyHash,
  computeKeyGroupRangeForOperatorIndex,
} from '../../src/record/key-group-range-assignment.js'
import { numberKey } from '../../src/record/key-serializer.js'
import { CheckpointStorage } from '../../src/storage/checkpoint-storage.js'
import { MemoryObjectStore } from '../../src/storage/memory-object-store.js'
import type { ObjectStore } from '../../src/storage/object-store.js'
import { TableReader } from '../../src/table/table-reader.js'
import { SeededRandom } from '../support/random.js'
import {
  collect,
  handleOf,
  stateBackendOf,
  statesOf,
  temporaryDirectory,
  throughJSON,
  type Backend,
  type BackendKind,
  type Handle,
  type TaskStates,
} from '../support/state-task.js'

const MAX_PARALLELISM = 77
export const KEYS = 400
/** Keys with large maps and lists. */
const SPILLING_KEYS = 6
const PARALLELISMS = [1, 2, 3, 4, 5, 8, 15, 77]

const REBASE_OFTEN: Partial<RebasePolicy> = { smallStateBytes: 4000, deltaCountMax: 5 }

export function groupOf(key: number): number {
  return computeKeyGroupForKeyHash(numberKey.hashCode(key), MAX_PARALLELISM)
}

interface Task {
  readonly backend: Backend
  readonly states: TaskStates
}

/** What the state must be. */
class Model {
  readonly values = new Map<number, string>()
  readonly maps = new Map<number, Map<number, string>>()
  readonly lists = new Map<number, string[]>()
}

export class RescaledJob {
  readonly random: SeededRandom
  readonly storage: CheckpointStorage
  readonly model = new Model()
  handles: Handle[] = []
  tasks: Task[] = []
  #checkpointId = 0

  readonly #policy: Partial<RebasePolicy>

  constructor(
    seed: number,
    policy: Partial<RebasePolicy> = REBASE_OFTEN,
    objectStore: ObjectStore = new MemoryObjectStore(),
  ) {
    this.random = new SeededRandom(seed)
    this.storage = new CheckpointStorage(objectStore, { jobId: 'job', inlineThresholdBytes: 1000 })
    this.#policy = policy
  }

  /** Ends all tasks and starts others over `ranges`, from the last completed checkpoint. */
  async restart(ranges: readonly KeyGroupRange[], only?: BackendKind): Promise<void> {
    await this.close()
    for (const keyGroupRange of ranges) {
      const kind = only ?? (this.random.chance(0.75) ? 'leveldb' : 'hashmap')
      const backend = await stateBackendOf(kind, temporaryDirectory(), {
        policy: this.#policy,
      }).createKeyedStateBackend({
        operatorId: 'operator',
        keySerializer: numberKey,
        maxParallelism: MAX_PARALLELISM,
        keyGroupRange,
        stateHandles: this.handles.map(throughJSON),
        checkpointStorage: this.storage,
      })
      this.tasks.push({ backend, states: statesOf(backend) })
    }
  }

  at(key: number): TaskStates {
    const task = this.tasks.find(({ backend }) => backend.keyGroupRange.contains(groupOf(key)))
    if (task === undefined) throw new Error(`no task has key ${key}`)
    task.backend.setCurrentKey(key)
    return task.states
  }

  write(): void {
    const { random, model } = this
    const key = random.below(KEYS)
    const states = this.at(key)
    if (random.chance(0.3)) {
      states.value.clear()
      model.values.delete(key)
    } else {
      const text = `v${random.below(1e6)}`
      states.value.update(text)
      model.values.set(key, text)
    }
    if (key >= SPILLING_KEYS) return
    this.#writeMap(key, states)
    this.#writeList(key, states)
  }

  #writeMap(key: number, { map }: TaskStates): void {
    const { random } = this
    const expected = this.model.maps.get(key) ?? new Map<number, string>()
    this.model.maps.set(key, expected)
    if (random.chance(0.01)) {
      map.clear()
      expected.clear()
    }
    for (let i = 0; i < 20; i++) {
      const userKey = random.below(300)
      if (random.chance(0.3)) {
        map.remove(userKey)
        expected.delete(userKey)
      } else {
        map.put(userKey, `m${i}`)
        expected.set(userKey, `m${i}`)
      }
    }
  }

  #writeList(key: number, { list }: TaskStates): void {
    const expected = this.model.lists.get(key) ?? []
    if (this.random.chance(0.02)) {
      list.clear()
      expected.length = 0
    }
    const added = Array.from({ length: 10 }, (_, i) => `l${i}`)
    list.addAll(added)
    expected.push(...added)
    this.model.lists.set(key, expected)
  }

  async checkpoint(completes: boolean): Promise<void> {
    const id = ++this.#checkpointId
    const results = await Promise.all(
      this.tasks.map(({ backend }) =>
        backend.snapshot(id, 0, this.storage.streamFactory(id), CheckpointOptions.checkpoint()),
      ),
    )
    for (const { backend } of this.tasks) {
      if (completes) backend.notifyCheckpointComplete(id)
      else backend.notifyCheckpointAborted(id)
    }
    if (completes) this.handles = results.map(handleOf)
  }

  /** Every row is in exactly one task, and the union of the tasks is the model. */
  async expectModel(): Promise<void> {
    const keys = await Promise.all(
      this.tasks.map(({ backend }) => collect(backend.getKeys('value'))),
    )
    expect(keys.flat().toSorted((a, b) => a - b)).toEqual(
      [...this.model.values.keys()].toSorted((a, b) => a - b),
    )
    for (let key = 0; key < KEYS; key++) {
      expect(this.at(key).value.value(), `value of ${key}`).toBe(this.model.values.get(key))
    }
    for (const [key, expected] of this.model.maps) {
      const entries = await collect(this.at(key).map.entries())
      const sorted = [...expected].toSorted(([a], [b]) => a - b)
      expect(entries, `map of ${key}`).toEqual(sorted)
      expect(this.at(key).list.get(), `list of ${key}`).toEqual(this.model.lists.get(key))
    }
  }

  /** No table that a handle names holds a key outside the handle's range. */
  async expectTablesInRange(): Promise<void> {
    const directory = temporaryDirectory()
    for (const [taskIndex, handle] of this.handles.entries()) {
      for (const [index, table] of handle.sharedState.entries()) {
        const path = join(directory, `${taskIndex}-${index}.ldb`)
        await this.storage.download(table.state, path)
        const reader = TableReader.open(path)
        const outside = [...reader.entries()].filter(
          ({ userKey }) => !handle.keyGroupRange.contains(keyGroupOf(userKey)),
        )
        reader.close()
        expect(outside, `${table.role} of ${handle.keyGroupRange.toString()}`).toEqual([])
      }
    }
  }

  async close(): Promise<void> {
    for (const { backend } of this.tasks) await backend.close()
    this.tasks = []
  }
}

/** Neighbouring ranges over all key groups: Flink's, or cut anywhere. */
export function randomRanges(random: SeededRandom): KeyGroupRange[] {
  const parallelism = random.pick(random.chance(0.9) ? PARALLELISMS.slice(0, 6) : PARALLELISMS)
  if (random.chance(0.6)) {
    return Array.from({ length: parallelism }, (_, index) =>
      computeKeyGroupRangeForOperatorIndex(MAX_PARALLELISM, parallelism, index),
    )
  }
  const cuts = new Set(Array.from({ length: parallelism - 1 }, () => 1 + random.below(76)))
  const starts = [0, ...[...cuts].toSorted((a, b) => a - b)]
  return starts.map((start, index) =>
    KeyGroupRange.of(start, (starts[index + 1] ?? MAX_PARALLELISM) - 1),
  )
}
