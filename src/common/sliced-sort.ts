/**
 * Sorts a large array without holding the event loop: short runs by the native sort, then merges with pauses.
 *
 * Written as a generator: every `yield` is a place to pause. The sorted array is the generator's return value.
 */

/** Long enough for the native sort to pay, short enough for one slice: about 2 ms of strings. */
const RUN_LENGTH = 4096
const MERGE_STEPS_PER_PAUSE = 4096

export interface Sorting<T> {
  readonly compare: (a: T, b: T) => number
  /** Sorts a run; may do it in place. */
  readonly sort: (run: T[]) => T[]
}

export function* slicedSort<T>(items: T[], { compare, sort }: Sorting<T>): Generator<void, T[]> {
  if (items.length <= RUN_LENGTH) return sort(items)
  let runs: T[][] = []
  for (let start = 0; start < items.length; start += RUN_LENGTH) {
    runs.push(sort(items.slice(start, start + RUN_LENGTH)))
    yield
  }
  while (runs.length > 1) {
    const merged: T[][] = []
    for (let i = 0; i < runs.length; i += 2) {
      const left = runs[i] ?? []
      const right = runs[i + 1]
      merged.push(right === undefined ? left : yield* mergeRuns(left, right, compare))
    }
    runs = merged
  }
  return runs[0] ?? []
}

function* mergeRuns<T>(
  left: readonly T[],
  right: readonly T[],
  compare: (a: T, b: T) => number,
): Generator<void, T[]> {
  const length = left.length + right.length
  // Of its full length from the start: growing it was a third of the time.
  const out: T[] = []
  out.length = length
  let l = 0
  let r = 0
  for (let at = 0; at < length; at++) {
    const fromLeft =
      r >= right.length || (l < left.length && compare(left[l] as T, right[r] as T) <= 0)
    out[at] = (fromLeft ? left[l++] : right[r++]) as T
    if ((at + 1) % MERGE_STEPS_PER_PAUSE === 0) yield
  }
  return out
}
