/**
 * Deletes what no checkpoint needs. Nothing of it is urgent and none of it may fail a job: a failed deletion is a warning, and is tried
 * again with the next cleaning.
 *
 * Invariants
 * D1 `_metadata` goes first, then the exclusive state, then the shared: whatever exists can be read.
 * D2 While the `_metadata` of a checkpoint may still be there, no shared object that it names is deleted.
 */
import type { SharedStateRegistry } from '../checkpoint/shared-state-registry.js'
import { SerialQueue } from '../common/serial-queue.js'
import { StateBackendError } from '../errors.js'
import type { CheckpointStorage } from '../storage/checkpoint-storage.js'

/** Checkpoints that one cleaning tries to discard, the oldest first: storage that refuses must not hold up the job. */
const DISCARDS_PER_CLEANING_MAX = 100

export class CheckpointsCleaner {
  readonly #storage: CheckpointStorage
  readonly #registry: SharedStateRegistry
  readonly #onWarning: (warning: StateBackendError) => void
  readonly #condemned = new Map<number, 'subsumed' | 'aborted'>()
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

  /** `checkpointId` is to go: it is retained no more, or will never be completed. Nothing happens before `clean`. */
  condemn(checkpointId: number, why: 'subsumed' | 'aborted'): void {
    this.#condemned.set(checkpointId, why)
  }

  /**
   * Discards the condemned checkpoints and the shared objects that neither they nor a checkpoint from `lowestNeededId()` on names. One
   * cleaning at a time. Never rejects.
   */
  clean(lowestNeededId: () => number): Promise<void> {
    return this.#queue.push(async () => {
      await this.#discardCondemned()
      await this.#deleteUnused(Math.min(lowestNeededId(), ...this.#condemned.keys()))
    })
  }

  async #discardCondemned(): Promise<void> {
    const ids = [...this.#condemned.keys()].sort((a, b) => a - b)
    for (const checkpointId of ids.slice(0, DISCARDS_PER_CLEANING_MAX)) {
      const why = this.#condemned.get(checkpointId)
      try {
        await this.#storage.discardCheckpoint(checkpointId)
      } catch (cause) {
        this.#warn(`Checkpoint ${checkpointId} is ${why} and could not be deleted`, cause, {
          checkpointId,
        })
        continue
      }
      this.#condemned.delete(checkpointId)
      if (why === 'aborted') this.#registry.checkpointAborted(checkpointId)
    }
  }

  async #deleteUnused(lowestNeededId: number): Promise<void> {
    const locations = this.#registry.unused(lowestNeededId)
    if (locations.length === 0) return
    try {
      await this.#storage.deleteShared(locations)
      this.#registry.forget(locations)
    } catch (cause) {
      const objects = locations.length
      this.#warn(`${objects} shared objects are unused and could not be deleted`, cause, {
        objects,
      })
    }
  }

  #warn(what: string, cause: unknown, details: Record<string, number>): void {
    this.#onWarning(
      new StateBackendError(
        'STORAGE_FAILED',
        `${what}. It takes room and does no other harm; it is tried again after the next checkpoint. Check that this job may delete there.`,
        { cause, details },
      ),
    )
  }
}
