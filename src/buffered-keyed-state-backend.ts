/**
 * The keyed state backend that every state backend creates: the current key, the registered states, the write buffer, and snapshots.
 * State backends differ in what lies below the buffer (`KeyedStateBackendParts`). Users see the contract only.
 */
import type { Buffer } from 'node:buffer'
import type { CheckpointOptions } from './checkpoint/checkpoint-options.js'
import type {
  CheckpointableKeyedStateBackend,
  RestoreStatistics,
} from './checkpoint/checkpointable-keyed-state-backend.js'
import type { GenerationPipeline } from './checkpoint/generation-pipeline.js'
import { encodeMetaInformation, META_VERSION } from './checkpoint/meta-information.js'
import type { SnapshotStrategy } from './checkpoint/snapshot-strategy.js'
import type { SnapshotContext, SnapshotResult } from './checkpoint/snapshotable.js'
import type { Clock } from './common/clock.js'
import { StateBackendError } from './errors.js'
import { computeKeyGroupForKeyHash } from './record/key-group-range-assignment.js'
import type { KeyGroupRange } from './record/key-group-range.js'
import type { KeyIdentity, KeySerializer } from './record/key-serializer.js'
import type { KeyContext } from './state/key-context.js'
import { scanKeys } from './state/key-scan.js'
import type { State } from './state/state.js'
import type { AnyStateDescriptor, StateDescriptor } from './state/state-descriptor.js'
import { StateRegistry, type StateMetaInformation } from './state/state-registry.js'
import type { StateRuntime } from './state/state-runtime.js'
import type { CheckpointStreamFactory, CheckpointTarget } from './storage/checkpoint-storage.js'
import type { CellCodec } from './store/cell-codec.js'
import type { StateTable } from './store/state-table.js'
import { sweepRecordKey } from './store/sweeper.js'
import type { WriteBuffer } from './store/write-buffer.js'

export interface KeyedStateBackendParts<K> {
  readonly keySerializer: KeySerializer<K>
  readonly maxParallelism: number
  readonly keyGroupRange: KeyGroupRange
  readonly context: KeyContext
  readonly buffer: WriteBuffer
  readonly pipeline: GenerationPipeline
  readonly strategy: SnapshotStrategy
  readonly clock: Clock
  readonly restored: RestoreStatistics
  /** The highest id of the handles that were restored; 0 for none. */
  readonly restoredCheckpointId: number
  readonly restoredStates: readonly StateMetaInformation[]
  readonly lastEpoch: number
  /** The table of a state that is registered now. */
  readonly openTable: (stateId: number, name: string, codec: CellCodec) => StateTable
  readonly scanStore: (gte: Buffer, lt: Buffer, limit: number) => Promise<[Buffer, Buffer][]>
  /** Releases what lies below the buffer. */
  readonly release: () => Promise<void>
}

export class BufferedKeyedStateBackend<K> implements CheckpointableKeyedStateBackend<K> {
  readonly keyGroupRange: KeyGroupRange
  readonly maxParallelism: number
  readonly restored: RestoreStatistics
  readonly #parts: KeyedStateBackendParts<K>
  readonly #context: KeyContext
  readonly #keySerializer: KeySerializer<K>
  readonly #states: StateRegistry
  readonly #closing = new AbortController()
  readonly #snapshots = new Set<Promise<unknown>>()
  #lastEpoch: number
  /** The highest id of a snapshot that was taken here or restored. */
  #lastSnapshotId: number
  /** Scans and callbacks of user code that are in progress. */
  #inProgress = 0
  #closed: Promise<void> | undefined

