import { Buffer } from 'node:buffer'
import { describe, expect, expectTypeOf, it } from 'vitest'
import * as fc from 'fast-check'
import { ByteReader, ByteReaderError, ByteWriter } from '../../src/common/bytes.js'
import {
  hashBigInteger,
  hashBytes,
  hashDouble,
  hashLong,
  hashString,
  hashTuple,
} from '../../src/record/java-hash.js'
import {
  anyKey,
  bigintKey,
  booleanKey,
  bytesKey,
  numberKey,
  stringKey,
  tupleKey,
  type AnyKey,
  type KeyIdentity,
  type KeySerializer,
} from '../../src/record/key-serializer.js'
import {
  bigintArbitrary,
  bytesArbitrary,
  numberArbitrary,
  stringArbitrary,
} from './arbitrary-keys.js'

const anyArbitrary: fc.Arbitrary<AnyKey> = fc.oneof(
  stringArbitrary,
  fc.constantFrom('\u0000', '\u0000b', '\u0000ba\u0000', '\u0000\u0000b', '1', 'true', ''),
  numberArbitrary,
  bigintArbitrary,
  fc.boolean(),
  bytesArbitrary,
)

const pairKey = tupleKey(stringKey, numberKey)
const nestedKey = tupleKey(pairKey, bytesKey, anyKey, booleanKey, bigintKey)

/** Without -0, which does not come back as it was. */
const plainNumber = numberArbitrary.map((value) => value + 0)
const plainAny = anyArbitrary.map((key) => (typeof key === 'number' ? key + 0 : key))
const pair = fc.tuple(stringArbitrary, plainNumber)

const refused = expect.objectContaining({ code: 'KEY_NOT_ENCODABLE' })

function encode<K>(serializer: KeySerializer<K>, identity: KeyIdentity): Buffer {
  const out = new ByteWriter(1)
  serializer.write(identity, out)
  return out.copy()
}

function readOrRefuse<K>(serializer: KeySerializer<K>, from: ByteReader): KeyIdentity | undefined {
  try {
    return serializer.read(from)
  } catch (error) {
    if (error instanceof ByteReaderError) return undefined
    throw error
  }
}

