import { describe, expect, it } from 'vitest'
import * as fc from 'fast-check'
import { hashLong, hashString } from '../../src/record/java-hash.js'
import {
  checkParallelismPreconditions,
  computeDefaultMaxParallelism,
  computeKeyGroupForKeyHash,
  computeKeyGroupRangeForOperatorIndex,
  computeOperatorIndexForKeyGroup,
  DEFAULT_LOWER_BOUND_MAX_PARALLELISM,
  murmurHash,
  UPPER_BOUND_MAX_PARALLELISM,
} from '../../src/record/key-group-range-assignment.js'

const intMax = 2_147_483_647
const intMin = -2_147_483_648

function invalid(message?: string): unknown {
  return expect.objectContaining({
    code: 'INVALID_ARGUMENT',
    ...(message === undefined ? {} : { message }),
  })
}

describe("Flink's golden vectors", () => {
  it.each([
    ['8', 0],
    ['5', 1],
    ['25', 2],
    ['13', 3],
    ['4', 4],
    ['7', 5],
    ['1', 6],
    ['6', 7],
    ['9', 8],
    ['3', 9],
    ['a', 1],
    ['b', 8],
  ])('RocksIncrementalCheckpointRescalingTest, StateBackendTestBase: %s → %i of 10', (key, kg) => {
    expect(computeKeyGroupForKeyHash(hashString(key), 10)).toBe(kg)
  })

  it.each([
    [0, 593689054],
    [1, 68075478],
    [2, 1085422463],
    [3, 847579505],
    [42, 1134849565],
    [-1, 1982413648],
    [100, 616682048],
    [128, 132521001],
    [32767, 1389705724],
    [intMax, 1653689534],
    [intMin, 1718298732],
  ])('murmurHash(%i) = %i', (code, hash) => {
    expect(murmurHash(code)).toBe(hash)
  })

  it.each([
    [0, 94],
    [1, 86],
    [2, 127],
    [3, 113],
    [42, 29],
    [-1, 80],
    [100, 64],
    [128, 41],
    [32767, 124],
    [intMax, 62],
    [intMin, 108],
  ])('hash %i → %i of 128', (hash, kg) => {
    expect(computeKeyGroupForKeyHash(hash, 128)).toBe(kg)
  })

  it.each([
    [0, 31198],
    [1, 16342],
    [2, 15231],
    [3, 2417],
    [42, 28189],
    [-1, 15184],
  ])('hash %i → %i of 32768', (hash, kg) => {
    expect(computeKeyGroupForKeyHash(hash, 32_768)).toBe(kg)
  })

  it.each([
    ['', 94],
    ['a', 81],
    ['b', 22],
    ['abc', 115],
    ['key', 72],
    ['hello', 35],
    ['Flink', 127],
  ])('string %j → %i of 128', (key, kg) => {
    expect(computeKeyGroupForKeyHash(hashString(key), 128)).toBe(kg)
  })

  it.each([
    [499_999n, 128, 73],
    [499_999n, 2, 1],
    [2n ** 40n, 128, 54],
    [-1n, 128, 94],
  ])('long %i of %i → %i', (key, maxParallelism, kg) => {
    expect(computeKeyGroupForKeyHash(hashLong(key), maxParallelism)).toBe(kg)
  })

  it.each([
    [10, 1, '[0, 9]'],
    [10, 2, '[0, 4][5, 9]'],
    [10, 3, '[0, 3][4, 6][7, 9]'],
    [128, 3, '[0, 42][43, 85][86, 127]'],
    [128, 5, '[0, 25][26, 51][52, 76][77, 102][103, 127]'],
  ])('ranges of %i over %i subtasks: %s', (maxParallelism, parallelism, ranges) => {
    const found = Array.from({ length: parallelism }, (_, index) =>
      computeKeyGroupRangeForOperatorIndex(maxParallelism, parallelism, index),
    )
    expect(found.join('')).toBe(ranges)
  })

  it.each([
    [1, 128],
    [85, 128],
    [86, 256],
    [128, 256],
    [170, 256],
    [171, 256],
    [172, 512],
    [1000, 2048],
    [21845, 32768],
    [32768, 32768],
  ])('the default maximum of parallelism %i is %i', (parallelism, maxParallelism) => {
    expect(computeDefaultMaxParallelism(parallelism)).toBe(maxParallelism)
  })

  it('has the bounds of Flink', () => {
    expect(DEFAULT_LOWER_BOUND_MAX_PARALLELISM).toBe(128)
    expect(UPPER_BOUND_MAX_PARALLELISM).toBe(32_768)
  })
})

