/** Keys for property tests, dense where encodings break: escapes, surrogates, length and sign boundaries. */
import * as fc from 'fast-check'

const edgeUnits = [
  0x00, 0x01, 0x02, 0x61, 0x7f, 0x80, 0x7ff, 0x800, 0xd7ff, 0xd800, 0xdbff, 0xdc00, 0xdfff, 0xe000,
  0xfffd, 0xffff,
]

const unit: fc.Arbitrary<string> = fc
  .oneof(fc.constantFrom(...edgeUnits), fc.integer({ min: 0, max: 0xffff }))
  .map((each) => String.fromCharCode(each))

/** Beyond the length at which strings take another way through the encoder. */
const longPrefixes = ['x'.repeat(64), 'é'.repeat(65), '😀'.repeat(40), 'y'.repeat(300)]

/** Any sequence of UTF-16 code units, lone surrogates included. */
export const stringArbitrary: fc.Arbitrary<string> = fc
  .tuple(
    fc.oneof({ weight: 3, arbitrary: fc.constant('') }, fc.constantFrom(...longPrefixes)),
    fc.array(unit, { maxLength: 6 }),
  )
  .map(([prefix, units]) => prefix + units.join(''))

export const edgeNumbers: readonly number[] = [
  Number.NEGATIVE_INFINITY,
  -Number.MAX_VALUE,
  -(2 ** 53),
  -1.5,
  -1,
  -2.2250738585072014e-308,
  -Number.MIN_VALUE,
  0,
  Number.MIN_VALUE,
  2.2250738585072014e-308,
  0.1,
  1,
  255,
  256,
  2 ** 31,
  2 ** 32,
  2 ** 53 - 1,
  2 ** 53,
  2 ** 53 + 2,
  Number.MAX_VALUE,
  Number.POSITIVE_INFINITY,
]

/** Any number but NaN; -0 included. */
export const numberArbitrary: fc.Arbitrary<number> = fc.oneof(
  fc.constantFrom(-0, ...edgeNumbers),
  fc.double({ noNaN: true }),
  fc.integer(),
)

const bigintMax = 2n ** 1016n - 1n

export const bigintArbitrary: fc.Arbitrary<bigint> = fc.oneof(
  fc
    .tuple(fc.integer({ min: 0, max: 1016 }), fc.integer({ min: -2, max: 2 }), fc.boolean())
    .map(([bits, delta, negative]) => {
      const magnitude = 2n ** BigInt(bits) + BigInt(delta)
      const within = magnitude > bigintMax ? bigintMax : magnitude
      return negative ? -within : within
    }),
  fc.bigInt({ min: -bigintMax, max: bigintMax }),
  fc.bigInt({ min: -300n, max: 300n }),
)

export const bytesArbitrary: fc.Arbitrary<Uint8Array> = fc.oneof(
  fc
    .array(fc.constantFrom(0x00, 0x01, 0x02, 0x61, 0x62, 0xff), { maxLength: 6 })
    .map((bytes) => Uint8Array.from(bytes)),
  fc.uint8Array({ maxLength: 80 }),
)
