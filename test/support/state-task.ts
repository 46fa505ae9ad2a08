/**
 * One task with a little of every kind of state, for tests of checkpoint and restore: a backend in a directory of its own, storage
 * whose objects can be listed and broken, and a model of what the state must be.
 */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { CheckpointOptions } from '../../src/checkpoint/checkpoint-options.js'
import type { CheckpointableKeyedStateBackend } from '../../src/checkpoint/checkpointable-keyed-state-backend.js'
import {
  IncrementalRemoteKeyedStateHandle,
  type IncrementalRemoteKeyedStateHandleFields,
} from '../../src/checkpoint/keyed-state-handle.js'
import type { RebasePolicy } from '../../src/checkpoint/rebase-policy.js'
import type { SnapshotContext, SnapshotResult } from '../../src/checkpoint/snapshotable.js'
import type { Clock } from '../../src/common/clock.js'
import { HashMapStateBackend } from '../../src/hash-map-state-backend.js'
import { LevelDBStateBackend } from '../../src/leveldb-state-backend.js'
import { KeyGroupRange } from '../../src/record/key-group-range.js'
import { computeKeyGroupForKeyHash } from '../../src/record/key-group-range-assignment.js'
import { numberKey } from '../../src/record/key-serializer.js'
import type { KeyedStateBackendOptions, StateBackend } from '../../src/state-backend.js'
import { listState, mapState, valueState } from '../../src/state/state-descriptor.js'
import type { ListState, MapState, ValueState } from '../../src/state/state.js'
import { CheckpointStorage } from '../../src/storage/checkpoint-storage.js'
import { MemoryObjectStore } from '../../src/storage/memory-object-store.js'
import { FaultObjectStore } from './fault-object-store.js'

export type Handle = IncrementalRemoteKeyedStateHandle
export type Backend = CheckpointableKeyedStateBackend<number>
export type BackendKind = 'leveldb' | 'hashmap'

/** The smallest budget there is: memtables of 1 MiB. */
export const SMALL_MEMORY_BYTES: number = 8 * 2 ** 20
export const MAX_PARALLELISM = 16
export const WHOLE_RANGE: KeyGroupRange = KeyGroupRange.of(0, MAX_PARALLELISM - 1)

/** The key group of a key of `numberKey`. */
export function groupOf(key: number, maxParallelism: number): number {
  return computeKeyGroupForKeyHash(numberKey.hashCode(key), maxParallelism)
}

/** A fresh directory that is gone when the test is. */
export function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'level-state-'))
  onTestFinished(() => {
    rmSync(directory, { recursive: true, force: true })
  })
  return directory
}

export interface StateTaskOptions {
  readonly kind?: BackendKind
  readonly policy?: Partial<RebasePolicy>
  readonly clock?: Clock
  readonly memory?: number
  /** The in-memory backend works in the task's directory then. */
  readonly localRecovery?: boolean
}

export interface TaskStates {
  readonly value: ValueState<string>
  readonly map: MapState<number, string>
  readonly list: ListState<string>
}

export function statesOf(backend: Backend): TaskStates {
  return {
    value: backend.getState(valueState<string>('value')),
    map: backend.getState(mapState<number, string>('map', { keySerializer: numberKey })),
    list: backend.getState(listState<string>('list')),
  }
}

export class StateTask {
  readonly objects: FaultObjectStore = new FaultObjectStore(new MemoryObjectStore())
  readonly storage: CheckpointStorage = new CheckpointStorage(this.objects, {
    jobId: 'job',
    inlineThresholdBytes: 0,
  })
  readonly options: StateTaskOptions
  #directory = ''
  #backend: Backend | undefined
  #states: TaskStates | undefined
  #lastCheckpointId = 0

  private constructor(options: StateTaskOptions) {
    this.options = options
  }

  /** Closed when the test is finished. */
  static async start(options: StateTaskOptions = {}): Promise<StateTask> {
    const task = new StateTask(options)
    await task.open([])
    return task
  }

