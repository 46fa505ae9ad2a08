/** Medians and their range: how every figure is told. */

/** The smallest, the middle and the largest of several. */
export interface Spread {
  readonly min: number
  readonly median: number
  readonly max: number
}

/** Of an even number of samples the median is the mean of the two in the middle. */
export function spreadOf(samples: readonly number[]): Spread {
  const sorted = samples.toSorted((a, b) => a - b)
  const at = (index: number): number => sorted[index] ?? Number.NaN
  const middle = sorted.length / 2
  const median =
    sorted.length % 2 === 0 ? (at(middle - 1) + at(middle)) / 2 : at(Math.floor(middle))
  return { min: at(0), median, max: at(sorted.length - 1) }
}

export function medianOf(samples: readonly number[]): number {
  return spreadOf(samples).median
}

/** The contenders of one round: each round begins with another one. */
export function rotated<T>(items: readonly T[], round: number): T[] {
  const from = items.length === 0 ? 0 : round % items.length
  return [...items.slice(from), ...items.slice(0, from)]
}