function specify<K>(serializer: KeySerializer<K>, keys: fc.Arbitrary<K>): void {
  const bytesOf = (key: K): Buffer => encode(serializer, serializer.identityOf(key))

  describe(`key of type ${serializer.typeName}`, () => {
    it('gives back the key of an identity', () => {
      fc.assert(
        fc.property(keys, (key) => {
          expect(serializer.keyOf(serializer.identityOf(key))).toStrictEqual(key)
        }),
        { numRuns: 500 },
      )
    })

    it('reads the identity it wrote, and no byte more', () => {
      fc.assert(
        fc.property(keys, fc.uint8Array({ maxLength: 2 }), (key, tail) => {
          const identity = serializer.identityOf(key)
          const bytes = encode(serializer, identity)
          const reader = new ByteReader(Buffer.concat([Buffer.alloc(2), bytes, tail]), 2)
          expect(serializer.read(reader)).toBe(identity)
          expect(reader.offset).toBe(2 + bytes.length)
        }),
        { numRuns: 500 },
      )
    })

    it('S1: has one identity and one encoding per key', () => {
      fc.assert(
        fc.property(keys, keys, (a, b) => {
          const sameIdentity = new Set([serializer.identityOf(a), serializer.identityOf(b)]).size
          expect(sameIdentity === 1).toBe(bytesOf(a).equals(bytesOf(b)))
          expect(sameIdentity === 1).toBe(isEqual(a, b))
        }),
        { numRuns: 1000 },
      )
    })

    it('S2: compares as the bytes do', () => {
      fc.assert(
        fc.property(keys, keys, (a, b) => {
          const found = serializer.compare(serializer.identityOf(a), serializer.identityOf(b))
          expect(Math.sign(found)).toBe(Buffer.compare(bytesOf(a), bytesOf(b)))
        }),
        { numRuns: 1500 },
      )
    })

    it('S2: sorts as the bytes do', () => {
      fc.assert(
        fc.property(fc.array(keys, { maxLength: 120, size: 'max' }), (some) => {
          const identities = some.map((key) => serializer.identityOf(key))
          const encodings = identities.map((identity) => encode(serializer, identity))
          const sorted = serializer.sort([...identities])
          expect(sorted.map((identity) => encode(serializer, identity))).toEqual(
            encodings.toSorted((a, b) => a.compare(b)),
          )
        }),
        { numRuns: 25 },
      )
    })

    it('S3: has no encoding that is a prefix of another', () => {
      fc.assert(
        fc.property(keys, keys, (a, b) => {
          const [left, right] = [bytesOf(a), bytesOf(b)]
          const isPrefix = right.subarray(0, left.length).equals(left)
          expect(isPrefix).toBe(left.equals(right))
        }),
        { numRuns: 1000 },
      )
    })

    it('refuses bytes cut anywhere, and altered ones or reads an identity that has them', () => {
      fc.assert(
        fc.property(keys, fc.nat(), fc.integer({ min: 1, max: 255 }), (key, seed, flip) => {
          const bytes = bytesOf(key)
          for (let length = 0; length < bytes.length; length++) {
            expect(readOrRefuse(serializer, new ByteReader(bytes, 0, length))).toBeUndefined()
          }
          const at = seed % bytes.length
          bytes[at] = (bytes[at] ?? 0) ^ flip
          const reader = new ByteReader(bytes)
          const identity = readOrRefuse(serializer, reader)
          const again = identity === undefined ? undefined : encode(serializer, identity)
          expect(again).toEqual(
            identity === undefined ? undefined : bytes.subarray(0, reader.offset),
          )
        }),
        { numRuns: 150 },
      )
    })

    it('has a hash code that is an int, the same for an identity read back', () => {
      fc.assert(
        fc.property(keys, keys, (key, other) => {
          const identity = serializer.identityOf(key)
          const hash = serializer.hashCode(identity)
          expect(hash | 0).toBe(hash)
          serializer.identityOf(other)
          const read = serializer.read(new ByteReader(encode(serializer, identity)))
          expect(serializer.hashCode(read)).toBe(hash)
        }),
        { numRuns: 500 },
      )
    })
  })
}

/** Deep SameValueZero, found without the serializers. */
function isEqual(a: unknown, b: unknown): boolean {
  if (a instanceof Uint8Array && b instanceof Uint8Array) return Buffer.compare(a, b) === 0
  if (Array.isArray(a) && Array.isArray(b)) {
    return a.length === b.length && a.every((each, index) => isEqual(each, b[index]))
  }
  return a === b
}

specify(stringKey, stringArbitrary)
specify(numberKey, plainNumber)
specify(bigintKey, bigintArbitrary)
specify(booleanKey, fc.boolean())
specify(bytesKey, bytesArbitrary)
specify(anyKey, plainAny)
specify(pairKey, pair)
specify(nestedKey, fc.tuple(pair, bytesArbitrary, plainAny, fc.boolean(), bigintArbitrary))

describe('type names', () => {
  it('are frozen: written to checkpoints', () => {
    const all = [stringKey, numberKey, bigintKey, booleanKey, bytesKey, anyKey, pairKey, nestedKey]
    expect(all.map((each) => each.typeName)).toEqual([
      'string',
      'number',
      'bigint',
      'boolean',
      'bytes',
      'any',
      'tuple(string,number)',
      'tuple(tuple(string,number),bytes,any,boolean,bigint)',
    ])
  })
})

