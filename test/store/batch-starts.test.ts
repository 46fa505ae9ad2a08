import { describe, expect, it } from 'vitest'
import { BatchStarts } from '../../src/store/batch-starts.js'

describe('BatchStarts', () => {
  it('knows its batches, and nothing between them', () => {
    const starts = new BatchStarts()
    for (const sequence of [1, 11, 14]) starts.add(sequence)
    expect([1, 2, 11, 13, 14, 15].map((sequence) => starts.mayHave(sequence))).toEqual([
      true,
      false,
      true,
      false,
      true,
      false,
    ])
  })

  it('knows nothing before the first, and nothing after all were forgotten', () => {
    const starts = new BatchStarts()
    expect(starts.mayHave(7)).toBe(true)
    starts.add(10)
    starts.add(20)
    expect(starts.mayHave(7)).toBe(true)
    starts.forgetBefore(20)
    expect(starts.mayHave(10)).toBe(true)
    expect(starts.mayHave(21)).toBe(false)
    starts.forgetBefore(21)
    expect(starts.mayHave(21)).toBe(true)
  })

  it.each([1, 2, 3, 10])('with room for %i has no hole: what is not known is older', (max) => {
    const starts = new BatchStarts(max)
    for (let sequence = 10; sequence <= 1000; sequence += 10) {
      starts.add(sequence)
      for (let before = 10; before <= sequence; before += 10) {
        expect(starts.mayHave(before)).toBe(true)
      }
      expect(starts.mayHave(sequence + 1)).toBe(false)
    }
  })
})
