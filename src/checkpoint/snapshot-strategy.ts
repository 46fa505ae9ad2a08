/**
 * Takes the snapshots of one backend: plans each when the store is at the snapshot's state, uploads it, and remembers which chain was
 * completed last.
 *
 * Invariants
 * I1 A plan is made after the tables of the snapshot's generation were written and before anything of the next one is. Where it needs the
 *    store's tables it waits for the store, which then holds exactly the snapshot's state, so they can be taken as they are.
 * I2 Only `notifyCheckpointComplete` (or the coordinator's word at a barrier) moves the completed chain, and only forward.
 */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { assert } from '../common/assert.js'
import type { Clock } from '../common/clock.js'
import { BACKGROUND_SLICE_MS, Slicer } from '../common/slicer.js'
import { StateBackendError } from '../errors.js'
import type { KeyGroupRange } from '../record/key-group-range.js'
import {
  CheckpointedStateScope,
  type CheckpointStreamFactory,
} from '../storage/checkpoint-storage.js'
import type { CapturedTables, CapturePreview } from '../store/leveldb-store.js'
import type { TableWriterOptions } from '../table/table-writer.js'
import type { SnapshotType } from './checkpoint-options.js'
import type { DeltaTable } from './delta-table.js'
import type { IncrementalRemoteKeyedStateHandle } from './keyed-state-handle.js'
import { LocalDeltas } from './local-deltas.js'
import type { DeltaMerge, RebasePolicy, SnapshotDecision } from './rebase-policy.js'
import {
  decide,
  decideWithoutRebase,
  EMPTY_CHAIN,
  estimateRebase,
  extendedPlan,
  isContiguous,
  mayRebase,
  newDeltas,
  rebasedPlan,
  type SnapshotChain,
  type SnapshotPlan,
} from './snapshot-chain.js'
import { uploadSnapshot } from './snapshot-upload.js'

/** Checkpoints whose outcome is not known yet; a coordinator that never tells would make this grow. */
const PENDING_CHECKPOINTS_MAX = 1000

/** The newest pending checkpoints, whose base tables stay on the disk for local recovery; those of older ones would be fetched. */
const KEPT_PENDING_MAX = 2

/** Deltas that no completed checkpoint has are dropped from the disk beyond this; the next checkpoint is then a rebase. */
const UNCONFIRMED_BYTES_MAX = 512 * 2 ** 20

/** No delta continues it, so that only a rebase can: a restored delta may begin with the first sequence there is. */
const UNKNOWN_CHAIN: SnapshotChain = { ...EMPTY_CHAIN, throughSequence: -1 }

/** Where base tables come from. */
export interface BaseSource {
  /** Links or writes the store's tables into the new folder `directory`; `undefined` when that is not possible just now. */
  captureTables(directory: string): CapturedTables | undefined | Promise<CapturedTables | undefined>
  /** What `captureTables` would give now, as far as that is known before. */
  previewCapture(): CapturePreview
}

export interface SnapshotStrategyOptions {
  /** Scratch folder of this incarnation for tables. */
  readonly directory: string
  /** Unique, random: what makes file numbers into identities. */
  readonly incarnation: string
  readonly keyGroupRange: KeyGroupRange
  readonly baseSource: BaseSource
  readonly policy: RebasePolicy
  readonly table: TableWriterOptions
  readonly clock: Clock
  readonly randomId: () => string
  /** The chain of the checkpoint this backend was restored from, or the empty one. */
  readonly chain: SnapshotChain
  /** Called whenever a checkpoint of this backend was completed. */
  readonly onCompleted?: () => void
  /** Called whenever local tables may have become unneeded, with the identities of the base tables that are not. */
  readonly onSwept?: (identities: ReadonlySet<string>) => void
  /** Bytes of local deltas that no completed checkpoint has. Default 512 MiB. */
  readonly unconfirmedBytesMax?: number
}

export interface SnapshotRequest {
  readonly checkpointId: number
  readonly snapshotType: SnapshotType
  readonly throughSequence: number
  /** Resolves when the store holds exactly the snapshot's state, and rejects when it cannot. */
  readonly stored: () => Promise<void>
}

export interface PlannedSnapshot {
  readonly request: SnapshotRequest
  readonly plan: SnapshotPlan
  /** Holds the captured tables until the upload is done. */
  readonly captureDirectory: string | undefined
}

