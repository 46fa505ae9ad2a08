/** The policy over many checkpoints: what is uploaded, and what a restore would read. */
import { describe, expect, it } from 'vitest'
import { DEFAULT_REBASE_POLICY, decideSnapshot } from '../../src/checkpoint/rebase-policy.js'

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}

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
      () => ({ keptDeltaBytes: 0, baseBytes: stateBytes, uploadBytes: stateBytes }),
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
    'a hot set of %d, rewritten each time, for twice as long: at most %d times the changed bytes, no rebase',
    (fraction, ratio) => {
      const hot = keys * fraction
      const outcome = simulate({
        keys,
        checkpoints: 200,
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
