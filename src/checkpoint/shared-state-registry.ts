/**
 * Which shared objects some checkpoint may need: for each, the interval of checkpoint ids `[created, lastUsed]`, both included, as
 * Flink keeps it. No reference counts: registering again, late or twice, changes nothing but the interval.
 *
 * It only decides. The caller deletes, and tells when it has (`forget`), so that a failed deletion is asked for again.
 *
 * Invariants
 * C4 An object is registered when a task acknowledges, also a late one; after that it is deleted only by way of `unused`.
 * G1 An object that a checkpoint at or above the lowest needed id named is never `unused`, nor is one that a lower one may have named
 *    which could not be deleted yet; so what cannot be deleted keeps its own objects, and not all that came after it.
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
   * Locations that no checkpoint from `lowestNeededId` on named, nor may one of `stillThere`, ascending, have: to be deleted.
   * `lowestNeededId` is the lowest of the retained checkpoints and of those that a pending one is based on.
   */
  unused(lowestNeededId: number, stillThere: readonly number[] = []): string[] {
    const locations: string[] = []
    for (const [location, { created, lastUsed }] of this.#objects) {
      if (lastUsed >= lowestNeededId) continue
      // What can never be completed has no last use, and may be named all the same while its `_metadata` may be there.
      const last = Math.max(created, lastUsed)
      if ((firstFrom(created, stillThere) ?? Infinity) <= last) continue
      locations.push(location)
    }
    return locations
  }

  /** The objects at `locations` are deleted. */
  forget(locations: Iterable<string>): void {
    for (const location of locations) this.#objects.delete(location)
  }

  /** The objects at `locations` could not be deleted: `unused` gives others first. */
  postpone(locations: Iterable<string>): void {
    for (const location of locations) {
      const known = this.#objects.get(location)
      if (known === undefined) continue
      this.#objects.delete(location)
      this.#objects.set(location, known)
    }
  }

  get size(): number {
    return this.#objects.size
  }
}

/** The first of `ids`, ascending, that is not below `least`. */
function firstFrom(least: number, ids: readonly number[]): number | undefined {
  let [low, high] = [0, ids.length]
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((ids[middle] ?? Infinity) < least) low = middle + 1
    else high = middle
  }
  return ids[low]
}
