import { Buffer } from 'node:buffer'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  compareInternalKeys,
  encodeInternalKey,
  MAX_SEQUENCE,
  sequenceOf,
  shortestSeparator,
  shortSuccessor,
  typeOf,
  userKeyOf,
  ValueType,
} from '../../src/table/internal-key.js'

const userKeys = fc.oneof(
  fc.uint8Array({ maxLength: 12 }),
  fc
    .array(fc.constantFrom(0, 1, 2, 254, 255), { maxLength: 4 })
    .map((bytes) => Uint8Array.from(bytes)),
)
const sequences = fc.oneof(
  fc.nat(5),
  fc.constantFrom(
    2 ** 24 - 1,
    2 ** 24,
    2 ** 32 - 1,
    2 ** 32,
    2 ** 48,
    MAX_SEQUENCE - 1,
    MAX_SEQUENCE,
  ),
  fc.maxSafeNat(),
)
const types = fc.constantFrom(ValueType.Deletion, ValueType.Value)
const internalKeys = fc
  .tuple(userKeys, sequences, types)
  .map(([userKey, sequence, type]) => encodeInternalKey(userKey, sequence, type))

function trailer(key: Buffer): bigint {
  return key.readBigUInt64LE(key.length - 8)
}

describe('internal keys', () => {
  it('hold user key, sequence and type in the layout of LevelDB', () => {
    fc.assert(
      fc.property(userKeys, sequences, types, (userKey, sequence, type) => {
        const key = encodeInternalKey(userKey, sequence, type)
        expect(trailer(key)).toBe(BigInt(sequence) * 256n + BigInt(type))
        expect(userKeyOf(key)).toEqual(Buffer.from(userKey))
        expect(sequenceOf(key)).toBe(sequence)
        expect(typeOf(key)).toBe(type)
      }),
    )
  })

  it('are ordered by user key ascending, then by sequence and type descending', () => {
    fc.assert(
      fc.property(internalKeys, internalKeys, (a, b) => {
        const order =
          Buffer.compare(userKeyOf(a), userKeyOf(b)) ||
          (trailer(a) > trailer(b) ? -1 : trailer(a) < trailer(b) ? 1 : 0)
        expect(Math.sign(compareInternalKeys(a, b))).toBe(order)
      }),
    )
  })

  it('are separated by a key no longer than the first', () => {
    fc.assert(
      fc.property(internalKeys, internalKeys, (a, b) => {
        const order = compareInternalKeys(a, b)
        fc.pre(order !== 0)
        const [last, next] = order < 0 ? [a, b] : [b, a]
        const separator = shortestSeparator(last, next)
        expect(compareInternalKeys(last, separator)).toBeLessThanOrEqual(0)
        expect(compareInternalKeys(separator, next)).toBeLessThan(0)
        expect(separator.length).toBeLessThanOrEqual(last.length)
        expect(compareInternalKeys(last, shortSuccessor(last))).toBeLessThanOrEqual(0)
      }),
    )
  })

  it('refuse a sequence beyond 2^53 - 1, an unknown type and too few bytes', () => {
    const tooLarge = encodeInternalKey(Buffer.from('k'), 0, ValueType.Value)
    tooLarge.writeBigUInt64LE(((2n ** 53n) << 8n) | 1n, 1)
    const unknownType = encodeInternalKey(Buffer.from('k'), 7, ValueType.Value)
    unknownType[1] = 2
    for (const key of [tooLarge, unknownType, Buffer.alloc(7)]) {
      expect(() => sequenceOf(key)).toThrow(expect.objectContaining({ code: 'TABLE_DAMAGED' }))
      expect(() => typeOf(key)).toThrow(expect.objectContaining({ code: 'TABLE_DAMAGED' }))
    }
  })
})
