/** The vectors were printed by OpenJDK 17: `Objects.hashCode` of each value boxed, and `Arrays.hashCode` of the byte arrays. */
import { describe, expect, it } from 'vitest'
import * as fc from 'fast-check'
import {
  hashBigInteger,
  hashBoolean,
  hashBytes,
  hashDouble,
  hashInt,
  hashLong,
  hashSafeInteger,
  hashString,
  hashTuple,
} from '../../src/record/java-hash.js'

const strings: [string, number][] = [
  ['', 0],
  ['a', 97],
  ['b', 98],
  ['abc', 96354],
  ['key', 106079],
  ['hello', 99162322],
  ['Flink', 67968320],
  ['JFK-LAX', -969483963],
  ['user-00012345', -943992891],
  ['\u0000', 0],
  ['\u0001', 1],
  ['\u0000\u0001a', 128],
  ['\u00e9', 233],
  ['\u65e5\u672c\u8a9e', 25921943],
  ['\ud83d\ude00', 1772899],
  ['\ud800', 55296],
  ['\udc00x', 1746040],
  ['\uffff\uffff', 2097120],
  ['polygenelubricants', -2147483648],
  ['The quick brown fox jumps over the lazy dog, twice over and again', 899529226],
]

const longs: [bigint, number][] = [
  [0n, 0],
  [1n, 1],
  [-1n, 0],
  [2n, 2],
  [-2n, 1],
  [499999n, 499999],
  [2147483647n, 2147483647],
  [2147483648n, -2147483648],
  [-2147483648n, 2147483647],
  [-2147483649n, -2147483648],
  [4294967295n, -1],
  [4294967296n, 1],
  [-4294967296n, -1],
  [1099511627776n, 256],
  [-1099511627776n, -256],
  [9007199254740991n, -2097152],
  [-9007199254740991n, -2097151],
  [9007199254740992n, 2097152],
  [1234567890123456789n, 1825280481],
  [9223372036854775807n, -2147483648],
  [-9223372036854775808n, -2147483648],
]

const doubles: [number, number][] = [
  [0, 0],
  [-0, -2147483648],
  [1, 1072693248],
  [-1, -1074790400],
  [0.1, -1507852285],
  [0.5, 1071644672],
  [-0.5, -1075838976],
  [1.5, 1073217536],
  [Math.PI, 340593891],
  [1e100, 1898351312],
  [-1e-100, 1336277534],
  [2 ** 53, 1128267776],
  [1e21, -1834355276],
  [Number.MIN_VALUE, 1],
  [Number.MAX_VALUE, -2146435072],
  [-Number.MAX_VALUE, 1048576],
  [2.2250738585072014e-308, 1048576],
  [Number.POSITIVE_INFINITY, 2146435072],
  [Number.NEGATIVE_INFINITY, -1048576],
  [Number.NaN, 2146959360],
]

const byteArrays: [number[], number][] = [
  [[], 1],
  [[0], 31],
  [[1], 32],
  [[0xff], 30],
  [[0, 0], 961],
  [[0x7f, 0x80], 4770],
  [[1, 2, 3, 4, 5, 6, 7, 8, 9, 10], -975991962],
  [[0xff, 0xfe, 0xfd, 0, 1, 2], 856938148],
]

const bigIntegers: [bigint, number][] = [
  [0n, 0],
  [1n, 1],
  [-1n, -1],
  [4294967295n, -1],
  [-4294967296n, -31],
  [9223372036854775807n, 2147483616],
  [9223372036854775808n, -2147483648],
  [-9223372036854775808n, -2147483648],
  [-9223372036854775809n, 2147483647],
  [18446744073709551615n, -32],
  [18446744073709551616n, 961],
  [-18446744073709551616n, -961],
  [123456789012345678901234567890n, 1915528825],
  [-123456789012345678901234567890n, -1915528825],
  [-(2n ** 100n), -476656],
  [2n ** 1016n - 1n, -194527744],
]

describe("Java's hash codes", () => {
  it.each(strings)('String %j', (value, hash) => {
    expect(hashString(value)).toBe(hash)
  })

  it('Integer', () => {
    for (const value of [0, 1, -1, 42, 2147483647, -2147483648]) expect(hashInt(value)).toBe(value)
  })

  it.each(longs)('Long %i', (value, hash) => {
    expect(hashLong(value)).toBe(hash)
  })

  it('Long, of any safe integer, with and without a bigint', () => {
    fc.assert(
      fc.property(fc.maxSafeInteger(), (value) => {
        expect(hashSafeInteger(value)).toBe(hashLong(BigInt(value)))
      }),
    )
  })

  it.each(doubles)('Double %d', (value, hash) => {
    expect(hashDouble(value)).toBe(hash)
  })

  it('Boolean', () => {
    expect([hashBoolean(true), hashBoolean(false)]).toEqual([1231, 1237])
  })

  it.each(byteArrays)('byte[] %j', (value, hash) => {
    expect(hashBytes(Uint8Array.from(value))).toBe(hash)
  })

  it.each(bigIntegers)('BigInteger %i', (value, hash) => {
    expect(hashBigInteger(value)).toBe(hash)
  })

  it("tuples, by the formula of Flink's TupleN", () => {
    const text = hashString
    expect(hashTuple([])).toBe(0)
    expect(hashTuple([text('a'), text('b')])).toBe(3105)
    expect(hashTuple([text('JFK'), hashLong(7n)])).toBe(2274136)
    expect(hashTuple([text(''), hashLong(0n)])).toBe(0)
    expect(hashTuple([text('x'), hashLong(-1n), hashBoolean(true)])).toBe(116551)
    expect(hashTuple([1n, 2n, 3n, 4n].map(hashLong))).toBe(31810)
  })
})
