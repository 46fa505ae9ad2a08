/**
 * The completed checkpoints of a job, and what they need in storage: which are retained, which shared objects they name.
 *
 * Invariants
 * H1 An id is above every id in storage and every id given here, so it never belongs to two checkpoints that can be met. An aborted
 *    checkpoint leaves nothing behind, and after a restart its id may be given again; that is harmless: no object's name follows from
 *    an id, and which checkpoint is newer is told by epoch before id.
 * H2 A shared object is deleted only when no retained checkpoint names it and no pending one can: a pending one is built on the
 *    checkpoint that was the last completed one at its trigger, or on one that was completed since, as far as each task had heard.
 * H5 The last completed checkpoint is always retained, so a savepoint, which is never retained, cannot push it out.
 */
import { encodeCheckpointMetadata } from '../checkpoint/checkpoint-metadata.js'
import { objectsOf, type CompletedCheckpoint } from '../checkpoint/completed-checkpoint.js'
import type { IncrementalRemoteKeyedStateHandle } from '../checkpoint/keyed-state-handle.js'
import { SharedStateRegistry } from '../checkpoint/shared-state-registry.js'
import { assert } from '../common/assert.js'
import { StateBackendError } from '../errors.js'
import type { SnapshotLocation } from '../restore/snapshot-location.js'
import type { CheckpointStorage } from '../storage/checkpoint-storage.js'
import {
  selectCheckpoint,
  storedCheckpoints,
  type RestoredCheckpoint,
  type RestoreSource,
  type StoredCheckpoint,
} from './checkpoint-selection.js'
import { CheckpointsCleaner, type Abortion } from './checkpoints-cleaner.js'

/** Late acknowledgements of older ones are not cleaned up any more: they are orphans. */
const ABORTED_REMEMBERED_MAX = 1000

interface Abortable {
  readonly signal?: AbortSignal | undefined
}

/** One of the job's own by its id, or what was claimed from elsewhere. */
type Retained = number | SnapshotLocation

export interface Recovery {
  readonly restored: RestoredCheckpoint | undefined
  /** Of every id in storage and in what was restored. */
  readonly highestCheckpointId: number
}

export class CompletedCheckpointStore {
  readonly #storage: CheckpointStorage
  readonly #retainedMax: number
  readonly #onWarning: (warning: StateBackendError) => void
  readonly #registry = new SharedStateRegistry()
  readonly #cleaner: CheckpointsCleaner
  /** From the oldest to the newest. */
  #retained: Retained[] = []
  #lastCheckpointId: number | undefined
  readonly #aborted = new Set<number>()

  constructor(options: {
    storage: CheckpointStorage
    retainedMax: number
    onWarning: (warning: StateBackendError) => void
  }) {
    this.#storage = options.storage
    this.#retainedMax = options.retainedMax
    this.#onWarning = options.onWarning
    this.#cleaner = new CheckpointsCleaner({ ...options, registry: this.#registry })
  }

  /** What increments are built on: `undefined` while the job has no checkpoint of its own. */
  get lastCheckpointId(): number | undefined {
    return this.#lastCheckpointId
  }

  isRetained(checkpointId: number): boolean {
    return this.#retained.includes(checkpointId)
  }

  /** Finds what is in storage and picks what to restore. When it rejects, nothing has changed. */
  async recover(source: RestoreSource, options: Abortable): Promise<Recovery> {
    const storage = this.#storage
    const stored = await storedCheckpoints(storage, options)
    const highest = await storage.highestCheckpointId(options)
    const restored = await this.#select(stored, source, options)
    const { read, unreadable } = partition(stored)
    for (const { checkpointId, error } of unreadable) this.#warnUnreadable(checkpointId, error)
    for (const checkpoint of read) {
      const { shared } = objectsOf(checkpoint)
      this.#registry.register(shared, checkpoint.checkpointId)
      // What it names is not known, so it may be any of these.
      for (const { checkpointId } of unreadable) this.#registry.register(shared, checkpointId)
    }
    this.#retain(stored, source, restored)
    const restoredId = restored?.checkpoint.checkpointId ?? 0
    return { restored, highestCheckpointId: Math.max(highest, restoredId) }
  }

