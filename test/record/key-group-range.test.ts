import { describe, expect, it } from 'vitest'
import * as fc from 'fast-check'
import { KeyGroupRange } from '../../src/record/key-group-range.js'

const keyGroup = fc.integer({ min: 0, max: 32_767 })
const range = fc.tuple(keyGroup, keyGroup).map(([start, end]) => KeyGroupRange.of(start, end))
const invalid = expect.objectContaining({ code: 'INVALID_ARGUMENT' })

describe('KeyGroupRange', () => {
  it.each([
    [0, 0, 1],
    [0, 1, 2],
    [1, 2, 2],
    [42, 42, 1],
    [0, 32_767, 32_768],
    [32_767, 32_767, 1],
  ])('of(%i, %i) has %i key groups, both ends among them', (start, end, count) => {
    const of = KeyGroupRange.of(start, end)
    expect([of.startKeyGroup, of.endKeyGroup]).toEqual([start, end])
    expect(of.numberOfKeyGroups).toBe(count)
    expect(of.isEmpty).toBe(false)
    expect([start - 1, start, end, end + 1].map((each) => of.contains(each))).toEqual([
      false,
      true,
      true,
      false,
    ])
    expect(String(of)).toBe(`[${start}, ${end}]`)
  })

  it('is empty, and always the same, when the start is above the end', () => {
    for (const [start, end] of [
      [42, 7],
      [0, -1],
      [1, 0],
      [40_000, 2],
    ] as const) {
      expect(KeyGroupRange.of(start, end)).toBe(KeyGroupRange.EMPTY)
    }
    const { EMPTY } = KeyGroupRange
    expect(EMPTY.toJSON()).toEqual({ startKeyGroup: 0, endKeyGroup: -1 })
    expect([EMPTY.isEmpty, EMPTY.numberOfKeyGroups, [...EMPTY]]).toEqual([true, 0, []])
    expect([-1, 0].map((each) => EMPTY.contains(each))).toEqual([false, false])
  })

  it.each([
    [-3, 2],
    [-1, -1],
    [0, 32_768],
    [0.5, 2],
    [0, Number.NaN],
    [Number.NEGATIVE_INFINITY, 2],
    [3, 2.5],
  ])('of(%d, %d) is INVALID_ARGUMENT', (start, end) => {
    expect(() => KeyGroupRange.of(start, end)).toThrow(invalid)
  })

  it('R2: cannot be changed', () => {
    expect(Object.isFrozen(KeyGroupRange.of(1, 2))).toBe(true)
  })

  it('iterates over what it contains, ascending', () => {
    expect([...KeyGroupRange.of(3, 6)]).toEqual([3, 4, 5, 6])
  })

  it('intersects as sets do', () => {
    fc.assert(
      fc.property(range, range, keyGroup, (a, b, probe) => {
        const both = a.getIntersection(b)
        expect(both.equals(b.getIntersection(a))).toBe(true)
        expect(both.getIntersection(a).equals(both)).toBe(true)
        for (const each of [probe, a.startKeyGroup, a.endKeyGroup, b.startKeyGroup, b.endKeyGroup])
          expect(both.contains(each)).toBe(a.contains(each) && b.contains(each))
        expect(both.isEmpty).toBe(both === KeyGroupRange.EMPTY)
      }),
    )
    expect(KeyGroupRange.of(0, 10).getIntersection(KeyGroupRange.of(5, 20)).toJSON()).toEqual({
      startKeyGroup: 5,
      endKeyGroup: 10,
    })
    expect(KeyGroupRange.of(0, 4).getIntersection(KeyGroupRange.of(5, 9)).isEmpty).toBe(true)
  })

  it('equals by both ends', () => {
    expect(KeyGroupRange.of(1, 2).equals(KeyGroupRange.of(1, 2))).toBe(true)
    expect(KeyGroupRange.of(1, 2).equals(KeyGroupRange.of(1, 3))).toBe(false)
    expect(KeyGroupRange.of(1, 2).equals(KeyGroupRange.of(0, 2))).toBe(false)
  })

  it('survives JSON', () => {
    fc.assert(
      fc.property(range, (each) => {
        const back = KeyGroupRange.fromJSON(JSON.parse(JSON.stringify(each)))
        expect(back.equals(each)).toBe(true)
        expect(back).toBeInstanceOf(KeyGroupRange)
      }),
    )
  })

  it.each([
    null,
    undefined,
    7,
    '[0, 1]',
    [0, 1],
    {},
    { startKeyGroup: 0 },
    { startKeyGroup: '0', endKeyGroup: 1 },
    { startKeyGroup: 0, endKeyGroup: 40_000 },
    { startKeyGroup: 5, endKeyGroup: 4 },
    { startKeyGroup: 1.5, endKeyGroup: 2 },
  ])('fromJSON(%j) is INVALID_ARGUMENT', (value) => {
    expect(() => KeyGroupRange.fromJSON(value)).toThrow(invalid)
  })
})
