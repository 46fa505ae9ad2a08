/** The laws of `getIntersection`, for handles of every kind of table, state and snapshot. */
import { Buffer } from 'node:buffer'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  IncrementalRemoteKeyedStateHandle,
  type TableHandle,
} from '../../src/checkpoint/keyed-state-handle.js'
import { KeyGroupRange } from '../../src/record/key-group-range.js'
import type { StreamStateHandle } from '../../src/storage/stream-state-handle.js'
import { StateTask, statesOf, throughJSON, WHOLE_RANGE } from '../support/state-task.js'
import { CheckpointOptions } from '../../src/checkpoint/checkpoint-options.js'

const KEY_GROUPS = 40

const rangesWithin = (first: number, last: number): fc.Arbitrary<KeyGroupRange> =>
  fc
    .tuple(fc.integer({ min: first, max: last }), fc.integer({ min: first, max: last }))
    .map(([a, b]) => KeyGroupRange.of(Math.min(a, b), Math.max(a, b)))
const ranges = fc.oneof(
  { weight: 9, arbitrary: rangesWithin(0, KEY_GROUPS - 1) },
  { weight: 1, arbitrary: fc.constant(KeyGroupRange.EMPTY) },
)

/** An internal key: prefix, a byte of key, namespace, trailer. */
function keyOf(keyGroup: number): string {
  const key = Buffer.alloc(16)
  key.writeUInt16BE(keyGroup)
  key.writeUInt32BE(1, 2)
  return key.toString('base64')
}

const states: fc.Arbitrary<StreamStateHandle> = fc.oneof(
  fc.record({
    kind: fc.constant('object' as const),
    location: fc.uuid().map((name) => `shared/${name}.ldb`),
    sizeBytes: fc.nat(1000),
    sha256: fc.constant('ab'),
  }),
  fc.record({
    kind: fc.constant('inline' as const),
    data: fc.base64String({ maxLength: 8 }),
    sizeBytes: fc.nat(1000),
    sha256: fc.constant('cd'),
  }),
)

const handles = rangesWithin(0, KEY_GROUPS - 1).chain((keyGroupRange) => {
  const tables: fc.Arbitrary<TableHandle> = fc
    .record({
      role: fc.constantFrom('base' as const, 'delta' as const),
      level: fc.nat(6),
      state: states,
      largestSequence: fc.nat(1000),
      range: rangesWithin(keyGroupRange.startKeyGroup, keyGroupRange.endKeyGroup),
    })
    .map(({ range, ...table }) => ({
      ...table,
      smallest: keyOf(range.startKeyGroup),
      largest: keyOf(range.endKeyGroup),
    }))
  return fc
    .record({
      backendIdentifier: fc.string(),
      stateHandleId: fc.uuid(),
      checkpointId: fc.nat(),
      keyGroupRange: fc.constant(keyGroupRange),
      sharedState: fc.array(tables, { maxLength: 10 }),
      metaState: states,
      checkpointedSize: fc.nat(12_000),
    })
    .map((fields) => new IncrementalRemoteKeyedStateHandle(fields))
})

const groupsOf = ({ smallest, largest }: TableHandle): [number, number] => {
  const group = (key: string): number => Buffer.from(key, 'base64').readUInt16BE(0)
  return [group(smallest), group(largest)]
}

const sizeOf = ({ sharedState, metaState }: IncrementalRemoteKeyedStateHandle): number =>
  sharedState.reduce((sum, { state }) => sum + state.sizeBytes, metaState.sizeBytes)