describe('hash codes', () => {
  it.each([
    [numberKey.hashCode(7), hashLong(7n)],
    [numberKey.hashCode(-1), hashLong(-1n)],
    [numberKey.hashCode(2 ** 53 - 1), hashLong(2n ** 53n - 1n)],
    [numberKey.hashCode(2 ** 53), hashDouble(2 ** 53)],
    [numberKey.hashCode(0.5), hashDouble(0.5)],
    [numberKey.hashCode(numberKey.identityOf(-0)), 0],
    [bigintKey.hashCode(2n ** 63n - 1n), hashLong(2n ** 63n - 1n)],
    [bigintKey.hashCode(-(2n ** 63n)), hashLong(-(2n ** 63n))],
    [bigintKey.hashCode(2n ** 63n), hashBigInteger(2n ** 63n)],
    [booleanKey.hashCode(true), 1231],
    [stringKey.hashCode('Flink'), 67968320],
    [pairKey.hashCode(pairKey.identityOf(['JFK', 7])), 2274136],
    [anyKey.hashCode(anyKey.identityOf('\u0000\u0001a')), 128],
  ])('are those of Java: %i', (found, expected) => {
    expect(found).toBe(expected)
  })

  it('of bytes are those of Arrays.hashCode, under any and in tuples too', () => {
    fc.assert(
      fc.property(bytesArbitrary, (bytes) => {
        expect(bytesKey.hashCode(bytesKey.identityOf(bytes))).toBe(hashBytes(bytes))
        expect(anyKey.hashCode(anyKey.identityOf(bytes))).toBe(hashBytes(bytes))
        const withText = tupleKey(stringKey, bytesKey)
        expect(withText.hashCode(withText.identityOf(['x', bytes]))).toBe(
          hashTuple([hashString('x'), hashBytes(bytes)]),
        )
      }),
    )
  })
})

describe('identityOf', () => {
  it('makes -0 the same key as 0', () => {
    expect(Object.is(numberKey.identityOf(-0), 0)).toBe(true)
    expect(Object.is(anyKey.identityOf(-0), 0)).toBe(true)
    expect(pairKey.identityOf(['', -0])).toBe(pairKey.identityOf(['', 0]))
  })

  // Callers without TypeScript pass anything.
  const wrong: [string, (key: never) => unknown, unknown[]][] = [
    [
      'string',
      (key) => stringKey.identityOf(key),
      [1, 1n, true, null, undefined, {}, [], new Uint8Array()],
    ],
    [
      'number',
      (key) => numberKey.identityOf(key),
      [Number.NaN, '1', 1n, true, null, undefined, {}, new Date(0)],
    ],
    [
      'bigint',
      (key) => bigintKey.identityOf(key),
      [1, '1', null, undefined, 2n ** 1016n, -(2n ** 1016n)],
    ],
    ['boolean', (key) => booleanKey.identityOf(key), [0, 'true', null, undefined]],
    [
      'bytes',
      (key) => bytesKey.identityOf(key),
      ['a', [1], null, undefined, new Uint16Array(1), new DataView(new ArrayBuffer(1))],
    ],
    [
      'any',
      (key) => anyKey.identityOf(key),
      [null, undefined, Number.NaN, {}, [], Symbol('a'), 2n ** 1016n, () => 1],
    ],
    [
      'tuple',
      (key) => pairKey.identityOf(key),
      ['a1', ['a'], ['a', 1, 1], [1, 'a'], ['a', Number.NaN], null, {}],
    ],
  ]
  it.each(wrong)('of a %s refuses what is none', (_, identityOf, values) => {
    for (const value of values) expect(() => identityOf(value as never)).toThrow(refused)
  })

  it('says what it was given', () => {
    expect(() => numberKey.identityOf(Number.NaN)).toThrow('must be a number, not NaN')
    expect(() => stringKey.identityOf(null as never)).toThrow('must be a string, not null')
    expect(() => stringKey.identityOf(7 as never)).toThrow('must be a string, not a number')
    expect(() => pairKey.identityOf(['a', 'b'] as never)).toThrow(
      'Part 1 of a tuple(string,number): This key must be a number, not a string',
    )
    expect(() => pairKey.identityOf(['a'] as never)).toThrow('not an array of length 1')
  })

  it('refuses what is too large', () => {
    const length = 2 ** 20
    const largest = 'x'.repeat(length)
    expect(stringKey.identityOf(largest)).toBe(largest)
    expect(() => stringKey.identityOf(`${largest}x`)).toThrow(refused)
    expect(() => anyKey.identityOf(`${largest}x`)).toThrow(refused)
    expect(bytesKey.keyOf(bytesKey.identityOf(new Uint8Array(length)))).toHaveLength(length)
    expect(() => bytesKey.identityOf(new Uint8Array(length + 1))).toThrow(refused)
    expect(() => pairKey.identityOf([`${largest}x`, 1])).toThrow(refused)
  })

  it('of bytes copies: a later change to the key changes nothing', () => {
    const key = Uint8Array.from([1, 2, 3])
    const identity = bytesKey.identityOf(key)
    key[0] = 9
    const back = bytesKey.keyOf(identity)
    back[1] = 9
    expect(bytesKey.keyOf(identity)).toStrictEqual(Uint8Array.from([1, 2, 3]))
  })

  it('takes a Buffer for bytes', () => {
    expect(bytesKey.identityOf(Buffer.from('ab'))).toBe(
      bytesKey.identityOf(Uint8Array.from([0x61, 0x62])),
    )
  })
})

