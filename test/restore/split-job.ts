/**
 * A job over 64 key groups that is split and merged by hand, beside a plain model of its values; what its tables hold, in storage and on
 * local disk, is looked at key by key.
 */
import { join } from 'node:path'
import { expect } from 'vitest'
import { CheckpointOptions } from '../../src/checkpoint/checkpoint-options.js'
import type { RebasePolicy } from '../../src/checkpoint/rebase-policy.js'
import { HashMapStateBackend } from '../../src/hash-map-state-backend.js'
import { LevelDBStateBackend } from '../../src/leveldb-state-backend.js'
import { keyGroupOf } from '../../src/record/composite-key.js'
import { KeyGroupRange } from '../../src/record/key-group-range.js'
import { numberKey } from '../../src/record/key-serializer.js'
import type { StateBackend } from '../../src/state-backend.js'
import { CheckpointStateReader } from '../../src/storage/checkpoint-state-reader.js'
import { CheckpointStorage } from '../../src/storage/checkpoint-storage.js'
import { MemoryObjectStore } from '../../src/storage/memory-object-store.js'
import { ValueType } from '../../src/table/internal-key.js'
import { TableReader } from '../../src/table/table-reader.js'
import {
  collect,
  groupOf,
  handleOf,
  namedObjects,
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

export const MAX_PARALLELISM = 64
export const WHOLE: readonly KeyGroupRange[] = [KeyGroupRange.of(0, 63)]
export const HALVES: readonly KeyGroupRange[] = [KeyGroupRange.of(0, 31), KeyGroupRange.of(32, 63)]
/** A cut elsewhere, so that what was cut once is cut again. */
export const UNEVEN: readonly KeyGroupRange[] = [
  KeyGroupRange.of(0, 20),
  KeyGroupRange.of(21, 42),
  KeyGroupRange.of(43, 63),
]
/** On both sides of every cut above, and the ends. */
export const BOUNDARY_GROUPS: readonly number[] = [0, 20, 21, 31, 32, 42, 43, 63]
/** About 16 of each key group. */
export const KEYS = 1000

/** Nearly every checkpoint uploads LevelDB's own tables. */
export const BASES: Partial<RebasePolicy> = { smallStateBytes: 0, deltaFractionMax: 0.01 }
/** A base is never renewed, so there never is one. */
export const DELTAS_ONLY: Partial<RebasePolicy> = { smallStateBytes: 2 ** 40 }

export const isAtBoundary = (key: number): boolean =>
  BOUNDARY_GROUPS.includes(groupOf(key, MAX_PARALLELISM))

export interface FoundTable {
  readonly role: 'base' | 'delta'
  readonly range: KeyGroupRange
  readonly groups: readonly number[]
  readonly tombstoneGroups: readonly number[]
}

export class SplitJob {
  readonly model = new Map<number, string>()
  handles: Handle[] = []
  readonly #objects = new MemoryObjectStore()
  readonly #storage = new CheckpointStorage(this.#objects, {
    jobId: 'job',
    inlineThresholdBytes: 0,
  })
  readonly #kind: BackendKind
  readonly #policy: Partial<RebasePolicy>
  #tasks: { backend: Backend; states: TaskStates; directory: string }[] = []
  #runningKind: BackendKind
  #checkpointId = 0
  /** Reads what `handles` name. */
  #reader: CheckpointStateReader = this.#storage

  constructor(kind: BackendKind, policy: Partial<RebasePolicy>) {
    this.#kind = kind
    this.#runningKind = kind
    this.#policy = policy
  }

  /** From the last snapshot, over `ranges`; `kind` is that of the job if not given. */
  async restart(ranges: readonly KeyGroupRange[], kind: BackendKind = this.#kind): Promise<void> {
    await this.close()
    this.#runningKind = kind
    for (const keyGroupRange of ranges) {
      const directory = temporaryDirectory()
      const backend = await this.#stateBackend(kind, directory).createKeyedStateBackend({
        operatorId: 'operator',
        keySerializer: numberKey,
        maxParallelism: MAX_PARALLELISM,
        keyGroupRange,
        stateHandles: this.handles.map(throughJSON),
        checkpointStorage: this.#reader,
      })
      this.#tasks.push({ backend, states: statesOf(backend), directory })
    }
    this.#expectFilesInRange()
  }

  #stateBackend(kind: BackendKind, directory: string): StateBackend {
    const options = { directory, memory: SMALL_MEMORY_BYTES, rebasePolicy: this.#policy }
    return kind === 'hashmap' ? new HashMapStateBackend(options) : new LevelDBStateBackend(options)
  }

  #at(key: number): TaskStates {
    const task = this.#tasks.find(({ backend }) =>
      backend.keyGroupRange.contains(groupOf(key, MAX_PARALLELISM)),
    )
    if (task === undefined) throw new Error(`no task has key ${key}`)
    task.backend.setCurrentKey(key)
    return task.states
  }

  /** `text` says what becomes of each key: undefined deletes, null leaves it. */
  write(text: (key: number) => string | undefined | null): void {
    for (let key = 0; key < KEYS; key++) {
      const value = text(key)
      if (value === null) continue
      if (value === undefined) {
        this.#at(key).value.clear()
        this.model.delete(key)
      } else {
        this.#at(key).value.update(value)
        this.model.set(key, value)
      }
    }
  }

  /** A checkpoint of all tasks, completed; the next restart begins with it. */
  async checkpoint(): Promise<void> {
    await this.#snapshot(CheckpointOptions.checkpoint())
    for (const { backend } of this.#tasks) backend.notifyCheckpointComplete(this.#checkpointId)
  }

  /** As `checkpoint`, but naming no older table. */
  async fullCheckpoint(): Promise<void> {
    await this.#snapshot(CheckpointOptions.fullCheckpoint())
    for (const { backend } of this.#tasks) backend.notifyCheckpointComplete(this.#checkpointId)
  }

  /** In a folder of its own, which alone is read by the next restart. */
  async savepoint(): Promise<void> {
    const savepointFolder = `savepoints/${this.#checkpointId + 1}`
    await this.#snapshot(CheckpointOptions.savepoint({ savepointFolder }))
    this.#reader = new CheckpointStateReader(this.#objects, { root: `${savepointFolder}/` })
  }

  async #snapshot(options: CheckpointOptions): Promise<void> {
    const id = ++this.#checkpointId
    const handles: Handle[] = []
    for (const { backend } of this.#tasks) {
      const factory = this.#storage.streamFactory(id, options.target)
      handles.push(handleOf(await backend.snapshot(id, 0, factory, options)))
    }
    this.handles = handles
    this.#reader = this.#storage
  }

  /** Deletes every object that the last snapshot does not consist of. */
  async deleteAllOthers(): Promise<void> {
    const root = this.#reader === this.#storage ? 'job/' : `savepoints/${this.#checkpointId}/`
    const own = new Set(namedObjects(this.handles).map((location) => root + location))
    const others: string[] = []
    for await (const { key } of this.#objects.list('')) if (!own.has(key)) others.push(key)
    await this.#objects.delete(others)
  }

  /** Point reads, and a scan of every task. */
  async expectModel(when: string): Promise<void> {
    const keys = await Promise.all(
      this.#tasks.map(({ backend }) => collect(backend.getKeys('value'))),
    )
    const sorted = (all: Iterable<number>): number[] => [...all].toSorted((a, b) => a - b)
    expect(sorted(keys.flat()), `keys ${when}`).toEqual(sorted(this.model.keys()))
    for (let key = 0; key < KEYS; key++) {
      expect(this.#at(key).value.value(), `value of ${key} ${when}`).toBe(this.model.get(key))
    }
  }

  /** Makes LevelDB flush and compact, where it is one: more bytes than several memtables, over all keys, which are cleared afterwards. */
  async compact(): Promise<void> {
    if (this.#runningKind === 'hashmap') return
    for (let round = 0; round < 5; round++) {
      for (let key = 0; key < KEYS; key++) {
        const { map } = this.#at(key)
        map.put(0, `${round} of ${key} `.repeat(80))
        await this.#drainWhereNeeded()
      }
    }
    for (let key = 0; key < KEYS; key++) this.#at(key).map.clear()
    for (const { backend } of this.#tasks) await backend.drain()
  }

  async #drainWhereNeeded(): Promise<void> {
    for (const { backend } of this.#tasks) if (backend.needsDrain) await backend.drain()
  }

  /** Every table of the last snapshot, with the key groups that are in the file. */
  async tables(): Promise<FoundTable[]> {
    const directory = temporaryDirectory()
    const found: FoundTable[] = []
    for (const { keyGroupRange: range, sharedState } of this.handles) {
      for (const { role, state } of sharedState) {
        const path = join(directory, `${found.length}.ldb`)
        await this.#reader.download(state, path)
        const reader = TableReader.open(path)
        const entries = [...reader.entries()].map(({ userKey, type }) => ({
          group: keyGroupOf(userKey),
          type,
        }))
        reader.close()
        const tombstones = entries.filter(({ type }) => type === ValueType.Deletion)
        found.push({
          role,
          range,
          groups: [...new Set(entries.map(({ group }) => group))],
          tombstoneGroups: [...new Set(tombstones.map(({ group }) => group))],
        })
      }
    }
    return found
  }

  async expectTablesInRange(): Promise<void> {
    for (const { role, range, groups } of await this.tables()) {
      const outside = groups.filter((group) => !range.contains(group))
      expect(outside, `a ${role} of ${range.toString()}`).toEqual([])
    }
  }

  #expectFilesInRange(): void {
    for (const { backend, directory } of this.#tasks) {
      expectFilesInRange(directory, backend.keyGroupRange)
    }
  }

  async close(): Promise<void> {
    for (const { backend } of this.#tasks) await backend.close()
    this.#tasks = []
  }
}
