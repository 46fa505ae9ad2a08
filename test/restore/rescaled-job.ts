/**
 * A job that is ended and started again at other parallelisms, with writes, deletes, clears and checkpoints between, beside a plain
 * model of what its state must be.
 */
import { join } from 'node:path'
import { expect } from 'vitest'
import type { RebasePolicy } from '../../src/checkpoint/rebase-policy.js'
import { CheckpointOptions } from '../../src/checkpoint/checkpoint-options.js'
import { HashMapStateBackend } from '../../src/hash-map-state-backend.js'
import { LevelDBStateBackend } from '../../src/leveldb-state-backend.js'
import { keyGroupOf } from '../../src/record/composite-key.js'
import { KeyGroupRange } from '../../src/record/key-group-range.js'
import { computeKeyGroupRangeForOperatorIndex } from '../../src/record/key-group-range-assignment.js'
import { numberKey } from '../../src/record/key-serializer.js'
import { PACKED_ENTRIES_MAX } from '../../src/state/spilling.js'
import type { StateBackend } from '../../src/state-backend.js'
import { CheckpointStateReader } from '../../src/storage/checkpoint-state-reader.js'
import { CheckpointStorage } from '../../src/storage/checkpoint-storage.js'
import { MemoryObjectStore } from '../../src/storage/memory-object-store.js'
import type { ObjectStore } from '../../src/storage/object-store.js'
import { TableReader } from '../../src/table/table-reader.js'
import { SeededRandom } from '../support/random.js'
import {
  collect,
  groupOf,
  handleOf,
  SMALL_MEMORY_BYTES,
  statesOf,
  temporaryDirectory,
  throughJSON,
  type Backend,
  type BackendKind,
  type Handle,
  type TaskStates,
} from '../support/state-task.js'
import { expectFilesInRange } from './local-files.js'

export const MAX_PARALLELISM = 77
export const KEYS = 400
/** Keys with large maps and lists. */
const SPILLING_KEYS = 6
const SMALL_PARALLELISMS = [1, 2, 3, 4, 5, 6, 7, 8]
export const PARALLELISMS: readonly number[] = [...SMALL_PARALLELISMS, 15, 77]
/** Of so many rounds one is at the next of all parallelisms; the others are at small ones. */
const DEAL_EVERY = 10
/** Key groups in a row that nothing is ever written to: a task of these has no state. */
const QUIET_GROUPS = 20

const REBASE_OFTEN: Partial<RebasePolicy> = { smallStateBytes: 4000, deltaCountMax: 5 }

interface Task {
  readonly directory: string
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
  /** What has come to pass, for a test to see that it was there: times by name. */
  readonly seen = new Map<string, number>()
  readonly #quiet: KeyGroupRange
  readonly #spilling: readonly number[]
  readonly #objects: ObjectStore
  #dealt: number[] = []
  #checkpointId = 0
  /** Reads what `handles` name. */
  #reader: CheckpointStateReader

  readonly #policy: Partial<RebasePolicy>

  constructor(
    seed: number,
    policy: Partial<RebasePolicy> = REBASE_OFTEN,
    objectStore: ObjectStore = new MemoryObjectStore(),
  ) {
    this.random = new SeededRandom(seed)
    const quietStart = this.random.below(MAX_PARALLELISM - QUIET_GROUPS)
    this.#quiet = KeyGroupRange.of(quietStart, quietStart + QUIET_GROUPS - 1)
    const written = Array.from({ length: KEYS }, (_, key) => key).filter(
      (key) => !this.#quiet.contains(groupOf(key, MAX_PARALLELISM)),
    )
    this.#spilling = written.slice(0, SPILLING_KEYS)
    this.#objects = objectStore
    this.storage = new CheckpointStorage(objectStore, { jobId: 'job', inlineThresholdBytes: 1000 })
    this.#reader = this.storage
    this.#policy = policy
  }

