/**
 * Which keys a stream touches. Uniform: every key as likely as any other. Skewed: the key of rank r (from 1) with a likelihood of
 * r^-0.99, YCSB's Zipf distribution (Gray et al., "Quickly generating billion-record synthetic databases"), the ranks scattered over
 * the keys.
 */
import { FixedRandom } from '../harness/fixed-random.js'
import { scattered } from './records.js'

export const KEY_DISTRIBUTIONS = ['uniform', 'skewed'] as const
export type KeyDistribution = (typeof KEY_DISTRIBUTIONS)[number]

export const ZIPF_EXPONENT = 0.99

/** Made before the clock starts. */
export interface StreamInput {
  readonly writes: Int32Array
  /** As many before each write, of the same distribution. */
  readonly reads: Int32Array
}

export class KeySource {
  readonly keyCount: number
  readonly #next: () => number

  constructor(keyCount: number, distribution: KeyDistribution, seed?: number) {
    this.keyCount = keyCount
    const random = new FixedRandom(seed)
    const rank =
      distribution === 'uniform'
        ? () => Math.floor(random.next() * keyCount)
        : zipfRanks(keyCount, random)
    this.#next = () => scattered(rank(), keyCount)
  }

  input(writes: number, readsPerWrite: number): StreamInput {
    return { writes: this.#draw(writes), reads: this.#draw(writes * readsPerWrite) }
  }

  /** Draws keys until `changedKeys` different ones are among those written: a hot key is written many times. */
  inputThatChanges(changedKeys: number, readsPerWrite: number): StreamInput {
    const writes: number[] = []
    const changed = new Set<number>()
    while (changed.size < changedKeys) {
      const key = this.#next()
      writes.push(key)
      changed.add(key)
    }
    return { writes: Int32Array.from(writes), reads: this.#draw(writes.length * readsPerWrite) }
  }

  #draw(count: number): Int32Array {
    return Int32Array.from({ length: count }, this.#next)
  }
}

/** Ranks from 0. */
function zipfRanks(count: number, random: FixedRandom): () => number {
  const zeta = (n: number): number => {
    let sum = 0
    for (let rank = 1; rank <= n; rank++) sum += rank ** -ZIPF_EXPONENT
    return sum
  }
  const zetaCount = zeta(count)
  const alpha = 1 / (1 - ZIPF_EXPONENT)
  const eta = (1 - (2 / count) ** (1 - ZIPF_EXPONENT)) / (1 - zeta(2) / zetaCount)
  return () => {
    const uniform = random.next()
    const scaled = uniform * zetaCount
    if (scaled < 1) return 0
    if (scaled < 1 + 0.5 ** ZIPF_EXPONENT) return 1
    return Math.min(Math.floor(count * (eta * uniform - eta + 1) ** alpha), count - 1)
  }
}
