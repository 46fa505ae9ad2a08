import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  DEFAULT_REBASE_POLICY,
  decideMerge,
  decideSnapshot,
  rebasePolicyOf,
  type DeltaChain,
  type RebaseEstimate,
  type RebasePolicy,
  type SnapshotDecision,
} from '../../src/checkpoint/rebase-policy.js'
import { HashMapStateBackend } from '../../src/hash-map-state-backend.js'
import { LevelDBStateBackend } from '../../src/leveldb-state-backend.js'

const POLICY: RebasePolicy = { deltaFractionMax: 0.5, deltaCountMax: 32, smallStateBytes: 100 }
const REBASE: SnapshotDecision = { kind: 'rebase' }
const PLAIN: SnapshotDecision = { kind: 'extend', merge: undefined }

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}

/** Nothing overlaps, unless it is said. */
const MIB = 2 ** 20

function chain(given: Partial<DeltaChain>): DeltaChain {
  const { completedDeltaBytes = [], newDeltaBytes = [] } = given
  return {
    baseBytes: 0,
    completedDeltaBytes,
    newDeltaBytes,
    mergedBytes: sum([...completedDeltaBytes, ...newDeltaBytes]),
    mergedNewBytes: sum(newDeltaBytes),
    ...given,
  }
}

/** A base of all there is and no delta left. */
function freeing(given: DeltaChain): RebaseEstimate {
  return { keptDeltaBytes: 0, baseBytes: given.baseBytes, uploadBytes: given.baseBytes }
}

const times = (count: number, bytes: number): number[] => Array.from({ length: count }, () => bytes)

