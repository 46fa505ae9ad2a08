import { Buffer } from 'node:buffer'
import { describe, expect, it } from 'vitest'
import { KeySketch } from '../../src/table/key-sketch.js'

function sketchOf(from: number, to: number): KeySketch {
  const sketch = new KeySketch()
  for (let key = from; key < to; key++) sketch.add(Buffer.from(`key ${key}`))
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

  it('an estimate leaves the sketches as they are', () => {
    const sketch = sketchOf(0, 700)
    const before = KeySketch.distinctKeys([sketch])
    KeySketch.distinctKeys([sketch, sketchOf(5000, 9000)])
    expect(KeySketch.distinctKeys([sketch])).toBe(before)
    for (let key = 700; key < 2000; key++) sketch.add(Buffer.from(`key ${key}`))
    expect(Math.abs(KeySketch.distinctKeys([sketch]) / 2000 - 1)).toBeLessThan(TOLERANCE)
  })
})