export class SnapshotStrategy {
  readonly #options: SnapshotStrategyOptions
  readonly #deltas = new LocalDeltas()
  readonly #pending = new Map<number, SnapshotChain>()
  readonly #running = new Set<PlannedSnapshot>()
  #completed: SnapshotChain
  /** The largest id of a pending checkpoint that was given up here without word of its end. */
  #forgottenThrough = 0
  #fileCount = 0

  constructor(options: SnapshotStrategyOptions) {
    this.#options = options
    this.#completed = options.chain
    for (const { path } of localTables(options.chain)) this.#deltas.track(path)
  }

  get lastCompletedCheckpointId(): number {
    return this.#completed.checkpointId
  }

  /** A new local file name for a table. */
  newTablePath(): string {
    return join(this.#options.directory, `delta-${String(++this.#fileCount).padStart(6, '0')}.ldb`)
  }

  /** The tables of a generation were written. */
  addDeltas(deltas: readonly DeltaTable[]): void {
    for (const delta of deltas) this.#deltas.add(delta)
  }

  /**
   * To be called between batches, when the store has all deltas: bounds what failing checkpoints, and those nobody tells the end of, leave
   * on the disk.
   */
  boundDeltas(): void {
    const { unconfirmedBytesMax = UNCONFIRMED_BYTES_MAX, baseSource } = this.#options
    if (this.#deltas.unconfirmedBytes <= unconfirmedBytesMax) return
    this.#deltas.forgetThrough(baseSource.previewCapture().coveredSequence)
    while (this.#pending.size > 0) this.#forgetOldestPending()
    this.#sweep()
  }

  /** To be called between batches, before anything of a later generation is sent to the store. */
  async plan(request: SnapshotRequest): Promise<PlannedSnapshot> {
    // Most are a delta more, and need not wait for the store.
    if (this.#mayNeedStore(request)) await request.stored()
    const decision = this.#decide(request)
    return decision.kind === 'rebase'
      ? this.#rebase(request)
      : this.#extend(request, decision.merge)
  }

  #decide(request: SnapshotRequest): SnapshotDecision {
    const { deltas, extensible } = this.#extension(request)
    if (!extensible) return { kind: 'rebase' }
    return decide(this.#completed, deltas, this.#options.policy, () =>
      estimateRebase(this.#completed, deltas, {
        incarnation: this.#options.incarnation,
        preview: this.#options.baseSource.previewCapture(),
      }),
    )
  }

  #mayNeedStore(request: SnapshotRequest): boolean {
    const { deltas, extensible } = this.#extension(request)
    return !extensible || mayRebase(this.#completed, deltas, this.#options.policy)
  }

  /**
   * What the snapshot adds to the completed chain as it is now, and whether it can go on from that. To be asked again after every wait: a
   * checkpoint may have been completed, and files be gone that only an older chain names.
   */
  #extension({ snapshotType, throughSequence }: SnapshotRequest): {
    readonly deltas: readonly DeltaTable[]
    readonly extensible: boolean
  } {
    const deltas = newDeltas(this.#completed, this.#deltas.unconfirmed)
    const contiguous = isContiguous(this.#completed, deltas, throughSequence)
    return { deltas, extensible: contiguous && snapshotType === 'checkpoint' }
  }

  async #rebase(request: SnapshotRequest): Promise<PlannedSnapshot> {
    const { incarnation, baseSource, policy } = this.#options
    const name = `capture-${String(++this.#fileCount).padStart(6, '0')}`
    const captureDirectory = join(this.#options.directory, name)
    const captured = await baseSource.captureTables(captureDirectory)
    const { deltas, extensible } = this.#extension(request)
    if (captured !== undefined) {
      const plan = rebasedPlan(this.#completed, deltas, captured, {
        incarnation,
        reuse: request.snapshotType === 'checkpoint',
        throughSequence: request.throughSequence,
        policy,
      })
      return this.#begin({ request, plan, captureDirectory })
    }
    if (extensible) {
      return this.#extend(request, decideWithoutRebase(this.#completed, deltas, policy))
    }
    throw new StateBackendError(
      'CHECKPOINT_FAILED',
      `Snapshot ${request.checkpointId} could not get hold of the database's tables, because compactions kept replacing them. ` +
        'Nothing is lost; trigger the next checkpoint.',
    )
  }

  #extend(request: SnapshotRequest, merge: DeltaMerge | undefined): PlannedSnapshot {
    const { deltas } = this.#extension(request)
    const plan = extendedPlan(this.#completed, deltas, merge, request.throughSequence)
    return this.#begin({ request, plan, captureDirectory: undefined })
  }

  /** From here on what the plan names stays. */
  #begin(planned: PlannedSnapshot): PlannedSnapshot {
    this.#running.add(planned)
    return planned
  }

  /** Uploads a plan and returns its handle. The local tables it needs stay until the plan is released. */
  async upload(
    planned: PlannedSnapshot,
    input: { meta: Buffer; streamFactory: CheckpointStreamFactory; signal: AbortSignal },
  ): Promise<IncrementalRemoteKeyedStateHandle> {
    const { checkpointId, snapshotType } = planned.request
    const { incarnation, keyGroupRange, table, clock, randomId } = this.#options
    const mergedPath = this.newTablePath()
    try {
      const { chain, handle } = await uploadSnapshot({
        ...input,
        plan: planned.plan,
        checkpointId,
        tableScope:
          snapshotType === 'savepoint'
            ? CheckpointedStateScope.Exclusive
            : CheckpointedStateScope.Shared,
        backendIdentifier: incarnation,
        stateHandleId: randomId(),
        keyGroupRange,
        mergedPath,
        slicer: new Slicer(clock, BACKGROUND_SLICE_MS),
        table,
      })
      if (snapshotType !== 'savepoint') this.#await(chain)
      return handle
    } finally {
      // Only now: no chain names the merged table before, and a sweep would take it.
      this.#deltas.track(mergedPath)
    }
  }

  /** To be called for every plan, once it is uploaded or given up: releases what it holds on the disk. */
  release(planned: PlannedSnapshot): void {
    this.#running.delete(planned)
    if (planned.captureDirectory !== undefined) {
      rmSync(planned.captureDirectory, { recursive: true, force: true })
    }
    this.#sweep()
  }

  #await(chain: SnapshotChain): void {
    this.#pending.set(chain.checkpointId, chain)
    if (this.#pending.size > PENDING_CHECKPOINTS_MAX) this.#forgetOldestPending()
  }

  #forgetOldestPending(): void {
    const oldest = this.#pending.keys().next()
    if (oldest.done === true) return
    this.#pending.delete(oldest.value)
    this.#forgottenThrough = Math.max(this.#forgottenThrough, oldest.value)
  }

