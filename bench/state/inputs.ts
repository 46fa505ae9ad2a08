/**
 * What the operations are given, made before any clock starts: the constants of Flink's state benchmarks, with a seed of our own. The
 * same, number by number, is made in ../peers/flink/src/main/java/peer/Inputs.java.
 *
 * Keys 0 to keyCount − 1 are set up; an operation that adds gets keys that no earlier round added.
 */

import { FixedRandom } from '../harness/fixed-random.js'

export const MAP_KEY_COUNT = 10
const LIST_VALUE_COUNT = 100
const RANDOM_VALUE_COUNT = 1_000_000
const UINT32_VALUES = 2 ** 32
/** Of the upper of two uint32: what is left makes 52 bits. */
const DROPPED_BITS = 12

/** An integer in [0, 2^52): Flink's values are random longs, and these both a long and a number hold. */
export function nextLong(random: FixedRandom): number {
  return (random.nextUint32() >>> DROPPED_BITS) * UINT32_VALUES + random.nextUint32()
}

/** The integers in [start, start + count), shuffled. */
export function shuffled(start: number, count: number, random: FixedRandom): Float64Array {
  const keys = Float64Array.from({ length: count }, (_, i) => start + i)
  for (let i = count - 1; i > 0; i--) {
    const j = Math.floor(random.next() * (i + 1))
    const key = keys[i] ?? 0
    keys[i] = keys[j] ?? 0
    keys[j] = key
  }
  return keys
}

export class Inputs {
  readonly keyCount: number
  readonly mapKeys: readonly number[]
  readonly dummyList: readonly number[]
  readonly dummyMap: readonly (readonly [number, number])[]
  readonly random: FixedRandom = new FixedRandom()
  readonly #setUpKeys: Float64Array
  readonly #mapValues: readonly number[]
  readonly #randomValues: Float64Array
  readonly #newKeys = new Map<number, Float64Array>()

  constructor(keyCount: number) {
    this.keyCount = keyCount
    this.#setUpKeys = shuffled(0, keyCount, this.random)
    this.mapKeys = [...shuffled(0, MAP_KEY_COUNT, this.random)]
    this.#randomValues = shuffled(0, RANDOM_VALUE_COUNT, this.random)
    this.#mapValues = this.mapKeys.map(() => this.random.next())
    this.dummyList = Array.from({ length: LIST_VALUE_COUNT }, () => nextLong(this.random))
    this.dummyMap = this.mapKeys.map((key) => [key, this.random.next()] as const)
  }

  /** Makes what a round needs, off the clock. */
  prepare(round: number): void {
    if (this.#newKeys.has(round)) return
    this.#newKeys.set(round, shuffled((round + 1) * this.keyCount, this.keyCount, this.random))
  }

  setUpKey(i: number): number {
    return this.#setUpKeys[i] ?? 0
  }

  newKey(round: number, i: number): number {
    return this.#newKeys.get(round)?.[i] ?? 0
  }

  /** Another one of a key's map keys in each round: what one round removed is not what the next removes. */
  mapKey(round: number, i: number): number {
    return this.mapKeys[(i + round) % MAP_KEY_COUNT] ?? 0
  }

  mapValue(i: number): number {
    return this.#mapValues[i % MAP_KEY_COUNT] ?? 0
  }

  value(round: number, i: number): number {
    return this.#randomValues[(round * this.keyCount + i) % RANDOM_VALUE_COUNT] ?? 0
  }
}
