/**
 * Which shared objects some checkpoint may need: for each, the interval of checkpoint ids `[created, lastUsed]`, both included, as
 * Flink keeps it. No reference counts: registering again, late or twice, changes nothing but the interval.
 *
 * It only decides. The caller deletes, and tells when it has (`forget`), so that a failed deletion is asked for again.
 *
 * Invariants
 * C4 An object is registered when a task acknowledges, also a late one; after that it is deleted only by way of `unused`.
 * G1 An object that a checkpoint at or above the lowest needed id named is never `unused`.
 */

interface SharedObject {
  /** The first checkpoint that named it. */
  readonly created: number
  /** The last one; `NOBODY` when that can never be completed. */
  readonly lastUsed: number
}

/** Below every checkpoint id. */
const NOBODY = 0

export class SharedStateRegistry {
  readonly #objects = new Map<string, SharedObject>()

  /** Notes that `checkpointId`, an integer from 1, names the objects at `locations`. */
  register(locations: Iterable<string>, checkpointId: number): void {
    for (const location of locations) {
      const known = this.#objects.get(location)
      this.#objects.set(location, {
        created: Math.min(known?.created ?? checkpointId, checkpointId),
        lastUsed: Math.max(known?.lastUsed ?? checkpointId, checkpointId),
      })
    }
  }

  /**
   * Gives up what only `checkpointId` named. It must never be completed: its `_metadata` is not in storage. Others cannot have been
   * built on it, since an increment starts from a completed checkpoint (C1).
   */
  checkpointAborted(checkpointId: number): void {
    for (const [location, { created, lastUsed }] of this.#objects) {
      if (created !== checkpointId || lastUsed !== checkpointId) continue
      this.#objects.set(location, { created, lastUsed: NOBODY })
    }
  }

  /**
   * Locations that no checkpoint from `lowestNeededId` on named: to be deleted. `lowestNeededId` is the lowest of the retained
   * checkpoints and of those that a pending one is based on.
   */
  unused(lowestNeededId: number): string[] {
    const locations: string[] = []
    for (const [location, { lastUsed }] of this.#objects) {
      if (lastUsed < lowestNeededId) locations.push(location)
    }
    return locations
  }

  /** The objects at `locations` are deleted. */
  forget(locations: Iterable<string>): void {
    for (const location of locations) this.#objects.delete(location)
  }

  get size(): number {
    return this.#objects.size
  }
}
