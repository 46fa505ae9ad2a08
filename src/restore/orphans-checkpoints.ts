/**
 * What the checkpoints of a job name, read while the job may go on. Who knows that an object is named by none of them, and was there
 * before, knows that it is needed by none.
 */
import { objectsOf } from '../checkpoint/completed-checkpoint.js'
import { throwIfAborted } from '../common/concurrency.js'
import { StateBackendError, type StateBackendErrorCode } from '../errors.js'
import type { CheckpointStorage } from '../storage/checkpoint-storage.js'
import type { PublishedCheckpoint } from './orphans-classification.js'
import { readCheckpoint } from './read-checkpoint.js'

/**
 * Listings until no new checkpoint shows: a job completes few while the ones before are read. A listing that shows nothing as new as what
 * is known to have been there is not the last: the newest was deleted while it was made, and what took its place need not be on it.
 */
const listingsMax = 16

export interface UnreadableCheckpoint {
  readonly checkpointId: number
  readonly code: StateBackendErrorCode
  readonly message: string
}

/** The checkpoints of a job as they were seen, also those that are gone since. */
export class PublishedCheckpoints {
  readonly #storage: CheckpointStorage
  readonly #seen = new Map<number, PublishedCheckpoint>()
  readonly #unreadable: UnreadableCheckpoint[] = []
  #newestKnown: number

  /** `newestKnown`: that it was there once is known otherwise; 0 when none is. */
  constructor(storage: CheckpointStorage, newestKnown: number) {
    this.#storage = storage
    this.#newestKnown = newestKnown
  }

  /** Ascending. */
  get all(): PublishedCheckpoint[] {
    return [...this.#seen.values()].sort((a, b) => a.checkpointId - b.checkpointId)
  }

  get unreadable(): UnreadableCheckpoint[] {
    return this.#unreadable.toSorted((a, b) => a.checkpointId - b.checkpointId)
  }

  /** Reads the checkpoints that were not seen, until a listing shows none (G5). Resolves to whether there were any. */
  async refresh(signal: AbortSignal | undefined): Promise<boolean> {
    const seenBefore = this.#seen.size
    for (let listings = 1; listings <= listingsMax; listings++) {
      const ids = await this.#storage.listCheckpoints({ signal })
      const newest = ids.at(-1) ?? 0
      const unseen = ids.filter((id) => !this.#seen.has(id))
      // Where nothing ever was, nothing tells a listing that missed the first one: it is asked for twice.
      const trusted =
        newest === 0 ? this.#newestKnown === 0 && listings > 1 : newest >= this.#newestKnown
      if (unseen.length === 0 && trusted) return this.#seen.size > seenBefore
      this.#newestKnown = Math.max(this.#newestKnown, newest)
      for (const id of unseen) await this.#read(id, signal)
    }
    throw new StateBackendError(
      'STORAGE_FAILED',
      `The checkpoints of job ${this.#storage.jobId} changed at each of ${listingsMax} listings. Nothing was decided; try again, nearer to ` +
        'the storage or while the job is stopped.',
      { details: { jobId: this.#storage.jobId } },
    )
  }

  async #read(checkpointId: number, signal: AbortSignal | undefined): Promise<void> {
    try {
      const locations = await this.#locationsOf(checkpointId, signal)
      this.#seen.set(checkpointId, { checkpointId, locations })
    } catch (error) {
      throwIfAborted(signal)
      if (!(error instanceof StateBackendError) || error.kind === 'internal') throw error
      // Deleted since it was listed; when not, the next listing shows it again.
      if (error.code === 'OBJECT_MISSING') return
      this.#seen.set(checkpointId, { checkpointId, locations: undefined })
      this.#unreadable.push({ checkpointId, code: error.code, message: error.message })
    }
  }

  async #locationsOf(checkpointId: number, signal: AbortSignal | undefined): Promise<string[]> {
    const checkpoint = await readCheckpoint(this.#storage, checkpointId, { signal })
    const { shared, exclusive } = objectsOf(checkpoint)
    // Only a savepoint that somebody moved here.
    const root = checkpoint.snapshotType === 'savepoint' ? `chk-${checkpointId}/` : ''
    return [...new Set([...shared, ...exclusive])].map((location) => root + location)
  }
}
