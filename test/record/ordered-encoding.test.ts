import { Buffer } from 'node:buffer'
import { describe, expect, it } from 'vitest'
import * as fc from 'fast-check'
import { ByteReader, ByteReaderError, ByteWriter } from '../../src/common/bytes.js'
import {
  BIGINT_MAGNITUDE_BYTES_MAX,
  readBigint,
  readBoolean,
  readBytes,
  readNumber,
  readString,
  writeBigint,
  writeBoolean,
  writeBytes,
  writeNumber,
  writeString,
} from '../../src/record/ordered-encoding.js'
import {
  bigintArbitrary,
  bytesArbitrary,
  edgeNumbers,
  numberArbitrary,
  stringArbitrary,
} from './arbitrary-keys.js'

interface Encoding<T> {
  readonly name: string
  readonly values: fc.Arbitrary<T>
  write(value: T, out: ByteWriter): void
  read(from: ByteReader): T
  /** Value order, found without the encoding. */
  order(a: T, b: T): number
}

function codePoints(value: string): number[] {
  return Array.from(value, (character) => character.codePointAt(0) ?? 0)
}

function orderOfLists(a: ArrayLike<number>, b: ArrayLike<number>): number {
  for (let i = 0; i < Math.min(a.length, b.length); i++) {
    if (a[i] !== b[i]) return (a[i] ?? 0) - (b[i] ?? 0)
  }
  return a.length - b.length
}

function natural<T extends number | bigint | boolean>(a: T, b: T): number {
  return Number(a > b) - Number(a < b)
}

const strings: Encoding<string> = {
  name: 'string',
  values: stringArbitrary,
  write: writeString,
  read: readString,
  order: (a, b) => orderOfLists(codePoints(a), codePoints(b)),
}
const byteArrays: Encoding<Uint8Array> = {
  name: 'bytes',
  values: bytesArbitrary,
  write: writeBytes,
  read: readBytes,
  order: orderOfLists,
}
const numbers: Encoding<number> = {
  name: 'number',
  values: numberArbitrary,
  write: writeNumber,
  read: readNumber,
  order: natural,
}
const bigints: Encoding<bigint> = {
  name: 'bigint',
  values: bigintArbitrary,
  write: writeBigint,
  read: readBigint,
  order: natural,
}
const booleans: Encoding<boolean> = {
  name: 'boolean',
  values: fc.boolean(),
  write: writeBoolean,
  read: readBoolean,
  order: natural,
}

function encode<T>(encoding: Pick<Encoding<T>, 'write'>, value: T): Buffer {
  const out = new ByteWriter(1)
  encoding.write(value, out)
  return out.copy()
}

function decode<T>(encoding: Pick<Encoding<T>, 'read'>, bytes: Uint8Array): T {
  const reader = new ByteReader(bytes)
  const value = encoding.read(reader)
  expect(reader.remaining).toBe(0)
  return value
}

function hexOf<T>(encoding: Encoding<T>, value: T): string {
  return encode(encoding, value).toString('hex')
}

/** E3 and E4: reads what was written, byte for byte, or refuses with false; never beyond the end. */
function readsCanonically<T>(encoding: Encoding<T>, bytes: Uint8Array): boolean {
  const padded = Buffer.concat([Buffer.alloc(3), bytes, Buffer.alloc(3)])
  const reader = new ByteReader(padded, 3, 3 + bytes.length)
  let value: T
  try {
    value = encoding.read(reader)
  } catch (error) {
    if (error instanceof ByteReaderError) return false
    throw error
  }
  const isWithin = reader.offset <= reader.end
  if (isWithin && padded.subarray(3, reader.offset).equals(encode(encoding, value))) return true
  throw new Error(`read ${String(value)} from ${padded.toString('hex')}, to ${reader.offset}`)
}

