import { Buffer } from 'node:buffer'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { prefixSuccessor, successor } from '../../src/common/key-bounds.js'

const bytes = fc.uint8Array({ maxLength: 6 })
/** Bytes that are often the largest one. */
const highBytes = fc.array(fc.constantFrom(0, 0x7f, 0xfe, 0xff), { maxLength: 4 })

describe('successor', () => {
  it('is the smallest key above', () => {
    expect(successor(Buffer.from([]))).toEqual(Buffer.from([0]))
    expect(successor(Buffer.from([1, 0xff]))).toEqual(Buffer.from([1, 0xff, 0]))
    fc.assert(
      fc.property(bytes, bytes, (key, other) => {
        const next = successor(key)
        expect(Buffer.compare(next, key)).toBe(1)
        if (Buffer.compare(other, key) > 0) {
          expect(Buffer.compare(other, next)).toBeGreaterThanOrEqual(0)
        }
      }),
    )
  })
})

describe('prefixSuccessor', () => {
  it.each([
    [[1], [2]],
    [
      [1, 2],
      [1, 3],
    ],
    [[1, 0xff], [2]],
    [[0x7f, 0xff, 0xff], [0x80]],
    [[0], [1]],
  ])('of %j is %j', (prefix, next) => {
    expect(prefixSuccessor(Buffer.from(prefix))).toEqual(Buffer.from(next))
  })

  it('is above every key with the prefix, and below every larger one', () => {
    const prefixes = highBytes.filter((prefix) => prefix.some((byte) => byte !== 0xff))
    fc.assert(
      fc.property(prefixes, highBytes, (prefix, other) => {
        const start = Buffer.from(prefix)
        const end = prefixSuccessor(start)
        const key = Buffer.from(other)
        const hasPrefix = key.subarray(0, start.length).equals(start)
        const inRange = Buffer.compare(start, key) <= 0 && Buffer.compare(key, end) < 0
        expect(inRange).toBe(hasPrefix)
      }),
      { numRuns: 1000 },
    )
  })

  it('leaves its argument as it is', () => {
    const prefix = Buffer.from([1, 2])
    prefixSuccessor(prefix).fill(0)
    expect(prefix).toEqual(Buffer.from([1, 2]))
  })

  it.each([[[]], [[0xff]], [[0xff, 0xff]]])('%j has none', (prefix) => {
    expect(() => prefixSuccessor(Buffer.from(prefix))).toThrow(
      expect.objectContaining({ code: 'INVARIANT_BROKEN' }) as Error,
    )
  })
})
