/**
 * One task under test: a keyed state backend in a directory of its own, its checkpoint storage, and what was snapshotted so far.
 * Everything goes through the public contracts, so that any backend can be put to the test.
 */
import { Buffer } from 'node:buffer'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { CheckpointOptions } from '../../../src/checkpoint/checkpoint-options.js'
import type { CheckpointableKeyedStateBackend } from '../../../src/checkpoint/checkpointable-keyed-state-backend.js'
import {
  IncrementalRemoteKeyedStateHandle,
  type IncrementalRemoteKeyedStateHandleFields,
} from '../../../src/checkpoint/keyed-state-handle.js'
import type { SnapshotResult } from '../../../src/checkpoint/snapshotable.js'
import { KeyGroupRange } from '../../../src/record/key-group-range.js'
import { numberKey, type KeySerializer } from '../../../src/record/key-serializer.js'
import type { StateBackend } from '../../../src/state-backend.js'
import { valueState } from '../../../src/state/state-descriptor.js'
import { CheckpointStorage } from '../../../src/storage/checkpoint-storage.js'
import { MemoryObjectStore } from '../../../src/storage/memory-object-store.js'

/** The smallest budget there is: between 2 and 4 MiB each for the write buffer and the read cache. */
export const SMALL_MEMORY_BYTES: number = 8 * 2 ** 20
/** More than the read cache of `SMALL_MEMORY_BYTES` holds, in values of `FILLER_TEXT`. */
const FILLER_COUNT = 30
const FILLER_TEXT = 'x'.repeat(100_000)
const MAX_PARALLELISM = 16

export interface StateBackendFactoryOptions {
  /** Empty, and the backend's alone. */
  readonly directory: string
  readonly memory: number
}

export type StateBackendFactory = (
  options: StateBackendFactoryOptions,
) => StateBackend | Promise<StateBackend>

export interface TaskOptions<K> {
  readonly keySerializer: KeySerializer<K>
  readonly memory?: number
  readonly keyGroupRange?: KeyGroupRange
}

export class Task<K> {
  readonly storage: CheckpointStorage = new CheckpointStorage(new MemoryObjectStore(), {
    jobId: 'job',
  })
  #factory: StateBackendFactory
  readonly #options: TaskOptions<K>
  readonly #directories: string[] = []
  #backend: CheckpointableKeyedStateBackend<K> | undefined
  #lastCheckpointId = 0

  private constructor(factory: StateBackendFactory, options: TaskOptions<K>) {
    this.#factory = factory
    this.#options = options
  }

  static async start<K>(factory: StateBackendFactory, options: TaskOptions<K>): Promise<Task<K>> {
    const task = new Task(factory, options)
    await task.#open([])
    return task
  }

  get backend(): CheckpointableKeyedStateBackend<K> {
    if (this.#backend === undefined) throw new Error('the task has no backend')
    return this.#backend
  }

  /** The last id given to a snapshot. */
  get lastCheckpointId(): number {
    return this.#lastCheckpointId
  }

  /** The synchronous part is done when this returns. */
  snapshot(options: CheckpointOptions = CheckpointOptions.checkpoint()): Promise<SnapshotResult> {
    const id = ++this.#lastCheckpointId
    return this.backend.snapshot(id, 0, this.storage.streamFactory(id), options)
  }

  /** A snapshot that becomes a completed checkpoint. */
  async checkpoint(options?: CheckpointOptions): Promise<IncrementalRemoteKeyedStateHandle> {
    const handle = handleOf(await this.snapshot(options))
    this.backend.notifyCheckpointComplete(handle.checkpointId)
    return handle
  }

  /** Closes the backend and comes back from a handle that went through JSON, on another backend if one is given. */
  async restore(
    handle: IncrementalRemoteKeyedStateHandle,
    factory: StateBackendFactory = this.#factory,
  ): Promise<CheckpointableKeyedStateBackend<K>> {
    await this.backend.close()
    this.#factory = factory
    const fields = JSON.parse(JSON.stringify(handle)) as IncrementalRemoteKeyedStateHandleFields
    return this.#open([IncrementalRemoteKeyedStateHandle.fromJSON(fields)])
  }

  /** Checkpoints, closes and comes back. */
  async restart(): Promise<CheckpointableKeyedStateBackend<K>> {
    return this.restore(await this.checkpoint())
  }

  async #open(
    stateHandles: IncrementalRemoteKeyedStateHandle[],
  ): Promise<CheckpointableKeyedStateBackend<K>> {
    const directory = await mkdtemp(join(tmpdir(), 'keyed-state-'))
    this.#directories.push(directory)
    const { keySerializer, memory = SMALL_MEMORY_BYTES, keyGroupRange } = this.#options
    const stateBackend = await this.#factory({ directory, memory })
    this.#backend = await stateBackend.createKeyedStateBackend<K>({
      operatorId: 'operator',
      keySerializer,
      maxParallelism: MAX_PARALLELISM,
      keyGroupRange: keyGroupRange ?? KeyGroupRange.of(0, MAX_PARALLELISM - 1),
      stateHandles,
      checkpointStorage: this.storage,
    })
    return this.#backend
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#backend?.close()
    for (const directory of this.#directories) await rm(directory, { recursive: true, force: true })
  }
}

export type NumberTask = Task<number>

export function startNumberTask(factory: StateBackendFactory): Promise<NumberTask> {
  return Task.start(factory, { keySerializer: numberKey })
}

export function handleOf(result: SnapshotResult): IncrementalRemoteKeyedStateHandle {
  const { jobManagerOwnedSnapshot } = result
  if (jobManagerOwnedSnapshot === undefined) throw new Error('the snapshot is empty')
  return jobManagerOwnedSnapshot
}

/**
 * Pushes everything else out of the write buffer and the read cache, with values under keys and a state that nothing else uses. Takes
 * a snapshot, so no scan may be in progress.
 */
export async function evict(task: NumberTask): Promise<void> {
  await fill(task)
  await task.snapshot()
}

/** As `evict`, by the weight of writes alone. */
export async function evictDuringScan(task: NumberTask): Promise<void> {
  for (let i = 0; i < 3; i++) await fill(task)
}

async function fill({ backend }: NumberTask): Promise<void> {
  const filler = backend.getState(valueState<string>('filler'))
  for (let i = 0; i < FILLER_COUNT; i++) {
    if (backend.needsDrain) await backend.drain()
    backend.setCurrentKey(1_000_000 + i)
    filler.update(`${FILLER_TEXT}${i}`)
  }
}

export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}

/** Numbers, ascending. */
export async function sorted(numbers: AsyncIterable<number>): Promise<number[]> {
  return (await collect(numbers)).toSorted((a, b) => a - b)
}

/** Lets flushes, folds and sweeps that are under way go on. */
export async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await turn()
}

/** `from` (inclusive) to `to` (exclusive). */
export function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, i) => from + i)
}

/** What a call throws, for `toMatchObject`. */
export function thrownBy(call: () => unknown): unknown {
  try {
    call()
  } catch (error) {
    return error
  }
  return undefined
}

export const bytes = (...values: number[]): Uint8Array => Buffer.from(values)
