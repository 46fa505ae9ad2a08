/** The one door to chance: whatever decides by it takes a `Random`, so that tests can hold it. */

export interface Random {
  /** In [0, 1), evenly. */
  next(): number
}

export const systemRandom: Random = { next: () => Math.random() }
