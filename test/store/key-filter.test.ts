import { describe, expect, it } from 'vitest'
import { KeyFilter } from '../../src/store/key-filter.js'
import { SeededRandom } from '../support/random.js'

const BITS_PER_BYTE = 8

function hashes(count: number, seed: number): number[] {
  const random = new SeededRandom(seed)
  return Array.from({ length: count }, () => random.below(2 ** 32))
}

function filled(bytes: number, added: readonly number[]): KeyFilter {
  const filter = new KeyFilter(bytes)
  for (const hash of added) filter.add(hash)
  return filter
}

describe('KeyFilter', () => {
  it.each([0, 1, 64, 100, 4096, 65_536, 100_000])(
    'F1: with %i bytes it never says no to a key that was added, full or not',
    (bytes) => {
      for (const count of [1, 10, 1000, 20_000]) {
        const added = [0, 1, 2 ** 31, 2 ** 32 - 1, ...hashes(count, count)]
        const filter = filled(bytes, added)
        expect(added.every((hash) => filter.mayHave(hash))).toBe(true)
      }
    },
  )

  it('has no key at first', () => {
    const filter = new KeyFilter(4096)
    expect(hashes(1000, 1).some((hash) => filter.mayHave(hash))).toBe(false)
    expect(filter.isFull).toBe(false)
  })

  it('with 10 bits a key it lets about one in a hundred of the others through', () => {
    const bytes = 2 ** 16
    const filter = filled(bytes, hashes((bytes * BITS_PER_BYTE) / 10, 1))
    const through = hashes(100_000, 2).filter((hash) => filter.mayHave(hash)).length
    expect(through).toBeGreaterThan(500)
    expect(through).toBeLessThan(2000)
    expect(filter.isFull).toBe(false)
  })

  it('is full when nearly half come through, however often the same keys are added', () => {
    const bytes = 2 ** 16
    const few = hashes((bytes * BITS_PER_BYTE) / 10, 1)
    expect(filled(bytes, [...few, ...few, ...few]).isFull).toBe(false)
    const filter = new KeyFilter(bytes)
    let count = 0
    for (const hash of hashes(bytes * BITS_PER_BYTE, 3)) {
      if (filter.isFull) break
      filter.add(hash)
      count++
    }
    expect((bytes * BITS_PER_BYTE) / count).toBeGreaterThan(3)
    expect((bytes * BITS_PER_BYTE) / count).toBeLessThan(4)
    const through = hashes(10_000, 4).filter((hash) => filter.mayHave(hash)).length
    expect(through).toBeGreaterThan(3500)
    expect(through).toBeLessThan(5500)
  })

  it('uses no more memory than it is given, but for the least it needs', () => {
    // Two blocks of 256 bits are full after a few hundred keys; with 127 bytes there are no more of them.
    for (const bytes of [0, 64, 127]) expect(filled(bytes, hashes(300, 5)).isFull).toBe(true)
    expect(filled(128, hashes(120, 5)).isFull).toBe(false)
  })
})
