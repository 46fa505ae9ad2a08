/** A task whose snapshots are real objects in storage and succeed when the test says so; what it is told is logged. */
import { Buffer } from 'node:buffer'
import type { CheckpointOptions } from '../../src/checkpoint/checkpoint-options.js'
import {
  IncrementalRemoteKeyedStateHandle,
  type TableHandle,
} from '../../src/checkpoint/keyed-state-handle.js'
import type { SnapshotResult } from '../../src/checkpoint/snapshotable.js'
import type { CheckpointTask } from '../../src/host/pending-checkpoint.js'
import { KeyGroupRange } from '../../src/record/key-group-range.js'
import {
  CheckpointedStateScope,
  type CheckpointStorage,
} from '../../src/storage/checkpoint-storage.js'
import { bodyOfBytes } from '../../src/storage/object-store.js'

export class FakeTask implements CheckpointTask {
  /** Awaited by each snapshot after its synchronous part; rejecting declines. */
  beforeAcknowledge: (checkpointId: number) => Promise<void> = () => Promise.resolve()
  /** Thrown when told of a completed checkpoint. */
  throwsWhenTold = false
  kind: SnapshotResult['kind'] = 'delta'
  readonly told: string[]
  readonly lastCompletedIds: (number | undefined)[] = []
  readonly signals: AbortSignal[] = []
  readonly #name: string
  readonly #storage: CheckpointStorage
  readonly #chains = new Map<number, readonly TableHandle[]>()
  #completed: readonly TableHandle[] = []
  #snapshots = 0

  /** Each checkpoint adds a table; `rebaseEvery`th starts anew. */
  readonly #rebaseEvery: number

  constructor(options: {
    name: string
    storage: CheckpointStorage
    told?: string[]
    rebaseEvery?: number
    /** The tables of the handle that it was restored from. */
    restored?: readonly TableHandle[]
  }) {
    this.#name = options.name
    this.#storage = options.storage
    this.told = options.told ?? []
    this.#rebaseEvery = options.rebaseEvery ?? 3
    this.#completed = options.restored ?? []
  }

  async snapshot(
    checkpointId: number,
    _timestampMs: number,
    options: CheckpointOptions,
    signal: AbortSignal,
  ): Promise<SnapshotResult> {
    this.signals.push(signal)
    const write = this.prepare(checkpointId, options)
    await this.beforeAcknowledge(checkpointId)
    return write()
  }

  /** The synchronous part. What it returns brings the state to storage, each time under new names. */
  prepare(checkpointId: number, options: CheckpointOptions): () => Promise<SnapshotResult> {
    const { lastCompletedCheckpointId, snapshotType } = options
    this.told.push(`${this.#name} snapshot ${checkpointId}`)
    this.lastCompletedIds.push(lastCompletedCheckpointId)
    const fresh = ++this.#snapshots % this.#rebaseEvery === 0 || snapshotType !== 'checkpoint'
    const base = fresh ? [] : this.#completed
    return () => this.#write(checkpointId, options, base)
  }

  async #write(
    checkpointId: number,
    { target }: CheckpointOptions,
    base: readonly TableHandle[],
  ): Promise<SnapshotResult> {
    const factory = this.#storage.streamFactory(checkpointId, target)
    const bytes = Buffer.from(`${this.#name} ${checkpointId}`)
    const table: TableHandle = {
      role: 'delta',
      level: 0,
      state: await factory.write(CheckpointedStateScope.Shared, bodyOfBytes(bytes)),
      smallest: '',
      largest: '',
      largestSequence: checkpointId,
    }
    const sharedState = [...base, table]
    this.#chains.set(checkpointId, sharedState)
    const handle = new IncrementalRemoteKeyedStateHandle({
      backendIdentifier: this.#name,
      stateHandleId: `${this.#name}-${checkpointId}`,
      checkpointId,
      keyGroupRange: KeyGroupRange.of(0, 127),
      sharedState,
      metaState: await factory.write(CheckpointedStateScope.Exclusive, bodyOfBytes(bytes)),
      checkpointedSize: 2 * bytes.length,
    })
    return {
      jobManagerOwnedSnapshot: handle,
      kind: this.kind,
      uploadedBytes: handle.checkpointedSize,
      stateBytes: handle.stateSize,
      syncMs: 1,
      asyncMs: 2,
    }
  }

  notifyCheckpointComplete(checkpointId: number): void {
    this.told.push(`${this.#name} complete ${checkpointId}`)
    this.#completed = this.#chains.get(checkpointId) ?? this.#completed
    if (this.throwsWhenTold) throw new Error('told')
  }

  notifyCheckpointAborted(checkpointId: number): void {
    this.told.push(`${this.#name} aborted ${checkpointId}`)
    if (this.throwsWhenTold) throw new Error('told')
  }

  notifyCheckpointSubsumed(checkpointId: number): void {
    this.told.push(`${this.#name} subsumed ${checkpointId}`)
    if (this.throwsWhenTold) throw new Error('told')
  }
}

/** A promise that the test settles. */
export function gate(): { promise: Promise<void>; open: () => void; fail: (error: Error) => void } {
  let open: () => void = () => undefined
  let fail: (error: Error) => void = () => undefined
  const promise = new Promise<void>((resolve, reject) => {
    open = resolve
    fail = reject
  })
  return { promise, open, fail }
}
