/**
 * Delta, merge or rebase: what a checkpoint does with the deltas since the base, as a pure function of sizes.
 *
 * The aim: a restore reads at most `base x (1 + fraction)`, and what is uploaded stays near the changed bytes whatever the pattern of
 * access. A delta costs the changed bytes; a merge uploads the merged deltas once more; a rebase uploads what LevelDB rewrote.
 */
import { assert } from '../common/assert.js'

export interface RebasePolicy {
  /** Deltas may grow to this fraction of the base before it is renewed. */
  readonly deltaFractionMax: number
  /** A restore adopts each delta as a level-0 table; LevelDB bears about this many. */
  readonly deltaCountMax: number
  /** Below this many bytes of deltas nothing is gained by renewing a base, however small it is. */
  readonly smallStateBytes: number
}

export const DEFAULT_REBASE_POLICY: RebasePolicy = {
  deltaFractionMax: 0.5,
  deltaCountMax: 32,
  smallStateBytes: 4 * 2 ** 20,
}

export interface DeltaChain {
  /** Bytes of the last completed checkpoint's base tables; 0 when there are none. */
  readonly baseBytes: number
  /** Bytes of the deltas of the last completed checkpoint, from oldest to newest. */
  readonly completedDeltaBytes: readonly number[]
  /** Bytes of the deltas taken since, from oldest to newest. */
  readonly newDeltaBytes: readonly number[]
  /** Estimated bytes of all deltas merged into one, and of the new ones only. */
  readonly mergedBytes: number
  readonly mergedNewBytes: number
}

/** A range `[from, to)` of all deltas, completed and new, at least two, which become one table. */
export interface DeltaMerge {
  readonly from: number
  readonly to: number
}

export type SnapshotDecision =
  { readonly kind: 'rebase' } | { readonly kind: 'extend'; readonly merge: DeltaMerge | undefined }

/** A merge that does not at least halve what it was called for would soon be called for again. */
const WORTHWHILE_MERGE = 0.5
/** New deltas that overlap less than this are kept apart: merging them would cost time and save nothing. */
const WORTHWHILE_FUSION = 0.7
/** More deltas than this in one interval are fused even if they hardly overlap: each costs a restore an open file. */
const NEW_DELTAS_MAX = 4
/** A merge by count takes at least so many deltas, so that it is not needed again at the next checkpoint. */
const MERGE_WIDTH_MIN = 8

export function decideSnapshot(chain: DeltaChain, policy: RebasePolicy): SnapshotDecision {
  const deltas = [...chain.completedDeltaBytes, ...chain.newDeltaBytes]
  const deltaBytes = sum(deltas)
  const limit = Math.max(policy.deltaFractionMax * chain.baseBytes, policy.smallStateBytes)
  if (deltaBytes > limit) {
    const worthwhile = deltas.length > 1 && chain.mergedBytes <= limit * WORTHWHILE_MERGE
    return worthwhile ? { kind: 'extend', merge: merge(0, deltas.length) } : { kind: 'rebase' }
  }
  return { kind: 'extend', merge: decideMerge(chain, policy) }
}

/**
 * What is merged whatever the base is: also behind a base that was just renewed, since what is in LevelDB's log only stays in deltas,
 * and where a base cannot be had. So the count is bounded always.
 */
export function decideMerge(chain: DeltaChain, policy: RebasePolicy): DeltaMerge | undefined {
  const deltas = [...chain.completedDeltaBytes, ...chain.newDeltaBytes]
  if (deltas.length > Math.max(policy.deltaCountMax, 1)) {
    return cheapestMerge(deltas, policy.deltaCountMax)
  }
  const fusible =
    chain.newDeltaBytes.length > NEW_DELTAS_MAX ||
    (chain.newDeltaBytes.length > 1 &&
      chain.mergedNewBytes <= sum(chain.newDeltaBytes) * WORTHWHILE_FUSION)
  return fusible ? merge(chain.completedDeltaBytes.length, deltas.length) : undefined
}

/** Size-tiered: the neighbours that are cheapest to merge, and enough of them. */
function cheapestMerge(deltas: readonly number[], countMax: number): DeltaMerge {
  const width = Math.min(Math.max(deltas.length - countMax + 1, MERGE_WIDTH_MIN), deltas.length)
  let bytes = sum(deltas.slice(0, width))
  let best = { from: 0, bytes }
  for (let from = 1; from + width <= deltas.length; from++) {
    bytes += (deltas[from + width - 1] as number) - (deltas[from - 1] as number)
    if (bytes < best.bytes) best = { from, bytes }
  }
  return merge(best.from, best.from + width)
}

function merge(from: number, to: number): DeltaMerge {
  assert(to - from > 1, 'a merge takes at least two deltas')
  return { from, to }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
