/** xorshift32 with a fixed seed: the same inputs in every run. */

const SEED = 0x2545f491

export class FixedRandom {
  #state: number

  constructor(seed: number = SEED) {
    this.#state = seed
  }

  /** In [0, 2^32). */
  nextUint32(): number {
    this.#state ^= this.#state << 13
    this.#state ^= this.#state >>> 17
    this.#state ^= this.#state << 5
    return this.#state >>> 0
  }

  /** In [0, 1). */
  next(): number {
    return this.nextUint32() / 2 ** 32
  }
}