  /** An older id than the last completed one, or one that was never uploaded here (a savepoint), changes nothing. */
  notifyCheckpointComplete(checkpointId: number): void {
    if (checkpointId <= this.#completed.checkpointId) return
    const chain = this.#pending.get(checkpointId)
    if (chain !== undefined) this.#complete(chain)
    else if (checkpointId <= this.#forgottenThrough) this.#startAnew(checkpointId)
    else return
    for (const id of this.#pending.keys()) if (id <= checkpointId) this.#pending.delete(id)
    this.#sweep()
    this.#options.onCompleted?.()
  }

  #complete(chain: SnapshotChain): void {
    assert(
      chain.throughSequence >= this.#completed.throughSequence,
      'a later checkpoint holds at least what an earlier one holds',
    )
    this.#completed = chain
    this.#deltas.forgetThrough(chain.throughSequence)
  }

  /**
   * A checkpoint that was forgotten here was completed: its tables are not known any more, and those of the older ones may be deleted by
   * now. The next snapshot names none of either.
   */
  #startAnew(checkpointId: number): void {
    this.#deltas.unconfirm(this.#completed.deltas.map(({ delta }) => delta))
    this.#completed = { ...UNKNOWN_CHAIN, checkpointId }
  }

  notifyCheckpointAborted(checkpointId: number): void {
    if (this.#pending.delete(checkpointId)) this.#sweep()
  }

  #sweep(): void {
    const { onSwept } = this.#options
    const plans = [...this.#running].map(({ plan }) => plan)
    const pending = [...this.#pending.values()]
    this.#deltas.sweep([this.#completed, ...pending, ...plans].flatMap(localTables))
    if (onSwept === undefined) return
    const kept = [this.#completed, ...pending.slice(-KEPT_PENDING_MAX), ...plans]
    const bases = kept.flatMap(({ base }) => base)
    onSwept(new Set(bases.map(({ identity }) => identity)))
  }
}

/** The tables of a chain or plan that are needed on local disk: to be merged, or to be uploaded. */
function localTables({
  base,
  deltas,
}: Pick<SnapshotChain, 'base' | 'deltas'>): readonly { readonly path: string }[] {
  return [
    ...base.flatMap((table) => (table.handle === undefined ? [table] : [])),
    ...deltas.map(({ delta }) => delta),
  ]
}
