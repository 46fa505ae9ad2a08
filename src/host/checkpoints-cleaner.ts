/**
 * Deletes what no checkpoint needs. Nothing of it is urgent and none of it may fail a job: a failed deletion is a warning, and is tried
 * again with the next cleaning.
 *
 * Invariants
 * D1 `_metadata` goes first, in a request of its own, then the state it named: whatever exists can be read. Not all in one request,
 *    though S3 would take that: it deletes each key of a request by itself, in no order it tells, and may refuse some.
 * D2 While the `_metadata` of a checkpoint may still be there, no shared object that it names is deleted.
 * D3 (C6) Of a checkpoint that was not completed, only what this attempt wrote is deleted: its id may be another attempt's as well.
 * D4 What a pending checkpoint names and did not write itself is named by a `_metadata` in storage, so that `findOrphans` sees its need: what
 *    it is based on stays until it has ended.
 * D5 (C6) Whether a checkpoint that was taken for not published is in storage is asked for, and only then is asked whether a later attempt
 *    has begun: that one may have gone on from it, and deleted its `_metadata` since. If it is there it stays, whole, until a later one is
 *    completed, which attempts go on from instead. One that was broken off, and is not there, is looked for again the next time.
 */
import type { SharedStateRegistry } from '../checkpoint/shared-state-registry.js'
import { SerialQueue } from '../common/serial-queue.js'
import { isDataError, StateBackendError } from '../errors.js'
import { readCheckpoint } from '../restore/read-checkpoint.js'
import { disposeSnapshot, type SnapshotLocation } from '../restore/snapshot-location.js'
import type { CheckpointStorage } from '../storage/checkpoint-storage.js'

/** Checkpoints that one cleaning tries to discard, those that never failed first: storage that refuses must not hold up the job. */
const DISCARDS_PER_CLEANING_MAX = 100
/** Objects deleted in one call: one that cannot be deleted keeps so many others at most. S3's most for a request. */
const OBJECTS_PER_DELETION_MAX = 1000
/** Of checkpoints, and as many of state, in one cleaning: each may have been tried for half a minute by then. */
const FAILED_DELETIONS_MAX = 3

/**
 * `doubtful`: its publication was taken for failed. `broken-off`: the same, and was not waited for, so it may yet be carried out. `aborted`:
 * its `_metadata` never was there.
 */
type Condemnation = 'subsumed' | Abortion

/** Of one that will never be completed. */
export type Abortion = 'aborted' | 'doubtful' | 'broken-off'

export class CheckpointsCleaner {
  readonly #storage: CheckpointStorage
  readonly #registry: SharedStateRegistry
  readonly #onWarning: (warning: StateBackendError) => void
  readonly #condemned = new Map<number, Condemnation>()
  readonly #condemnedSnapshots = new Set<SnapshotLocation>()
  /** By id: all that tasks brought for a checkpoint of this attempt alone. Of others a listing tells. */
  readonly #exclusive = new Map<number, Set<string>>()
  /** Exclusive state of checkpoints whose `_metadata` is gone. */
  readonly #unnamed = new Set<string>()
  readonly #queue = new SerialQueue()

  constructor(options: {
    storage: CheckpointStorage
    registry: SharedStateRegistry
    onWarning: (warning: StateBackendError) => void
  }) {
    this.#storage = options.storage
    this.#registry = options.registry
    this.#onWarning = options.onWarning
  }

  /** To be called with every acknowledgement of a checkpoint. */
  registerExclusive(checkpointId: number, locations: readonly string[]): void {
    const known = this.#exclusive.get(checkpointId) ?? new Set()
    for (const location of locations) known.add(location)
    this.#exclusive.set(checkpointId, known)
  }

