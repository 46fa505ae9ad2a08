/**
 * Estimates how many distinct keys several tables have together, and what their newest entries come to, from the smallest hashes of
 * each (a KMV sketch).
 *
 * The rebase policy asks it how large a merged delta would be: a hot set that is rewritten at every checkpoint must not cause a rebase,
 * and of keys that come and go a merge leaves little.
 */

/** Relative error about 1 / sqrt(512), 4 %. */
const SKETCH_HASHES = 512
const HASH_SPACE = 2 ** 32

/** Bytes of an entry, by the hash of its key. */
type Sample = readonly [hash: number, bytes: number]

export class KeySketch {
  /** Those with the smallest hashes seen, ascending, at most `SKETCH_HASHES`. */
  #samples: Sample[] = []
  #pending: Sample[] = []
  #threshold = HASH_SPACE
  #totalBytes = 0

  /** Every entry of the table, once: the `bloomHash` of its key, and the bytes of key and value. */
  add(hash: number, bytes: number): void {
    this.#totalBytes += bytes
    if (hash >= this.#threshold) return
    this.#pending.push([hash, bytes])
    if (this.#pending.length >= SKETCH_HASHES) this.#settle()
  }

  #settle(): void {
    if (this.#pending.length === 0) return
    this.#samples = withSmallestHashes([...this.#samples, ...this.#pending])
    this.#pending = []
    const largest = this.#samples.at(-1)
    if (this.#samples.length < SKETCH_HASHES || largest === undefined) return
    this.#threshold = largest[0]
  }

  /** Distinct keys in the union of the tables, estimated; exact while they are few. */
  static distinctKeys(sketches: readonly KeySketch[]): number {
    return countOf(KeySketch.#united(sketches))
  }

  /**
   * What is left of the bytes of all entries when the tables, from oldest to newest, are merged and only the newest entry of every key is
   * kept: estimated, from 0 to 1; 1 for no entries.
   */
  static remainingFraction(sketches: readonly KeySketch[]): number {
    const totalBytes = sketches.reduce((bytes, sketch) => bytes + sketch.#totalBytes, 0)
    if (totalBytes === 0) return 1
    const samples = KeySketch.#united(sketches)
    const meanBytes = samples.reduce((sum, [, bytes]) => sum + bytes, 0) / samples.length
    return Math.min(1, (countOf(samples) * meanBytes) / totalBytes)
  }

  /** A hash that is among the smallest of all is among the smallest of every table that has it: what is kept is the newest entry. */
  static #united(sketches: readonly KeySketch[]): readonly Sample[] {
    let united: readonly Sample[] = []
    for (const sketch of sketches) {
      sketch.#settle()
      united = unitedWith(united, sketch.#samples)
    }
    return united
  }
}

/** How many keys there are, judging by those with the smallest hashes. */
function countOf(samples: readonly Sample[]): number {
  const largest = samples.at(-1)
  if (samples.length < SKETCH_HASHES || largest === undefined) return samples.length
  return Math.round(((SKETCH_HASHES - 1) * HASH_SPACE) / (largest[0] + 1))
}

/** One of each hash, the last. */
function withSmallestHashes(samples: readonly Sample[]): Sample[] {
  const smallest: Sample[] = []
  for (const sample of samples.toSorted(([a], [b]) => a - b)) {
    if (smallest.at(-1)?.[0] === sample[0]) smallest.pop()
    else if (smallest.length === SKETCH_HASHES) break
    smallest.push(sample)
  }
  return smallest
}

/** The smallest of two ascending lists, each hash once, as the newer list has it. */
function unitedWith(older: readonly Sample[], newer: readonly Sample[]): readonly Sample[] {
  const united: Sample[] = []
  let o = 0
  let n = 0
  while (united.length < SKETCH_HASHES) {
    const old = older[o]
    const sample = newer[n]
    if (old === undefined && sample === undefined) break
    if (sample === undefined || (old !== undefined && old[0] < sample[0])) {
      united.push(old as Sample)
      o++
    } else {
      united.push(sample)
      n++
      if (old !== undefined && old[0] === sample[0]) o++
    }
  }
  return united
}
