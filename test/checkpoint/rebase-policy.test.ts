import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  DEFAULT_REBASE_POLICY,
  decideMerge,
  decideSnapshot,
  type DeltaChain,
  type RebasePolicy,
  type SnapshotDecision,
} from '../../src/checkpoint/rebase-policy.js'

const POLICY: RebasePolicy = { deltaFractionMax: 0.5, deltaCountMax: 32, smallStateBytes: 100 }
const REBASE: SnapshotDecision = { kind: 'rebase' }
const PLAIN: SnapshotDecision = { kind: 'extend', merge: undefined }

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}

/** Nothing overlaps, unless it is said. */
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
      'merged it is a byte more',
      chain({
        baseBytes: 1000,
        completedDeltaBytes: [400],
        newDeltaBytes: [200],
        mergedBytes: 251,
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
    expect(decideSnapshot(given, POLICY)).toEqual(expected)
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
          const decision = decideSnapshot(given, POLICY)
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

/** Bytes of one key in a table. */
const KEY_BYTES = 1000

interface Outcome {
  readonly uploadedRatio: number
  readonly deltaCountMax: number
  /** The most that a restore would have read, over the bytes of the state. */
  readonly restoreRatio: number
  readonly rebases: number
  readonly merges: number
}

/**
 * The policy over many checkpoints of a state whose base, when renewed, is the state itself: what LevelDB rewrote is all of it, the
 * worst case.
 */
function simulate(options: {
  readonly keys: number
  readonly checkpoints: number
  /** Keys that checkpoint number `n` changes. */
  readonly changed: (n: number) => Iterable<number>
}): Outcome {
  const stateBytes = options.keys * KEY_BYTES
  let baseBytes = 0
  let deltas: ReadonlySet<number>[] = []
  let uploaded = 0
  let changed = 0
  const seen = { count: 0, restore: 0, rebases: 0, merges: 0 }
  const bytesOf = (keys: ReadonlySet<number>): number => keys.size * KEY_BYTES
  const union = (sets: readonly ReadonlySet<number>[]): ReadonlySet<number> =>
    new Set(sets.flatMap((set) => [...set]))
  for (let n = 0; n < options.checkpoints; n++) {
    const added = new Set(options.changed(n))
    changed += bytesOf(added)
    const decision = decideSnapshot(
      {
        baseBytes,
        completedDeltaBytes: deltas.map(bytesOf),
        newDeltaBytes: [bytesOf(added)],
        mergedBytes: bytesOf(union([...deltas, added])),
        mergedNewBytes: bytesOf(added),
      },
      DEFAULT_REBASE_POLICY,
    )
    if (decision.kind === 'rebase') {
      seen.rebases++
      baseBytes = stateBytes
      uploaded += stateBytes
      deltas = []
    } else if (decision.merge !== undefined) {
      seen.merges++
      const { from, to } = decision.merge
      const all = [...deltas, added]
      const merged = union(all.slice(from, to))
      uploaded += bytesOf(merged) + (to === all.length ? 0 : bytesOf(added))
      deltas = all.toSpliced(from, to - from, merged)
    } else {
      uploaded += bytesOf(added)
      deltas.push(added)
    }
    seen.count = Math.max(seen.count, deltas.length)
    seen.restore = Math.max(seen.restore, (baseBytes + sum(deltas.map(bytesOf))) / stateBytes)
  }
  return {
    uploadedRatio: uploaded / changed,
    deltaCountMax: seen.count,
    restoreRatio: seen.restore,
    rebases: seen.rebases,
    merges: seen.merges,
  }
}

/** Every checkpoint changes the next `count` keys, round and round: with a stride, all keys alike. */
function* spread(keys: number, count: number, n: number): Generator<number> {
  for (let index = 0; index < count; index++) yield ((n * count + index) * 7919) % keys
}

describe('the policy over 100 checkpoints of a state of 20 MB', () => {
  const keys = 20_000

  it.each([
    // Of the keys, each checkpoint changes so many; uploaded bytes over changed bytes; rebases.
    [0.001, 2, 0],
    [0.01, 3.5, 8],
    [0.1, 3.6, 20],
    [0.6, 1.7, 100],
  ])(
    'uniform, %d of it each time: at most %d times the changed bytes',
    (fraction, ratio, rebases) => {
      const outcome = simulate({
        keys,
        checkpoints: 100,
        changed: (n) => spread(keys, keys * fraction, n),
      })
      expect(outcome.uploadedRatio).toBeLessThan(ratio)
      expect(outcome.deltaCountMax).toBeLessThanOrEqual(DEFAULT_REBASE_POLICY.deltaCountMax)
      expect(outcome.restoreRatio).toBeLessThanOrEqual(1 + DEFAULT_REBASE_POLICY.deltaFractionMax)
      expect(outcome.rebases).toBeLessThanOrEqual(rebases)
    },
  )

  it.each([
    [0.001, 1.4],
    [0.01, 1.4],
    [0.1, 1.6],
  ])(
    'a hot set of %d, rewritten each time: at most %d times the changed bytes, no rebase',
    (fraction, ratio) => {
      const hot = keys * fraction
      const outcome = simulate({
        keys,
        checkpoints: 100,
        changed: (n) => (n === 0 ? spread(keys, keys, 0) : spread(hot, hot, n)),
      })
      const afterFirst = outcome.uploadedRatio
      expect(afterFirst).toBeLessThan(ratio)
      expect(outcome.deltaCountMax).toBeLessThanOrEqual(DEFAULT_REBASE_POLICY.deltaCountMax)
      expect(outcome.restoreRatio).toBeLessThanOrEqual(1 + DEFAULT_REBASE_POLICY.deltaFractionMax)
      expect(outcome.rebases).toBe(1)
      expect(outcome.merges).toBeGreaterThan(0)
    },
  )
})