  get backend(): Backend {
    if (this.#backend === undefined) throw new Error('the task has no backend')
    return this.#backend
  }

  get states(): TaskStates {
    return (this.#states ??= statesOf(this.backend))
  }

  /** The work directory of the backend that is open. */
  get directory(): string {
    return this.#directory
  }

  /** Folders of the incarnation that is open: `db` and `tables`. */
  get incarnation(): string {
    const name = readdirSync(this.#directory).find((entry) => entry.startsWith('inc-'))
    if (name === undefined) throw new Error('there is no incarnation')
    return join(this.#directory, name)
  }

  get lastCheckpointId(): number {
    return this.#lastCheckpointId
  }

  /** An id for a snapshot that is not taken by `snapshot`. */
  takeCheckpointId(): number {
    return ++this.#lastCheckpointId
  }

  /** Opens a backend in a new work directory. */
  async open(
    stateHandles: readonly Handle[],
    overrides: Partial<KeyedStateBackendOptions<number>> & { kind?: BackendKind } = {},
  ): Promise<Backend> {
    const { kind = this.options.kind ?? 'leveldb', ...rest } = overrides
    this.#directory = temporaryDirectory()
    // These run in the reverse of their order: the directory goes when nothing works in it any more.
    onTestFinished(() => this.close())
    this.#states = undefined
    this.#backend = await stateBackendOf(
      kind,
      this.#directory,
      this.options,
    ).createKeyedStateBackend<number>({
      operatorId: 'operator',
      keySerializer: numberKey,
      maxParallelism: MAX_PARALLELISM,
      keyGroupRange: WHOLE_RANGE,
      stateHandles,
      checkpointStorage: this.storage,
      ...rest,
    })
    return this.#backend
  }

  /** Closes the backend and comes back from a handle that went through JSON. */
  async restore(handle: Handle, kind?: BackendKind): Promise<Backend> {
    await this.close()
    return this.open([throughJSON(handle)], kind === undefined ? {} : { kind })
  }

  /** Sets the value of every key of `[from, to)`. */
  async put(from: number, to: number, text: (key: number) => string): Promise<void> {
    const { value } = this.states
    for (let key = from; key < to; key++) {
      if (this.backend.needsDrain) await this.backend.drain()
      this.backend.setCurrentKey(key)
      value.update(text(key))
    }
  }

  /** The values of the keys of `[from, to)`. */
  values(from: number, to: number): (string | undefined)[] {
    const { value } = this.states
    return Array.from({ length: to - from }, (_, index) => {
      this.backend.setCurrentKey(from + index)
      return value.value()
    })
  }

  /** The synchronous part is done when this returns. */
  snapshot(
    options: CheckpointOptions = CheckpointOptions.checkpoint(),
    context?: SnapshotContext,
  ): Promise<SnapshotResult> {
    const id = ++this.#lastCheckpointId
    return this.backend.snapshot(id, 0, this.storage.streamFactory(id), options, context)
  }

  /** A snapshot that becomes a completed checkpoint. */
  async checkpoint(options?: CheckpointOptions): Promise<SnapshotResult & { handle: Handle }> {
    const result = await this.snapshot(options)
    const handle = handleOf(result)
    this.backend.notifyCheckpointComplete(handle.checkpointId)
    return { ...result, handle }
  }

  /** Locations, relative to the job, of everything in storage. */
  async storedObjects(): Promise<string[]> {
    const keys: string[] = []
    for await (const { key } of this.objects.list('job/')) keys.push(key.slice('job/'.length))
    return keys
  }

  localTables(): string[] {
    return readdirSync(join(this.incarnation, 'tables')).sort()
  }

  async close(): Promise<void> {
    await this.#backend?.close()
    this.#backend = undefined
    this.#states = undefined
  }
}

export function stateBackendOf(
  kind: BackendKind,
  directory: string,
  { policy, clock, memory = SMALL_MEMORY_BYTES, localRecovery = false }: StateTaskOptions,
): StateBackend {
  const common = {
    memory,
    ...(policy === undefined ? {} : { rebasePolicy: policy }),
    ...(clock === undefined ? {} : { clock }),
    localRecovery,
  }
  return kind === 'hashmap'
    ? new HashMapStateBackend({ ...common, ...(localRecovery ? { directory } : {}) })
    : new LevelDBStateBackend({ directory, ...common })
}

export function handleOf({ jobManagerOwnedSnapshot }: SnapshotResult): Handle {
  if (jobManagerOwnedSnapshot === undefined) throw new Error('the snapshot is empty')
  return jobManagerOwnedSnapshot
}

export function throughJSON(handle: Handle): Handle {
  const fields = JSON.parse(JSON.stringify(handle)) as IncrementalRemoteKeyedStateHandleFields
  return IncrementalRemoteKeyedStateHandle.fromJSON(fields)
}

/** Locations of all objects that handles name, sorted, each once. */
export function namedObjects(handles: readonly Handle[]): string[] {
  const locations = handles.flatMap((handle) => {
    const { shared, exclusive } = handle.objects()
    return [...shared, ...exclusive]
  })
  return [...new Set(locations)].sort()
}

/** What a promise rejects with; fails when it does not. */
export async function rejection(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise
  } catch (error) {
    return error
  }
  throw new Error('the promise was expected to reject')
}

export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}