function specify<T>(encoding: Encoding<T>): void {
  const { name, values } = encoding

  describe(`encoding of a ${name}`, () => {
    it('decodes what it encoded, between other bytes', () => {
      fc.assert(
        fc.property(values, fc.uint8Array({ maxLength: 3 }), (value, tail) => {
          const bytes = encode(encoding, value)
          const reader = new ByteReader(Buffer.concat([bytes, tail]))
          const back = encoding.read(reader)
          expect(reader.offset).toBe(bytes.length)
          expect(back).toEqual(Object.is(value, -0) ? 0 : value)
        }),
        { numRuns: 1000 },
      )
    })

    it('E1, E2: orders bytes as values, and no encoding is a prefix of another', () => {
      fc.assert(
        fc.property(values, values, (a, b) => {
          const [left, right] = [encode(encoding, a), encode(encoding, b)]
          const order = Math.sign(encoding.order(a, b))
          expect(Math.sign(Buffer.compare(left, right))).toBe(order)
          const isPrefix = right.subarray(0, left.length).equals(left)
          expect(isPrefix).toBe(order === 0)
        }),
        { numRuns: 3000 },
      )
    })

    it('E3, E4: refuses an encoding cut anywhere', () => {
      fc.assert(
        fc.property(values, (value) => {
          const bytes = encode(encoding, value)
          for (let length = 0; length < bytes.length; length++) {
            expect(readsCanonically(encoding, bytes.subarray(0, length))).toBe(false)
          }
        }),
      )
    })

    it('E3, E4: refuses altered and arbitrary bytes, or reads a value that has them', () => {
      fc.assert(
        fc.property(values, fc.nat(), fc.integer({ min: 1, max: 255 }), (value, seed, flip) => {
          const bytes = encode(encoding, value)
          const at = seed % bytes.length
          bytes[at] = (bytes[at] ?? 0) ^ flip
          expect(() => readsCanonically(encoding, bytes)).not.toThrow()
        }),
        { numRuns: 2000 },
      )
      fc.assert(
        fc.property(fc.uint8Array({ maxLength: 140 }), (bytes) => {
          expect(() => readsCanonically(encoding, bytes)).not.toThrow()
        }),
      )
    })
  })
}

specify(strings)
specify(byteArrays)
specify(numbers)
specify(bigints)
specify(booleans)

describe('frozen bytes', () => {
  it.each([
    ['', '00'],
    ['a', '6100'],
    ['\u0000', '010100'],
    ['\u0001', '010200'],
    ['\u0002', '0200'],
    ['a\u0000\u0001b', '61010101026200'],
    ['é', 'c3a900'],
    ['日', 'e697a500'],
    ['😀', 'f09f988000'],
    ['\ud800', 'eda08000'],
    ['\udfff\ud800x', 'edbfbfeda0807800'],
    ['\ud800😀', 'eda080f09f988000'],
    ['�', 'efbfbd00'],
  ])('string %j', (value, hex) => {
    expect(hexOf(strings, value)).toBe(hex)
    expect(decode(strings, Buffer.from(hex, 'hex'))).toBe(value)
  })

  it.each([
    [Number.NEGATIVE_INFINITY, '000fffffffffffff'],
    [-1, '400fffffffffffff'],
    [-Number.MIN_VALUE, '7ffffffffffffffe'],
    [0, '8000000000000000'],
    [-0, '8000000000000000'],
    [Number.MIN_VALUE, '8000000000000001'],
    [1, 'bff0000000000000'],
    [2 ** 53, 'c340000000000000'],
    [Number.POSITIVE_INFINITY, 'fff0000000000000'],
  ])('number %d', (value, hex) => {
    expect(hexOf(numbers, value)).toBe(hex)
  })

  it.each([
    [0n, '80'],
    [1n, '8101'],
    [-1n, '7ffe'],
    [255n, '81ff'],
    [256n, '820100'],
    [-256n, '7efeff'],
    [2n ** 64n - 1n, '88ffffffffffffffff'],
    [2n ** 64n, '89010000000000000000'],
    [-(2n ** 64n), '77feffffffffffffffff'],
  ])('bigint %i', (value, hex) => {
    expect(hexOf(bigints, value)).toBe(hex)
  })

  it('bytes', () => {
    expect(hexOf(byteArrays, Uint8Array.from([0, 1, 2, 255]))).toBe('0101010202ff00')
    expect(hexOf(byteArrays, new Uint8Array())).toBe('00')
  })

  it('boolean', () => {
    expect([false, true].map((value) => hexOf(booleans, value))).toEqual(['00', '01'])
  })
})

