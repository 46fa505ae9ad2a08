/**
 * Estimates how many distinct keys several tables have together, from the smallest hashes of each (a KMV sketch).
 *
 * The rebase policy asks it how large a merged delta would be: a hot set that is rewritten at every checkpoint must not cause a rebase.
 */
import { bloomHash } from './bloom-filter.js'

/** Relative error about 1 / sqrt(512), 4 %. */
const SKETCH_HASHES = 512
const HASH_SPACE = 2 ** 32

export class KeySketch {
  /** The smallest hashes seen, ascending, at most `SKETCH_HASHES`. */
  #hashes: number[] = []
  #pending: number[] = []
  #threshold = HASH_SPACE

  /** Every key of the table, once. */
  add(key: Uint8Array): void {
    const hash = bloomHash(key)
    if (hash >= this.#threshold) return
    this.#pending.push(hash)
    if (this.#pending.length >= SKETCH_HASHES) this.#settle()
  }

  #settle(): void {
    this.#hashes = smallestDistinct([...this.#hashes, ...this.#pending])
    this.#pending = []
    if (this.#hashes.length === SKETCH_HASHES) this.#threshold = this.#hashes.at(-1) ?? HASH_SPACE
  }

  /** Distinct keys in the union of the tables, estimated; exact while they are few. */
  static distinctKeys(sketches: readonly KeySketch[]): number {
    const all = sketches.flatMap((sketch) => [...sketch.#hashes, ...sketch.#pending])
    const smallest = smallestDistinct(all)
    if (smallest.length < SKETCH_HASHES) return smallest.length
    const largest = smallest.at(-1) ?? 0
    return Math.round(((SKETCH_HASHES - 1) * HASH_SPACE) / (largest + 1))
  }
}

function smallestDistinct(hashes: number[]): number[] {
  return [...new Set(hashes)].sort((a, b) => a - b).slice(0, SKETCH_HASHES)
}