  async #select(
    stored: readonly StoredCheckpoint[],
    source: RestoreSource,
    options: Abortable,
  ): Promise<RestoredCheckpoint | undefined> {
    if ('snapshot' in source) {
      this.#refuseOwn(source.snapshot)
      const { checkpoint, state } = source.snapshot
      return { checkpoint, state }
    }
    const onWarning = this.#onWarning
    const selecting = { ...options, onWarning }
    const checkpoint = await selectCheckpoint(stored, this.#storage, source, selecting)
    return checkpoint && { checkpoint, state: this.#storage }
  }

  #refuseOwn({ objectStore, folder, checkpoint }: SnapshotLocation): void {
    const { jobId } = this.#storage
    const sameStore = objectStore.description === this.#storage.objectStore.description
    if (!sameStore || !folder.startsWith(`${jobId}/`)) return
    throw new StateBackendError(
      'INVALID_ARGUMENT',
      `${folder} is a checkpoint of this very job, which owns it already. Restore it by { checkpointId: ${checkpoint.checkpointId} }, or ` +
        'run under another job id to leave it untouched.',
      { details: { folder, jobId } },
    )
  }

  #warnUnreadable(checkpointId: number, cause: unknown): void {
    this.#onWarning(
      new StateBackendError(
        'CHECKPOINT_FAILED',
        `Checkpoint ${checkpointId} cannot be read. The job goes on from another one; tables that only this one names will be ` +
          'left in storage, for findOrphans.',
        { cause, details: { checkpointId } },
      ),
    )
  }

  /** What was restored is the newest, whatever else there is: the others go first. */
  #retain(
    stored: readonly StoredCheckpoint[],
    source: RestoreSource,
    restored: RestoredCheckpoint | undefined,
  ): void {
    this.#retained = stored.map(({ checkpointId }) => checkpointId)
    if (restored === undefined) return
    if ('snapshot' in source) {
      if (source.claimMode === 'CLAIM') this.#retained.push(source.snapshot)
      return
    }
    const { checkpointId } = restored.checkpoint
    this.#retained = [...this.#retained.filter((id) => id !== checkpointId), checkpointId]
    this.#lastCheckpointId = checkpointId
  }

  /** C4: to be called with every acknowledgement of a checkpoint, also a late one, before anything else. */
  registerAcknowledged(
    checkpointId: number,
    handle: IncrementalRemoteKeyedStateHandle | null | undefined,
  ): void {
    const { shared, exclusive } = handle?.objects() ?? { shared: [], exclusive: [] }
    this.#registry.register(shared, checkpointId)
    this.#cleaner.registerExclusive(checkpointId, exclusive)
  }

  /** C3: to be called when everything that `checkpoint` names is durable. */
  publish(checkpoint: CompletedCheckpoint, options: Abortable): Promise<void> {
    const bytes = encodeCheckpointMetadata(checkpoint)
    return this.#storage.writeMetadata(checkpoint.checkpointId, bytes, options)
  }

  /** Adds a published checkpoint; returns the ids of those that are retained no more. */
  add(checkpointId: number): number[] {
    this.#retained.push(checkpointId)
    this.#lastCheckpointId = checkpointId
    const subsumed = this.#retained.splice(0, this.#retained.length - this.#retainedMax)
    const ids: number[] = []
    for (const each of subsumed) {
      if (typeof each === 'number') {
        this.#cleaner.condemn(each, 'subsumed')
        ids.push(each)
      } else {
        this.#cleaner.condemnSnapshot(each)
      }
    }
    return ids
  }

  /**
   * `checkpointId` will never be completed: all of it that was acknowledged is to go. May be called again for late ones. `why`: whether its
   * `_metadata` may be there.
   */
  abort(checkpointId: number, why: Abortion = 'aborted'): void {
    assert(!this.isRetained(checkpointId), 'a retained checkpoint is not aborted', { checkpointId })
    this.#cleaner.condemn(checkpointId, why)
    this.#rememberAborted(checkpointId)
  }

  #rememberAborted(checkpointId: number): void {
    this.#aborted.add(checkpointId)
    const [oldest] = this.#aborted
    if (this.#aborted.size > ABORTED_REMEMBERED_MAX && oldest !== undefined) {
      this.#aborted.delete(oldest)
    }
  }

  /** Whether `abort` was called for it, and not for very many since. */
  wasAborted(checkpointId: number): boolean {
    return this.#aborted.has(checkpointId)
  }

  get hasToClean(): boolean {
    return this.#cleaner.hasToClean(this.#lowestNeededId([]))
  }

  /** Whether a publication was taken for failed that may have been none. */
  get hasDoubts(): boolean {
    return this.#cleaner.hasDoubts
  }

  /** To be called before `clean`, and before it is asked whether a later attempt than `epoch` has begun. Never rejects. */
  settleDoubts(epoch: number): Promise<ReadonlySet<number>> {
    return this.#cleaner.settleDoubts(epoch)
  }

  /**
   * Deletes what is not needed any more. `baseIds` gives the checkpoints that pending ones are based on; `epoch` is this attempt's;
   * `published` is what `settleDoubts` returned. Never rejects: what could not be deleted is a warning, and is tried again the next time.
   */
  clean(
    epoch: number,
    baseIds: () => readonly number[],
    published: ReadonlySet<number>,
  ): Promise<void> {
    return this.#cleaner.clean(epoch, {
      baseIds,
      lowestNeededId: () => this.#lowestNeededId(baseIds()),
      mustStay: (id) => !published.has(id) || id > (this.#lastCheckpointId ?? 0),
    })
  }

  #lowestNeededId(baseIds: readonly number[]): number {
    const retained = this.#retained.filter((each) => typeof each === 'number')
    const needed = [...retained, ...baseIds]
    // Not `Math.min(...needed)`: of a hundred thousand arguments the stack overflows.
    return needed.length === 0 ? 1 : needed.reduce((lowest, id) => Math.min(lowest, id))
  }
}

function partition(stored: readonly StoredCheckpoint[]): {
  read: CompletedCheckpoint[]
  unreadable: { checkpointId: number; error: unknown }[]
} {
  return {
    read: stored.flatMap(({ read }) => ('checkpoint' in read ? read.checkpoint : [])),
    unreadable: stored.flatMap(({ checkpointId, read }) =>
      'error' in read ? { checkpointId, error: read.error } : [],
    ),
  }
}