  /** `checkpointId` is to go; the first reason counts. Nothing happens before `clean`. */
  condemn(checkpointId: number, why: Condemnation): void {
    if (!this.#condemned.has(checkpointId)) this.#condemned.set(checkpointId, why)
  }

  /** What was claimed from elsewhere is to go. */
  condemnSnapshot(snapshot: SnapshotLocation): void {
    this.#condemnedSnapshots.add(snapshot)
  }

  hasToClean(lowestNeededId: number): boolean {
    return (
      this.#condemned.size > 0 ||
      this.#condemnedSnapshots.size > 0 ||
      this.#unnamed.size > 0 ||
      this.#registry.unused(lowestNeededId).length > 0
    )
  }

  get hasDoubts(): boolean {
    return [...this.#condemned.values()].some(isDoubtful)
  }

  /**
   * Settles which doubtful checkpoints are in storage, published by `epoch`; returns their ids. Whether a later attempt has begun must be
   * asked after it and before `clean` (D5). Never rejects: one that could not be settled is left for the next time.
   */
  async settleDoubts(epoch: number): Promise<ReadonlySet<number>> {
    const published = new Set<number>()
    const doubtful = [...this.#condemned].filter(([, why]) => isDoubtful(why))
    for (const [checkpointId, why] of doubtful.slice(0, DISCARDS_PER_CLEANING_MAX)) {
      try {
        const found = await this.#isPublishedBy(epoch, checkpointId)
        if (found) published.add(checkpointId)
        const lookAgain = found || why === 'broken-off'
        this.#condemned.set(checkpointId, lookAgain ? 'doubtful' : 'aborted')
      } catch (cause) {
        this.#warn(`Checkpoint ${checkpointId} was aborted, and may be there all the same`, cause, {
          checkpointId,
        })
      }
    }
    return published
  }

  /**
   * Discards the condemned checkpoints, but for those that pending ones are based on (`baseIds`), and the shared objects that neither
   * they nor a checkpoint from `lowestNeededId` on names. One cleaning at a time. Never rejects.
   */
  clean(
    epoch: number,
    needs: {
      readonly baseIds: () => readonly number[]
      readonly lowestNeededId: () => number
      readonly mustStay: (doubtfulId: number) => boolean
    },
  ): Promise<void> {
    return this.#queue.push(async () => {
      await this.#discardCondemned(epoch, needs)
      await this.#disposeSnapshots()
      await this.#deleteUnneeded(needs.lowestNeededId())
    })
  }

  async #discardCondemned(
    epoch: number,
    { baseIds, mustStay }: Parameters<CheckpointsCleaner['clean']>[1],
  ): Promise<void> {
    const bases = baseIds()
    const ids = [...this.#condemned]
      .filter(([id, why]) => !bases.includes(id) && !(isDoubtful(why) && mustStay(id)))
      .map(([id]) => id)
    let failed = 0
    for (const checkpointId of ids.slice(0, DISCARDS_PER_CLEANING_MAX)) {
      if (failed === FAILED_DELETIONS_MAX) return
      const why = this.#condemned.get(checkpointId)
      if (why === undefined) continue
      try {
        await this.#discard(checkpointId, why, epoch)
      } catch (cause) {
        failed++
        // To the end: the next cleaning begins with others.
        this.#condemned.delete(checkpointId)
        this.#condemned.set(checkpointId, why)
        this.#warn(`Checkpoint ${checkpointId} is ${why} and could not be deleted`, cause, {
          checkpointId,
        })
        continue
      }
      this.#condemned.delete(checkpointId)
      this.#exclusive.delete(checkpointId)
      if (why !== 'subsumed') this.#registry.checkpointAborted(checkpointId)
    }
  }

  /** Of what was completed here every name is known, so that nothing need be listed. */
  async #discard(id: number, why: Condemnation, epoch: number): Promise<void> {
    const exclusive = this.#exclusive.get(id)
    if (why === 'aborted') return this.#storage.discardUnpublished(id, epoch)
    if (why !== 'subsumed' || exclusive === undefined) return this.#storage.discardCheckpoint(id)
    await this.#storage.deleteMetadata(id)
    for (const location of exclusive) this.#unnamed.add(location)
  }

  /** The answer to a publication that was taken for failed may have been lost: then its `_metadata` is there. */
  async #isPublishedBy(epoch: number, checkpointId: number): Promise<boolean> {
    try {
      return (await readCheckpoint(this.#storage, checkpointId)).epoch === epoch
    } catch (error) {
      if (isDataError(error)) return false
      throw error
    }
  }

  async #disposeSnapshots(): Promise<void> {
    for (const snapshot of this.#condemnedSnapshots) {
      try {
        await disposeSnapshot(snapshot)
        this.#condemnedSnapshots.delete(snapshot)
      } catch (cause) {
        const { folder } = snapshot
        this.#warn(`${folder} was claimed, is subsumed and could not be deleted`, cause, { folder })
      }
    }
  }

  async #deleteUnneeded(lowestNeededId: number): Promise<void> {
    const stillThere = [...this.#condemned.keys()].sort((a, b) => a - b)
    const shared = this.#registry.unused(lowestNeededId, stillThere)
    const objects = [...this.#unnamed, ...shared]
    const failed: { deletions: number; objects: number; cause: unknown } = {
      deletions: 0,
      objects: 0,
      cause: undefined,
    }
    for (let start = 0; start < objects.length; start += OBJECTS_PER_DELETION_MAX) {
      if (failed.deletions === FAILED_DELETIONS_MAX) break
      const batch = objects.slice(start, start + OBJECTS_PER_DELETION_MAX)
      try {
        await this.#storage.deleteState(batch)
        this.#registry.forget(batch)
        for (const location of batch) this.#unnamed.delete(location)
      } catch (cause) {
        failed.deletions++
        failed.objects += batch.length
        failed.cause ??= cause
        this.#registry.postpone(batch)
        for (const location of batch)
          if (this.#unnamed.delete(location)) this.#unnamed.add(location)
      }
    }
    if (failed.objects === 0) return
    const what = `${failed.objects} objects that no checkpoint needs could not all be deleted`
    this.#warn(what, failed.cause, { objects: failed.objects })
  }

  #warn(what: string, cause: unknown, details: Record<string, number | string>): void {
    this.#onWarning(
      new StateBackendError(
        'STORAGE_FAILED',
        `${what}. It takes room and does no other harm; it is tried again after the next checkpoint. Check that this job may delete there.`,
        { cause, details },
      ),
    )
  }
}

function isDoubtful(why: Condemnation): boolean {
  return why === 'doubtful' || why === 'broken-off'
}
