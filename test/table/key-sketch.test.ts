import { Buffer } from 'node:buffer'
import { describe, expect, it } from 'vitest'
import { bloomHash } from '../../src/table/bloom-filter.js'
import { KeySketch } from '../../src/table/key-sketch.js'

function hashOf(key: number): number {
  return bloomHash(Buffer.from(`key ${key}`))
}

function sketchOf(from: number, to: number): KeySketch {
  const sketch = new KeySketch()
  for (let key = from; key < to; key++) sketch.add(hashOf(key), 1)
  return sketch
}

/** Of an estimate from 512 hashes; three times the standard error. */
const TOLERANCE = 3 / Math.sqrt(512)

describe('KeySketch', () => {
  it('of nothing has no keys', () => {
    expect(KeySketch.distinctKeys([])).toBe(0)
    expect(KeySketch.distinctKeys([new KeySketch()])).toBe(0)
  })

  it.each([1, 2, 100, 511])('counts %i keys exactly', (count) => {
    expect(KeySketch.distinctKeys([sketchOf(0, count)])).toBe(count)
    expect(KeySketch.distinctKeys([sketchOf(0, count), sketchOf(0, count)])).toBe(count)
  })

  it.each([512, 1000, 5000, 100_000])('estimates %i keys within 13 percent', (count) => {
    const estimate = KeySketch.distinctKeys([sketchOf(0, count)])
    expect(Math.abs(estimate / count - 1)).toBeLessThan(TOLERANCE)
  })

  it.each([
    ['the same', 0, 20_000, 0, 20_000, 20_000],
    ['half the same', 0, 20_000, 10_000, 30_000, 30_000],
    ['all others', 0, 20_000, 20_000, 40_000, 40_000],
    ['a few of many', 0, 50_000, 100, 200, 50_000],
  ])('estimates the union of two tables whose keys are %s', (_, a, b, c, d, expected) => {
    const estimate = KeySketch.distinctKeys([sketchOf(a, b), sketchOf(c, d)])
    expect(Math.abs(estimate / expected - 1)).toBeLessThan(TOLERANCE)
  })

  /** What a merge leaves of keys written with `bytes[0]`, then some of them with `bytes[1]`. */
  it.each([
    ['written again', 20_000, [100, 100], [0, 20_000], 0.5],
    ['deleted', 20_000, [100, 10], [0, 20_000], 10 / 110],
    ['half deleted', 20_000, [100, 10], [0, 10_000], (10_000 * 100 + 10_000 * 10) / 2_100_000],
    ['grown', 20_000, [10, 100], [0, 20_000], 100 / 110],
    ['joined by others', 20_000, [100, 50], [20_000, 40_000], 1],
  ])(
    'estimates what a merge leaves of keys that are %s',
    (_, keys, bytes, [from, to], expected) => {
      const older = new KeySketch()
      const newer = new KeySketch()
      for (let key = 0; key < keys; key++) older.add(hashOf(key), bytes[0] ?? 0)
      for (let key = from ?? 0; key < (to ?? 0); key++) {
        newer.add(hashOf(key), bytes[1] ?? 0)
      }
      const estimate = KeySketch.remainingFraction([older, newer])
      expect(Math.abs(estimate / expected - 1)).toBeLessThan(TOLERANCE)
    },
  )

  it('a merge of nothing leaves all of it, one of few entries is estimated exactly', () => {
    expect(KeySketch.remainingFraction([])).toBe(1)
    const [older, newer] = [new KeySketch(), new KeySketch()]
    for (let key = 0; key < 100; key++) older.add(hashOf(key), 30)
    for (let key = 0; key < 50; key++) newer.add(hashOf(key), 10)
    expect(KeySketch.remainingFraction([older, newer])).toBe((50 * 30 + 50 * 10) / 3500)
    expect(KeySketch.remainingFraction([newer, older])).toBe(3000 / 3500)
  })

  it('an estimate leaves the sketches as they are', () => {
    const sketch = sketchOf(0, 700)
    const before = KeySketch.distinctKeys([sketch])
    KeySketch.distinctKeys([sketch, sketchOf(5000, 9000)])
    expect(KeySketch.distinctKeys([sketch])).toBe(before)
    for (let key = 700; key < 2000; key++) sketch.add(hashOf(key), 1)
    expect(Math.abs(KeySketch.distinctKeys([sketch]) / 2000 - 1)).toBeLessThan(TOLERANCE)
  })
})