describe('string', () => {
  it('keeps characters apart in long strings, wherever escapes and surrogates stand', () => {
    for (const special of ['\u0000', '\u0001', '\ud800', '\udc00', '😀', '\ufffd', '\ue000']) {
      for (const at of [0, 1, 63, 64, 65, 199]) {
        const value = 'x'.repeat(at) + special + 'x'.repeat(199 - at)
        expect(decode(strings, encode(strings, value))).toBe(value)
      }
    }
  })

  it('E3: refuses every short sequence that is not the encoding of a string', () => {
    const edges = [
      0x00, 0x01, 0x02, 0x03, 0x61, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xaf, 0xb0, 0xbf, 0xc0,
      0xc1, 0xc2, 0xdf, 0xe0, 0xed, 0xef, 0xf0, 0xf4, 0xf5, 0xff,
    ]
    let [read, refused] = [0, 0]
    for (const a of edges) {
      for (const b of edges) {
        for (const c of edges) {
          const bytes = Uint8Array.from([a, b, c, 0])
          if (readsCanonically(strings, bytes)) read++
          else refused++
        }
      }
    }
    expect(read).toBeGreaterThan(1000)
    expect(refused).toBeGreaterThan(1000)
  })

  it.each([
    ['a pair in two halves', 'eda080edb08000'],
    ['a pair in two halves after another high half', 'eda080eda080edb08000'],
    ['an overlong slash', 'c0af00'],
    ['a code point beyond the last', 'f490808000'],
    ['half a lone surrogate', 'eda000'],
    ['an escape of the terminator', '010000'],
    ['an escape of 2', '010300'],
    ['an escape at the end', '6101'],
  ])('E3: refuses %s', (_, hex) => {
    expect(() => readString(new ByteReader(Buffer.from(hex, 'hex')))).toThrow(ByteReaderError)
  })
})

describe('number', () => {
  it('orders the edges', () => {
    const encoded = edgeNumbers.map((value) => encode(numbers, value))
    expect(encoded.toSorted((a, b) => a.compare(b))).toEqual(encoded)
  })

  it('refuses NaN', () => {
    expect(() => writeNumber(Number.NaN, new ByteWriter())).toThrow(
      expect.objectContaining({ code: 'KEY_NOT_ENCODABLE' }),
    )
  })

  it.each([
    ['-0', '7fffffffffffffff'],
    ['NaN', 'fff8000000000000'],
    ['a negative NaN', '0007ffffffffffff'],
  ])('E3: refuses the bytes of %s', (_, hex) => {
    expect(() => readNumber(new ByteReader(Buffer.from(hex, 'hex')))).toThrow(ByteReaderError)
  })
})

describe('bigint', () => {
  it('encodes up to the limit and not beyond', () => {
    const limit = 2n ** BigInt(BIGINT_MAGNITUDE_BYTES_MAX * 8)
    for (const value of [limit - 1n, 1n - limit]) {
      expect(decode(bigints, encode(bigints, value))).toBe(value)
    }
    for (const value of [limit, -limit]) {
      expect(() => writeBigint(value, new ByteWriter())).toThrow(
        expect.objectContaining({ code: 'KEY_NOT_ENCODABLE' }),
      )
    }
  })

  it.each([
    ['a leading zero', '820001'],
    ['a leading zero of a negative value', '7efffe'],
    ['header 0', `00${'01'.repeat(128)}`],
  ])('E3: refuses %s', (_, hex) => {
    expect(() => readBigint(new ByteReader(Buffer.from(hex, 'hex')))).toThrow(ByteReaderError)
  })
})