  constructor(parts: KeyedStateBackendParts<K>) {
    this.#parts = parts
    this.#context = parts.context
    this.#keySerializer = parts.keySerializer
    this.keyGroupRange = parts.keyGroupRange
    this.maxParallelism = parts.maxParallelism
    this.restored = parts.restored
    this.#lastEpoch = parts.lastEpoch
    this.#lastSnapshotId = parts.restoredCheckpointId
    this.#states = new StateRegistry({
      restored: parts.restoredStates,
      openTable: parts.openTable,
      runtimeOf: (table) => this.#runtimeOf(table),
    })
  }

  setCurrentKey(key: K): void {
    const context = this.#context
    context.checkUsable()
    const identity = this.#keySerializer.identityOf(key)
    const hash = this.#keySerializer.hashCode(identity)
    const keyGroup = computeKeyGroupForKeyHash(hash, this.maxParallelism)
    const { startKeyGroup, endKeyGroup } = this.keyGroupRange
    if (keyGroup < startKeyGroup || keyGroup > endKeyGroup) throw this.#outOfRange(keyGroup)
    context.identity = identity
    context.keyGroupOffset = keyGroup - startKeyGroup
  }

  get currentKey(): K {
    return this.#keySerializer.keyOf(this.#context.current())
  }

  getState<S extends State>(descriptor: StateDescriptor<S>): S {
    this.#context.checkUsable()
    // The descriptor functions make nothing but these, and each ties its kind to the type of its state.
    return this.#states.register(descriptor as StateDescriptor<never> as AnyStateDescriptor) as S
  }

  async *getKeys(stateName: string): AsyncGenerator<K> {
    this.#context.checkUsable()
    const table = this.#states.table(stateName)
    if (table === undefined) return
    const runtime = this.#runtimeOf(table)
    const finished = runtime.scanStarted()
    try {
      for (const keyGroup of this.keyGroupRange) {
        const offset = keyGroup - this.keyGroupRange.startKeyGroup
        const keys: AsyncIterable<KeyIdentity> = scanKeys(
          runtime,
          this.#keySerializer,
          keyGroup,
          offset,
        )
        for await (const identity of keys) yield this.#keySerializer.keyOf(identity)
      }
    } finally {
      finished()
    }
  }

  get needsDrain(): boolean {
    return this.#parts.buffer.needsDrain
  }

  async drain(): Promise<void> {
    const { buffer, pipeline } = this.#parts
    while (buffer.needsDrain) {
      this.#context.checkUsable()
      if (buffer.frozenGenerations.length === 0) this.#freeze({ held: false })
      await pipeline.idle()
    }
    this.#context.checkUsable()
  }

  snapshot(
    checkpointId: number,
    _timestamp: number,
    streamFactory: CheckpointStreamFactory,
    checkpointOptions: CheckpointOptions,
    context: SnapshotContext = {},
  ): Promise<SnapshotResult> {
    const abortion = new AbortController()
    // Not `AbortSignal.any`, which keeps some bytes at the backend's own signal for ever.
    const unlinks = [
      this.#closing.signal,
      ...(context.signal === undefined ? [] : [context.signal]),
    ].map((signal) => abortWith(abortion, signal))
    const { signal } = abortion
    const snapshot = this.#snapshot(checkpointId, streamFactory, checkpointOptions, signal)
    this.#snapshots.add(snapshot)
    const ended = (isOver: boolean): void => {
      this.#snapshots.delete(snapshot)
      for (const unlink of unlinks) unlink()
      if (isOver) this.#parts.pipeline.release()
    }
    // Nobody tells the end of a savepoint.
    const isSavepoint = checkpointOptions.snapshotType === 'savepoint'
    snapshot.then(
      () => ended(isSavepoint),
      () => ended(true),
    )
    return snapshot
  }

  notifyCheckpointComplete(checkpointId: number): void {
    this.#parts.strategy.notifyCheckpointComplete(checkpointId)
    this.#parts.pipeline.release()
  }

  notifyCheckpointAborted(checkpointId: number): void {
    this.#parts.strategy.notifyCheckpointAborted(checkpointId)
    this.#parts.pipeline.release()
  }

  notifyCheckpointSubsumed(_checkpointId: number): void {
    // The completed chain already left the subsumed checkpoint behind: nothing here is kept for it.
  }

  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** Everything up to the first `await` is the synchronous part. */
  async #snapshot(
    checkpointId: number,
    streamFactory: CheckpointStreamFactory,
    options: CheckpointOptions,
    signal: AbortSignal,
  ): Promise<SnapshotResult> {
    const { clock, pipeline, strategy } = this.#parts
    const startMs = clock.monotonicMs()
    this.#checkQuiet()
    this.#takeSnapshotId(checkpointId)
    checkStreamFactory(streamFactory, checkpointId, options.target)
    if (options.lastCompletedCheckpointId !== undefined) {
      strategy.notifyCheckpointComplete(options.lastCompletedCheckpointId)
    }
    this.#freeze({ held: true })
    const { metas } = this.#states
    const lastEpoch = this.#lastEpoch
    const planning = pipeline.plan(checkpointId, options.snapshotType, signal)
    const syncEndMs = clock.monotonicMs()

    const planned = await planning
    try {
      this.#context.checkUsable()
      const result = { kind: planned.plan.kind, syncMs: syncEndMs - startMs }
      if (metas.length === 0) {
        return { ...result, ...EMPTY, asyncMs: clock.monotonicMs() - syncEndMs }
      }
      const meta = encodeMetaInformation({
        version: META_VERSION,
        keyType: this.#keySerializer.typeName,
        maxParallelism: this.maxParallelism,
        lastSequence: planned.request.throughSequence,
        lastEpoch,
        states: metas,
      })
      const handle = await strategy.upload(planned, { meta, streamFactory, signal })
      return {
        ...result,
        jobManagerOwnedSnapshot: handle,
        uploadedBytes: handle.checkpointedSize,
        stateBytes: handle.stateSize,
        asyncMs: clock.monotonicMs() - syncEndMs,
      }
    } finally {
      strategy.release(planned)
    }
  }

  #checkQuiet(): void {
    this.#context.checkUsable()
    if (this.#inProgress === 0) return
    throw new StateBackendError(
      'SNAPSHOT_DURING_PROCESSING',
      'A snapshot was asked for while a scan of state or a reduce or aggregate function was in progress, so a record is half ' +
        'processed. Take snapshots between records, and finish or return() every scan.',
    )
  }

  #takeSnapshotId(id: number): void {
    if (!Number.isSafeInteger(id) || id <= this.#lastSnapshotId) {
      throw new StateBackendError(
        'INVALID_ARGUMENT',
        `${id} is no id for the next snapshot of this backend: checkpoints and savepoints share ids, integers from 1, each above all that ` +
          `were used before and above that of what was restored; the highest was ${this.#lastSnapshotId}.`,
        { details: { snapshotId: id, highest: this.#lastSnapshotId } },
      )
    }
    this.#lastSnapshotId = id
  }

  #freeze(options: { readonly held: boolean }): void {
    const { buffer, pipeline } = this.#parts
    const generation = buffer.freeze()
    if (generation !== undefined) pipeline.submit(generation, options)
  }

  #runtimeOf(table: StateTable): StateRuntime {
    return {
      context: this.#context,
      table,
      everSpilled: () => this.#lastEpoch > 0,
      nextEpoch: () => ++this.#lastEpoch,
      sweep: (swept, keyGroupOffset, identity, epoch) => {
        const prefix = swept.entryPrefix(keyGroupOffset, identity, epoch)
        this.#parts.buffer.setRaw(sweepRecordKey(prefix), NO_BYTES)
      },
      callback: (run) => {
        this.#inProgress++
        try {
          return run()
        } finally {
          this.#inProgress--
        }
      },
      scanStarted: () => {
        this.#inProgress++
        return () => {
          this.#inProgress--
        }
      },
      scanStore: (gte, lt, limit) => {
        this.#context.checkUsable()
        return this.#parts.scanStore(gte, lt, limit)
      },
    }
  }

  #outOfRange(keyGroup: number): StateBackendError {
    const { startKeyGroup, endKeyGroup } = this.keyGroupRange
    return new StateBackendError(
      'KEY_GROUP_OUT_OF_RANGE',
      `Key group ${keyGroup} is not in KeyGroupRange{startKeyGroup=${startKeyGroup}, endKeyGroup=${endKeyGroup}}. The record belongs to ` +
        'another task: route records by the same key, key type and maximum parallelism as the state was created with.',
      { details: { keyGroup, startKeyGroup, endKeyGroup } },
    )
  }

  async #close(): Promise<void> {
    const closed = new StateBackendError(
      'BACKEND_CLOSED',
      'The state backend was closed. Create a new one from the last completed checkpoint.',
    )
    this.#context.disable(closed)
    this.#closing.abort(closed)
    const ended = this.#parts.pipeline.close(closed)
    await Promise.allSettled(this.#snapshots)
    await ended
    await this.#parts.release()
  }
}