describe('anyKey', () => {
  it('keeps 1, 1n, "1", true and [1] apart, in the order of its frozen tags', () => {
    const keys: AnyKey[] = [true, 1, 1n, '1', Uint8Array.from([1])]
    const identities = keys.map((key) => anyKey.identityOf(key))
    expect(new Set(identities).size).toBe(5)
    const hex = identities.map((identity) => encode(anyKey, identity).toString('hex'))
    expect(hex).toEqual(['0101', '02bff0000000000000', '038101', '043100', '05010200'])
  })

  it('refuses a tag it does not know', () => {
    for (const tag of [0, 6, 255]) {
      expect(() => anyKey.read(new ByteReader(Buffer.from([tag, 0])))).toThrow(ByteReaderError)
    }
  })
})

describe('sort', () => {
  it('is by byte order where the order of code units differs', () => {
    const sorted = ['', 'a', '\ud800', '\udfff', '\ue000', '\uffff', '😀']
    expect(stringKey.sort(sorted.toReversed())).toEqual(sorted)
  })

  it('tells a lone high surrogate from half a pair', () => {
    const sorted = [
      '\ud800',
      '\ud800a',
      '\ud800\ud800',
      '\ud800\uffff',
      '\ud800\udc00',
      '\ud800\udc01',
    ]
    expect(stringKey.sort(sorted.toReversed())).toEqual(sorted)
    const encodings = sorted.map((each) => encode(stringKey, each))
    expect(encodings.toSorted((a, b) => a.compare(b))).toEqual(encodings)
  })

  it.each([0, 1, 48, 49, 500])('sorts %i numbers by value', (count) => {
    const numbers = Array.from({ length: count }, (_, index) => ((index * 7919) % 1009) - 500)
    const sorted = numbers.toSorted((a, b) => a - b)
    expect(numberKey.sort([...numbers])).toEqual(sorted)
  })
})

describe('tupleKey', () => {
  it('is typed by its parts', () => {
    expectTypeOf(pairKey).toEqualTypeOf<KeySerializer<readonly [string, number]>>()
  })

  it('takes 2 to 25 parts', () => {
    const invalid = expect.objectContaining({ code: 'INVALID_ARGUMENT' })
    expect(() => tupleKey(stringKey)).toThrow(invalid)
    expect(() => tupleKey(...Array.from({ length: 26 }, () => stringKey))).toThrow(invalid)
    const widest = tupleKey(...Array.from({ length: 25 }, () => numberKey))
    const key = Array.from({ length: 25 }, (_, index) => index)
    expect(widest.keyOf(widest.identityOf(key))).toEqual(key)
  })
})