describe('key-group assignment', () => {
  it('makes 0 of the one code that mixes to -2^31, which has no positive', () => {
    expect(murmurHash(-2_089_875_627)).toBe(0)
  })

  const parallelisms = fc
    .tuple(fc.integer({ min: 1, max: 32_768 }), fc.integer({ min: 1, max: 32_768 }))
    .map(([a, b]) => [Math.max(a, b), Math.min(a, b)] as const)

  it('gives every hash a key group within bounds', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: intMin, max: intMax }),
        fc.integer({ min: 1, max: 32_768 }),
        (hash, maxParallelism) => {
          const kg = computeKeyGroupForKeyHash(hash, maxParallelism)
          expect(Number.isInteger(kg) && kg >= 0 && kg < maxParallelism).toBe(true)
        },
      ),
    )
  })

  it('puts each key group in the range of exactly the subtask that owns it', () => {
    fc.assert(
      fc.property(parallelisms, fc.nat(), ([maxParallelism, parallelism], seed) => {
        const kg = seed % maxParallelism
        const owner = computeOperatorIndexForKeyGroup(maxParallelism, parallelism, kg)
        const range = computeKeyGroupRangeForOperatorIndex(maxParallelism, parallelism, owner)
        expect(range.contains(kg)).toBe(true)
      }),
    )
  })

  it.each([
    [10, 3],
    [128, 128],
    [128, 1],
    [32_768, 100],
  ])('tiles %i key groups with the ranges of %i subtasks', (maxParallelism, parallelism) => {
    let next = 0
    for (let index = 0; index < parallelism; index++) {
      const range = computeKeyGroupRangeForOperatorIndex(maxParallelism, parallelism, index)
      expect(range.startKeyGroup).toBe(next)
      next = range.endKeyGroup + 1
    }
    expect(next).toBe(maxParallelism)
  })

  it.each([0, -1, 32_769, 1.5, Number.NaN])("refuses parallelism %d in Flink's words", (bad) => {
    const error = invalid(`Operator parallelism not within bounds: ${bad}`)
    expect(() => checkParallelismPreconditions(bad)).toThrow(error)
    expect(() => computeDefaultMaxParallelism(bad)).toThrow(error)
    expect(() => computeKeyGroupRangeForOperatorIndex(bad, 1, 0)).toThrow(error)
    expect(() => computeKeyGroupRangeForOperatorIndex(128, bad, 0)).toThrow(error)
    expect(() => computeOperatorIndexForKeyGroup(128, bad, 0)).toThrow(error)
  })

  it('refuses a maximum below the parallelism', () => {
    const error = invalid('Maximum parallelism must not be smaller than parallelism.')
    expect(() => computeKeyGroupRangeForOperatorIndex(3, 4, 0)).toThrow(error)
    expect(() => computeOperatorIndexForKeyGroup(3, 4, 0)).toThrow(error)
  })

  it.each([-1, 4, 0.5, Number.NaN])('refuses index %d of 4', (bad) => {
    expect(() => computeKeyGroupRangeForOperatorIndex(128, 4, bad)).toThrow(invalid())
    expect(() => computeOperatorIndexForKeyGroup(4, 4, bad)).toThrow(invalid())
  })
})