/**
 * State that went elsewhere than its checkpoint would be found missing at a restore, when it is too late: a savepoint's in the folder of a
 * checkpoint, say, or a checkpoint's in that of another one, which is deleted before it.
 */
function checkStreamFactory(
  { checkpointId, target }: CheckpointStreamFactory,
  snapshotId: number,
  wanted: CheckpointTarget,
): void {
  const given = target ?? wanted
  const sameTarget =
    given.savepointFolder === wanted.savepointFolder && (given.epoch ?? 0) === (wanted.epoch ?? 0)
  if (checkpointId === snapshotId && sameTarget) return
  throw new StateBackendError(
    'INVALID_ARGUMENT',
    `Snapshot ${snapshotId} was given a stream factory for ${describeTarget(checkpointId, given)}; its options are for ` +
      `${describeTarget(snapshotId, wanted)}. Make it by storage.streamFactory(checkpointId, options.target).`,
    { details: { snapshotId, factoryId: checkpointId } },
  )
}

function describeTarget(id: number, { epoch = 0, savepointFolder }: CheckpointTarget): string {
  const where = savepointFolder === undefined ? 'a checkpoint' : `savepoint ${savepointFolder}`
  return `${where}, id ${id}, of attempt ${epoch}`
}

/** Aborts `abortion` when `signal` is aborted, or at once when it already was; until the result is called. */
function abortWith(abortion: AbortController, signal: AbortSignal): () => void {
  const abort = (): void => abortion.abort(signal.reason)
  if (signal.aborted) abort()
  signal.addEventListener('abort', abort, { once: true })
  return () => signal.removeEventListener('abort', abort)
}

const NO_BYTES = new Uint8Array(0)
const EMPTY = { jobManagerOwnedSnapshot: undefined, uploadedBytes: 0, stateBytes: 0 }