describe('getIntersection', () => {
  it('is nothing exactly where the ranges are disjoint, and else lies in both', () => {
    fc.assert(
      fc.property(handles, ranges, (handle, range) => {
        const part = handle.getIntersection(range)
        const expected = handle.keyGroupRange.getIntersection(range)
        expect(part === undefined).toBe(expected.isEmpty)
        if (part !== undefined) expect(part.keyGroupRange.equals(expected)).toBe(true)
      }),
    )
  })

  it('names exactly the tables that overlap, each as it is, in their order', () => {
    fc.assert(
      fc.property(handles, ranges, (handle, range) => {
        const part = handle.getIntersection(range)
        if (part === undefined) return
        const { startKeyGroup, endKeyGroup } = part.keyGroupRange
        const overlapping = handle.sharedState.filter((table) => {
          const [first, last] = groupsOf(table)
          return first <= endKeyGroup && last >= startKeyGroup
        })
        expect(part.sharedState).toHaveLength(overlapping.length)
        for (const [index, table] of part.sharedState.entries()) {
          expect(table).toBe(overlapping[index])
        }
        expect(part.metaState).toBe(handle.metaState)
        const { backendIdentifier, stateHandleId, checkpointId } = handle
        expect(part).toMatchObject({ backendIdentifier, stateHandleId, checkpointId })
      }),
    )
  })

  it('has the sizes of what is left', () => {
    fc.assert(
      fc.property(handles, ranges, (handle, range) => {
        const part = handle.getIntersection(range)
        if (part === undefined) return
        expect(part.stateSize).toBe(sizeOf(part))
        expect(part.stateSize).toBeLessThanOrEqual(handle.stateSize)
        if (part === handle) return
        expect(part.checkpointedSize).toBe(Math.min(handle.checkpointedSize, part.stateSize))
      }),
    )
  })

  it('is idempotent: twice is once', () => {
    fc.assert(
      fc.property(handles, ranges, (handle, range) => {
        const once = handle.getIntersection(range)
        expect(once?.getIntersection(range)).toBe(once)
      }),
    )
  })

  it('is commutative: with one range and then the other, either way, and at once', () => {
    fc.assert(
      fc.property(handles, ranges, ranges, (handle, first, second) => {
        const one = handle.getIntersection(first)?.getIntersection(second)
        const other = handle.getIntersection(second)?.getIntersection(first)
        expect(one).toEqual(other)
        expect(one).toEqual(handle.getIntersection(first.getIntersection(second)))
      }),
    )
  })

  it('changes nothing of the handle, and survives JSON', () => {
    fc.assert(
      fc.property(handles, ranges, (handle, range) => {
        const before = JSON.stringify(handle)
        const part = handle.getIntersection(range)
        expect(JSON.stringify(handle)).toBe(before)
        expect(throughJSON(handle).getIntersection(range)).toEqual(part)
        if (part !== undefined) expect(throughJSON(part)).toEqual(part)
      }),
    )
  })

  it('over ranges that follow each other leaves no table out', () => {
    fc.assert(
      fc.property(
        handles,
        fc.uniqueArray(fc.integer({ min: 1, max: KEY_GROUPS - 1 })),
        (handle, cuts) => {
          const starts = [0, ...cuts.toSorted((a, b) => a - b)]
          const parts = starts.flatMap((start, index) => {
            const end = (starts[index + 1] ?? KEY_GROUPS) - 1
            return handle.getIntersection(KeyGroupRange.of(start, end)) ?? []
          })
          const named = new Set(parts.flatMap(({ sharedState }) => sharedState))
          expect(named).toEqual(new Set(handle.sharedState))
          const groups = parts.reduce((sum, part) => sum + part.keyGroupRange.numberOfKeyGroups, 0)
          expect(groups).toBe(handle.keyGroupRange.numberOfKeyGroups)
        },
      ),
    )
  })
})

describe.each(['leveldb', 'hashmap'] as const)('a handle of a snapshot, %s', (kind) => {
  it.each([
    ['checkpoint', CheckpointOptions.checkpoint()],
    ['full checkpoint', CheckpointOptions.fullCheckpoint()],
    ['savepoint', CheckpointOptions.savepoint()],
  ])('of the kind %s obeys them too', async (_, options) => {
    const task = await StateTask.start({ kind })
    statesOf(task.backend)
    await task.put(0, 200, (key) => `${key}`)
    const { handle } = await task.checkpoint(options)
    const left = KeyGroupRange.of(0, 7)
    const half = handle.getIntersection(left)
    expect(half?.keyGroupRange.equals(left)).toBe(true)
    expect(half?.sharedState).toEqual(handle.sharedState)
    expect(half?.getIntersection(WHOLE_RANGE)).toBe(half)
    expect(half?.getIntersection(KeyGroupRange.of(8, 15))).toBeUndefined()
    expect(throughJSON(handle).getIntersection(left)).toEqual(half)
  })
})
