import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { slicedSort, type Sorting } from '../../src/common/sliced-sort.js'
import { SeededRandom } from '../support/random.js'

const numbers: Sorting<number> = {
  compare: (a, b) => a - b,
  sort: (items) => items.sort((a, b) => a - b),
}

/** The sorted items, and how often the sort paused. */
function run<T>(items: T[], order: Sorting<T>): { sorted: T[]; pauses: number } {
  const sorting = slicedSort(items, order)
  for (let pauses = 0; ; pauses++) {
    const step = sorting.next()
    if (step.done === true) return { sorted: step.value, pauses }
  }
}

describe('slicedSort', () => {
  it.each([0, 1, 2, 4095, 4096, 4097, 8192, 8193, 12_289, 50_000])('sorts %i items', (count) => {
    const random = new SeededRandom(count)
    const items = Array.from({ length: count }, () => random.below(1000))
    const expected = items.toSorted((a, b) => a - b)
    const { sorted, pauses } = run(items, numbers)
    expect(sorted).toEqual(expected)
    // A run is 4,096 items long, and so is a stretch of a merge: nothing longer happens between two pauses.
    expect(pauses > 0).toBe(count > 4096)
    expect(pauses).toBeGreaterThanOrEqual(Math.floor((count - 1) / 4096))
  })

  it('keeps equal items in order across runs', () => {
    const items = Array.from({ length: 20_000 }, (_, index) => ({ key: index % 3, index }))
    const byKey = (a: { key: number }, b: { key: number }): number => a.key - b.key
    const { sorted } = run(items, { compare: byKey, sort: (part) => part.sort(byKey) })
    for (let n = 1; n < sorted.length; n++) {
      const [before, item] = [sorted[n - 1], sorted[n]]
      if (before === undefined || item === undefined) throw new Error('there is no hole')
      expect(before.key < item.key || before.index < item.index).toBe(true)
    }
  })

  it('any strings', () => {
    const strings: Sorting<string> = {
      compare: (a, b) => (a < b ? -1 : a > b ? 1 : 0),
      sort: (part) => part.sort(),
    }
    fc.assert(
      fc.property(
        fc.array(fc.string(), { maxLength: 50 }),
        fc.integer({ min: 1, max: 300 }),
        (some, times) => {
          const items = Array.from({ length: times }, () => some).flat()
          expect(run([...items], strings).sorted).toEqual(items.toSorted())
        },
      ),
      { numRuns: 30 },
    )
  })
})
