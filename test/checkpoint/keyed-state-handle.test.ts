import { Buffer } from 'node:buffer'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  IncrementalRemoteKeyedStateHandle,
  type TableHandle,
} from '../../src/checkpoint/keyed-state-handle.js'
import { KeyGroupRange } from '../../src/record/key-group-range.js'
import { throughJSON } from '../support/state-task.js'

/** An internal key of a key group: prefix, a byte of key, namespace, trailer. */
function keyOf(keyGroup: number): string {
  const key = Buffer.alloc(16)
  key.writeUInt16BE(keyGroup)
  key.writeUInt32BE(1, 2)
  return key.toString('base64')
}

function table(first: number, last: number, sizeBytes = 100): TableHandle {
  return {
    role: 'base',
    level: 1,
    state: { kind: 'object', location: `shared/${first}-${last}`, sizeBytes, sha256: 'ab' },
    smallest: keyOf(first),
    largest: keyOf(last),
    largestSequence: 7,
  }
}

function handle(
  range: KeyGroupRange,
  sharedState: readonly TableHandle[],
): IncrementalRemoteKeyedStateHandle {
  return new IncrementalRemoteKeyedStateHandle({
    backendIdentifier: 'backend',
    stateHandleId: 'handle',
    checkpointId: 3,
    keyGroupRange: range,
    sharedState,
    metaState: { kind: 'inline', data: 'e30=', sizeBytes: 2, sha256: 'cd' },
    checkpointedSize: 50,
  })
}

const ranges = fc
  .tuple(fc.nat(31), fc.nat(31))
  .map(([a, b]) => KeyGroupRange.of(Math.min(a, b), Math.max(a, b)))

describe('IncrementalRemoteKeyedStateHandle', () => {
  it('survives JSON whole', () => {
    const given = handle(KeyGroupRange.of(2, 9), [
      table(2, 4),
      { ...table(3, 9), role: 'delta', level: 0 },
    ])
    const back = throughJSON(given)
    expect(back).toEqual(given)
    expect(back).toBeInstanceOf(IncrementalRemoteKeyedStateHandle)
    expect(back.keyGroupRange.equals(given.keyGroupRange)).toBe(true)
    expect(back.stateSize).toBe(202)
    expect(JSON.stringify(back)).toBe(JSON.stringify(given))
  })

  it('its size is that of all tables and the meta information', () => {
    expect(handle(KeyGroupRange.of(0, 9), []).stateSize).toBe(2)
    expect(handle(KeyGroupRange.of(0, 9), [table(0, 1, 10), table(2, 3, 20)]).stateSize).toBe(32)
  })

  it('names its objects by scope; inline state is no object', () => {
    const given = handle(KeyGroupRange.of(0, 9), [table(0, 1), table(2, 3)])
    expect(given.objects()).toEqual({ shared: ['shared/0-1', 'shared/2-3'], exclusive: [] })
    const metaState = { kind: 'object', location: 'chk-3/x', sizeBytes: 2, sha256: 'cd' } as const
    const other = new IncrementalRemoteKeyedStateHandle({ ...given, metaState })
    expect(other.objects().exclusive).toEqual(['chk-3/x'])
  })
})

describe('getIntersection', () => {
  const whole = handle(KeyGroupRange.of(4, 20), [
    table(4, 9, 1),
    table(10, 15, 10),
    table(16, 20, 100),
    { ...table(4, 20, 1000), role: 'delta', level: 0 },
  ])

  it('is clipped to the range, with the tables that overlap it, in their order', () => {
    const part = whole.getIntersection(KeyGroupRange.of(9, 12))
    expect(part?.keyGroupRange.equals(KeyGroupRange.of(9, 12))).toBe(true)
    expect(part?.sharedState).toEqual([
      whole.sharedState[0],
      whole.sharedState[1],
      whole.sharedState[3],
    ])
    expect(part?.stateSize).toBe(1013)
    expect(part).toMatchObject({
      checkpointId: 3,
      backendIdentifier: 'backend',
      stateHandleId: 'handle',
    })
  })

  it.each([
    [0, 3, undefined],
    [21, 40, undefined],
    [0, 4, [4, 4]],
    [20, 40, [20, 20]],
    [0, 100, [4, 20]],
    [4, 20, [4, 20]],
  ])('with [%i, %i] is %j', (first, last, expected) => {
    const part = whole.getIntersection(KeyGroupRange.of(first, last))
    const { startKeyGroup, endKeyGroup } = part?.keyGroupRange ?? {}
    expect(part === undefined ? undefined : [startKeyGroup, endKeyGroup]).toEqual(expected)
  })

  it('with the empty range is undefined', () => {
    expect(whole.getIntersection(KeyGroupRange.EMPTY)).toBeUndefined()
  })

  it('leaves the handle as it is, and is the handle itself where nothing is cut', () => {
    const before = JSON.stringify(whole)
    expect(whole.getIntersection(KeyGroupRange.of(0, 30))).toBe(whole)
    whole.getIntersection(KeyGroupRange.of(5, 6))
    expect(JSON.stringify(whole)).toBe(before)
  })

  it('keeps a table exactly when the ranges meet; twice or in two steps is the same', () => {
    const tables = fc.array(ranges, { maxLength: 8 })
    fc.assert(
      fc.property(ranges, tables, ranges, ranges, (range, tableRanges, first, second) => {
        const inside = tableRanges.flatMap((each) => {
          const cut = each.getIntersection(range)
          return cut.isEmpty ? [] : [table(cut.startKeyGroup, cut.endKeyGroup)]
        })
        const given = handle(range, inside)
        const once = given.getIntersection(first)
        expect(once?.getIntersection(first)).toEqual(once)
        const both = first.getIntersection(second)
        expect(once?.getIntersection(second)).toEqual(given.getIntersection(both))
        const names = once?.sharedState.map(({ state }) => state) ?? []
        const { startKeyGroup, endKeyGroup } = range.getIntersection(first)
        const expected = inside.filter(({ smallest, largest }) => {
          const [low, high] = [smallest, largest].map((key) =>
            Buffer.from(key, 'base64').readUInt16BE(0),
          )
          return (low ?? 0) <= endKeyGroup && (high ?? 0) >= startKeyGroup
        })
        if (once !== undefined) expect(names).toEqual(expected.map(({ state }) => state))
        else expect(range.getIntersection(first).isEmpty).toBe(true)
      }),
    )
  })
})