  #see(what: string): void {
    this.seen.set(what, (this.seen.get(what) ?? 0) + 1)
  }

  /** `randomRanges`, or those of a parallelism whose turn it is. */
  rangesOfRound(round: number): KeyGroupRange[] {
    const { random } = this
    if (round % DEAL_EVERY === 0) {
      if (this.#dealt.length === 0) this.#dealt = [...PARALLELISMS]
      const [parallelism = 1] = this.#dealt.splice(random.below(this.#dealt.length), 1)
      return evenRanges(parallelism)
    }
    return randomRanges(random)
  }

  /** Ends all tasks and starts others over `ranges`, from the last completed checkpoint or savepoint. */
  async restart(ranges: readonly KeyGroupRange[], only?: BackendKind): Promise<void> {
    await this.close()
    this.#see(`parallelism ${ranges.length}`)
    for (const keyGroupRange of ranges) {
      const kind = only ?? (this.random.chance(0.75) ? 'leveldb' : 'hashmap')
      const directory = temporaryDirectory()
      const backend = await this.#stateBackend(kind, directory).createKeyedStateBackend({
        operatorId: 'operator',
        keySerializer: numberKey,
        maxParallelism: MAX_PARALLELISM,
        keyGroupRange,
        stateHandles: this.handles.map(throughJSON),
        checkpointStorage: this.#reader,
      })
      this.#see(kind)
      this.tasks.push({ directory, backend, states: statesOf(backend) })
    }
  }

  #stateBackend(kind: BackendKind, directory: string): StateBackend {
    const options = { directory, memory: SMALL_MEMORY_BYTES, rebasePolicy: this.#policy }
    return kind === 'hashmap' ? new HashMapStateBackend(options) : new LevelDBStateBackend(options)
  }

  at(key: number): TaskStates {
    const task = this.tasks.find(({ backend }) =>
      backend.keyGroupRange.contains(groupOf(key, MAX_PARALLELISM)),
    )
    if (task === undefined) throw new Error(`no task has key ${key}`)
    task.backend.setCurrentKey(key)
    return task.states
  }

  write(): void {
    const { random, model } = this
    const key = random.chance(0.03) ? random.pick(this.#spilling) : random.below(KEYS)
    if (this.#quiet.contains(groupOf(key, MAX_PARALLELISM))) return
    const states = this.at(key)
    if (random.chance(0.3)) {
      this.#see('delete')
      states.value.clear()
      model.values.delete(key)
    } else {
      const text = `v${random.below(1e6)}`
      states.value.update(text)
      model.values.set(key, text)
    }
    if (!this.#spilling.includes(key)) return
    this.#writeMap(key, states)
    this.#writeList(key, states)
  }

  #writeMap(key: number, { map }: TaskStates): void {
    const { random } = this
    const expected = this.model.maps.get(key) ?? new Map<number, string>()
    this.model.maps.set(key, expected)
    if (random.chance(0.05)) {
      if (expected.size > PACKED_ENTRIES_MAX) this.#see('clear of a spilled map')
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
    if (this.random.chance(0.05)) {
      this.#see('clear of a list')
      list.clear()
      expected.length = 0
    }
    const added = Array.from({ length: 10 }, (_, i) => `l${i}`)
    list.addAll(added)
    expected.push(...added)
    this.model.lists.set(key, expected)
  }

  async checkpoint(
    completes: boolean,
    snapshotType: 'checkpoint' | 'full-checkpoint' = 'checkpoint',
  ): Promise<void> {
    const full = snapshotType === 'full-checkpoint'
    const handles = await this.#snapshot(
      full ? CheckpointOptions.fullCheckpoint() : CheckpointOptions.checkpoint(),
    )
    for (const { backend } of this.tasks) {
      if (completes) backend.notifyCheckpointComplete(this.#checkpointId)
      else backend.notifyCheckpointAborted(this.#checkpointId)
    }
    this.#see(completes ? snapshotType : 'aborted checkpoint')
    if (!completes) return
    this.handles = handles
    this.#reader = this.storage
  }

  /** In a folder of its own, which alone is read by the next restart. */
  async savepoint(): Promise<void> {
    const savepointFolder = `savepoints/${this.#checkpointId + 1}`
    this.handles = await this.#snapshot(CheckpointOptions.savepoint({ savepointFolder }))
    this.#reader = new CheckpointStateReader(this.#objects, { root: `${savepointFolder}/` })
    this.#see('savepoint')
  }

  async #snapshot(options: CheckpointOptions): Promise<Handle[]> {
    const id = ++this.#checkpointId
    const factory = this.storage.streamFactory(id, options.target)
    const results = await Promise.all(
      this.tasks.map(({ backend }) => backend.snapshot(id, 0, factory, options)),
    )
    for (const { kind } of results) this.#see(`snapshot by ${kind}`)
    return results.map(handleOf)
  }

  /** Every row is in exactly one task, and the union of the tasks is the model. */
  async expectModel(): Promise<void> {
    const keys = await Promise.all(
      this.tasks.map(({ backend }) => collect(backend.getKeys('value'))),
    )
    for (const own of keys) if (own.length === 0) this.#see('empty task')
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

  /** To be called right after a restart: no table on local disk holds a key outside its task's range. */
  expectFilesInRange(): void {
    for (const { directory, backend } of this.tasks) {
      if (expectFilesInRange(directory, backend.keyGroupRange) > 0) this.#see('scan of local files')
    }
  }

  /** No table that a handle names holds a key outside the handle's range. */
  async expectTablesInRange(): Promise<void> {
    const directory = temporaryDirectory()
    for (const [taskIndex, handle] of this.handles.entries()) {
      for (const [index, table] of handle.sharedState.entries()) {
        const path = join(directory, `${taskIndex}-${index}.ldb`)
        await this.#reader.download(table.state, path)
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

/** Neighbouring ranges over all key groups, of a small parallelism: Flink's, or cut anywhere. */
export function randomRanges(random: SeededRandom): KeyGroupRange[] {
  const parallelism = random.pick(SMALL_PARALLELISMS)
  return random.chance(0.5) ? evenRanges(parallelism) : unevenRanges(random, parallelism)
}

function evenRanges(parallelism: number): KeyGroupRange[] {
  return Array.from({ length: parallelism }, (_, index) =>
    computeKeyGroupRangeForOperatorIndex(MAX_PARALLELISM, parallelism, index),
  )
}

function unevenRanges(random: SeededRandom, parallelism: number): KeyGroupRange[] {
  const cuts = new Set<number>()
  while (cuts.size < parallelism - 1) cuts.add(1 + random.below(MAX_PARALLELISM - 1))
  const starts = [0, ...[...cuts].toSorted((a, b) => a - b)]
  return starts.map((start, index) =>
    KeyGroupRange.of(start, (starts[index + 1] ?? MAX_PARALLELISM) - 1),
  )
}