describe('decideSnapshot', () => {
  it.each<[string, DeltaChain, SnapshotDecision]>([
    ['nothing at all', chain({}), PLAIN],
    ['a first delta', chain({ newDeltaBytes: [10] }), PLAIN],
    ['a small state up to its limit', chain({ newDeltaBytes: [100] }), PLAIN],
    ['a byte beyond it', chain({ newDeltaBytes: [101] }), REBASE],
    [
      'deltas up to the fraction of the base',
      chain({ baseBytes: 1000, completedDeltaBytes: [250], newDeltaBytes: [250] }),
      PLAIN,
    ],
    [
      'a byte beyond it',
      chain({ baseBytes: 1000, completedDeltaBytes: [250], newDeltaBytes: [251] }),
      REBASE,
    ],
    [
      'a base so small that the fraction does not count',
      chain({ baseBytes: 10, completedDeltaBytes: [50], newDeltaBytes: [50] }),
      PLAIN,
    ],
    [
      'a hot set: merged it is half the limit',
      chain({
        baseBytes: 1000,
        completedDeltaBytes: [400],
        newDeltaBytes: [200],
        mergedBytes: 250,
      }),
      { kind: 'extend', merge: { from: 0, to: 2 } },
    ],
    [
      'merged it is more, but half of the deltas, and less than a new base',
      chain({
        baseBytes: 1000,
        completedDeltaBytes: [400],
        newDeltaBytes: [200],
        mergedBytes: 300,
      }),
      { kind: 'extend', merge: { from: 0, to: 2 } },
    ],
    [
      'merged it is a byte more than half',
      chain({
        baseBytes: 1000,
        completedDeltaBytes: [400],
        newDeltaBytes: [200],
        mergedBytes: 301,
      }),
      REBASE,
    ],
    [
      'one delta cannot be merged',
      chain({ baseBytes: 1000, newDeltaBytes: [600], mergedBytes: 10 }),
      REBASE,
    ],
    [
      'as many deltas as there may be',
      chain({ baseBytes: 1000, completedDeltaBytes: times(31, 1), newDeltaBytes: [1] }),
      PLAIN,
    ],
    [
      'one more: enough of the cheapest neighbours',
      chain({
        baseBytes: 10_000,
        completedDeltaBytes: [...times(10, 50), ...times(8, 1), ...times(14, 50)],
        newDeltaBytes: [50],
      }),
      { kind: 'extend', merge: { from: 10, to: 18 } },
    ],
    [
      'far more: as many as are too many',
      chain({
        baseBytes: 10_000,
        completedDeltaBytes: times(32, 1),
        newDeltaBytes: times(20, 1),
      }),
      { kind: 'extend', merge: { from: 0, to: 21 } },
    ],
    [
      'new deltas that overlap are fused',
      chain({
        baseBytes: 1000,
        completedDeltaBytes: [10, 10],
        newDeltaBytes: [10, 10],
        mergedNewBytes: 14,
      }),
      { kind: 'extend', merge: { from: 2, to: 4 } },
    ],
    [
      'many small ones are, even if they do not',
      chain({
        baseBytes: 1000 * MIB,
        newDeltaBytes: [3, 3, 3, 3, 3].map((mib) => mib * MIB),
        mergedNewBytes: 15 * MIB,
      }),
      { kind: 'extend', merge: { from: 0, to: 5 } },
    ],
    [
      'many large ones that do not, as of one long generation, are kept apart',
      chain({
        baseBytes: 1000 * MIB,
        newDeltaBytes: [16, 16, 16, 16, 16, 2].map((mib) => mib * MIB),
        mergedNewBytes: 82 * MIB,
      }),
      { kind: 'extend', merge: undefined },
    ],
    [
      'those that hardly do are not',
      chain({
        baseBytes: 1000,
        completedDeltaBytes: [10, 10],
        newDeltaBytes: [10, 10],
        mergedNewBytes: 15,
      }),
      PLAIN,
    ],
    [
      'unless there are many of them',
      chain({ baseBytes: 1000, completedDeltaBytes: [10, 10], newDeltaBytes: times(5, 10) }),
      { kind: 'extend', merge: { from: 2, to: 7 } },
    ],
  ])('%s', (_, given, expected) => {
    expect(decideSnapshot(given, POLICY, () => freeing(given))).toEqual(expected)
  })

  const SMALL: RebasePolicy = { ...POLICY, smallStateBytes: 4 * MIB }
  const mergeOf = (count: number): SnapshotDecision => ({
    kind: 'extend',
    merge: { from: 0, to: count },
  })
  const small = (deltasMiB: number[], mergedMiB: number, baseMiB = 0): DeltaChain =>
    chain({
      baseBytes: baseMiB * MIB,
      completedDeltaBytes: deltasMiB.map((mib) => mib * MIB),
      mergedBytes: mergedMiB * MIB,
    })
  /** What a rebase would keep of the deltas, its base, and what of that is not in storage, in MiB. */
  const rebase = (kept: number, base: number, upload: number): RebaseEstimate => ({
    keptDeltaBytes: kept * MIB,
    baseBytes: base * MIB,
    uploadBytes: upload * MIB,
  })

  it.each<[string, DeltaChain, RebaseEstimate, SnapshotDecision]>([
    ['all deltas are in the log only: no rebase', small([3, 3], 6), rebase(6, 0, 0), PLAIN],
    [
      'LevelDB has flushed them as they were: no rebase, since a restore would read no less',
      small([6, 6], 11),
      rebase(0, 12, 12),
      PLAIN,
    ],
    [
      'a restore would read half the limit less: a rebase',
      small([6, 6], 11),
      rebase(1, 9, 9),
      REBASE,
    ],
    ['a byte short of that: none', small([6, 6], 11), rebase(1, 9 + 1 / MIB, 9), PLAIN],
    [
      'nothing less, but the deltas are overdue: a rebase',
      small([20, 20], 40),
      rebase(4, 40, 40),
      REBASE,
    ],
    ['a byte short of that: none', small([20, 20], 40), rebase(4 + 1 / MIB, 40, 40), PLAIN],
    [
      'nothing less, but a rebase uploads no more than the new delta: a rebase',
      { ...small([], 9), newDeltaBytes: [9 * MIB] },
      rebase(1, 8, 9),
      REBASE,
    ],
    [
      'the same, but it keeps all deltas: none',
      { ...small([], 9), newDeltaBytes: [9 * MIB] },
      rebase(9, 0, 9),
      PLAIN,
    ],
    [
      'a merge halves the deltas, a rebase spares nothing: a merge',
      small([9, 3, 3, 3], 9),
      rebase(3, 30, 16),
      mergeOf(4),
    ],
    ['one byte more than half: none', small([9, 3, 3, 3], 9 + 1 / MIB), rebase(3, 30, 16), PLAIN],
    [
      'both would do, the rebase uploads little and leaves little: a rebase',
      small([9, 3, 3, 3], 9, 30),
      rebase(3, 10, 10),
      REBASE,
    ],
    [
      'both would do, the merge uploads and leaves less: a merge',
      small([9, 3, 3, 3], 9, 0),
      rebase(1, 10, 10),
      mergeOf(4),
    ],
    [
      'both would do, but there is more to merge than eight small states: a rebase',
      small([40, 40], 33, 50),
      rebase(0, 80, 80),
      REBASE,
    ],
  ])('beyond the limit of a small state: %s', (_, given, estimate, expected) => {
    expect(decideSnapshot(given, SMALL, () => estimate)).toEqual(expected)
  })

  it('asks what a rebase would come to only where one may be needed', () => {
    const asked = (): never => {
      throw new Error('not needed')
    }
    expect(decideSnapshot(small([3], 3), SMALL, asked)).toEqual(PLAIN)
    expect(decideSnapshot(small([3, 3], 2), SMALL, asked)).toEqual(mergeOf(2))
    expect(() => decideSnapshot(small([3, 3], 6), SMALL, asked)).toThrow('not needed')
  })

  it.each([0, 1, 2])('a count of at most %i is kept to, as far as one table is one', (countMax) => {
    const policy = { ...POLICY, deltaCountMax: countMax }
    for (let count = 0; count <= 12; count++) {
      const merge = decideMerge(chain({ newDeltaBytes: times(count, 1) }), policy)
      const left = merge === undefined ? count : count - (merge.to - merge.from) + 1
      expect(left).toBeLessThanOrEqual(Math.max(countMax, 1))
    }
  })

  it('always merges neighbours within range, two at least, and bounds the count', () => {
    const bytes = fc.array(fc.integer({ min: 1, max: 1000 }), { maxLength: 60 })
    fc.assert(
      fc.property(
        bytes,
        bytes,
        fc.integer({ min: 0, max: 10_000 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (completedDeltaBytes, newDeltaBytes, baseBytes, overlap) => {
          const total = sum([...completedDeltaBytes, ...newDeltaBytes])
          const given = chain({
            baseBytes,
            completedDeltaBytes,
            newDeltaBytes,
            mergedBytes: total * overlap,
            mergedNewBytes: sum(newDeltaBytes) * overlap,
          })
          const decision = decideSnapshot(given, POLICY, () => freeing(given))
          const merge = decision.kind === 'rebase' ? decideMerge(given, POLICY) : decision.merge
          const count = completedDeltaBytes.length + newDeltaBytes.length
          if (merge === undefined) {
            expect(count).toBeLessThanOrEqual(POLICY.deltaCountMax)
            return
          }
          expect(merge.from).toBeGreaterThanOrEqual(0)
          expect(merge.to - merge.from).toBeGreaterThanOrEqual(2)
          expect(merge.to).toBeLessThanOrEqual(count)
          if (count > POLICY.deltaCountMax) {
            expect(count - (merge.to - merge.from) + 1).toBeLessThanOrEqual(POLICY.deltaCountMax)
          }
        },
      ),
    )
  })
})

describe('rebasePolicyOf', () => {
  it('puts what is given in the place of the default', () => {
    expect(rebasePolicyOf()).toEqual(DEFAULT_REBASE_POLICY)
    expect(rebasePolicyOf({ deltaCountMax: 5 })).toEqual({
      ...DEFAULT_REBASE_POLICY,
      deltaCountMax: 5,
    })
  })

  it.each<[keyof RebasePolicy, readonly number[], readonly number[]]>([
    ['deltaFractionMax', [0, 0.01, 100], [-0.01, 100.01, Infinity, NaN]],
    ['deltaCountMax', [1, 1000], [0, 1.5, 1001, Infinity, NaN]],
    ['smallStateBytes', [0, 2 ** 40], [-1, 0.5, 2 ** 40 + 1, Infinity, NaN]],
  ])('%s: takes %j, refuses %j', (name, accepted, refused) => {
    for (const value of accepted) expect(rebasePolicyOf({ [name]: value })[name]).toBe(value)
    for (const value of refused) {
      expect(() => rebasePolicyOf({ [name]: value })).toThrow(
        expect.objectContaining({
          code: 'INVALID_ARGUMENT',
          details: expect.objectContaining({ name }) as object,
        }) as Error,
      )
    }
  })

  it('is what both backends ask', () => {
    const rebasePolicy = { deltaFractionMax: NaN }
    const invalid = expect.objectContaining({ code: 'INVALID_ARGUMENT' }) as Error
    expect(() => new HashMapStateBackend({ rebasePolicy })).toThrow(invalid)
    expect(() => new LevelDBStateBackend({ directory: 'not made', rebasePolicy })).toThrow(invalid)
  })
})
