/**
 * Delta, merge or rebase: what a checkpoint does with the deltas since the base, as a pure function of sizes.
 *
 * The aim: a restore reads at most `base x (1 + fraction)`, and what is uploaded stays near the changed bytes whatever the pattern of
 * access. A delta costs the changed bytes; a merge uploads the merged deltas once more; a rebase uploads what LevelDB rewrote.
 */
import { assert } from '../common/assert.js'
import { StateBackendError } from '../errors.js'

export interface RebasePolicy {
  /** Deltas may grow to this fraction of the base before it is renewed. From 0 to 100, both included. */
  readonly deltaFractionMax: number
  /** A restore adopts each delta as a level-0 table, which reads look into until LevelDB has compacted them. From 1 to 1000, both included. */
  readonly deltaCountMax: number
  /**
   * Below this many bytes of deltas nothing is gained by renewing a base, however small it is; up to eight times as many are merged
   * with each other rather than renewing it for little. An integer from 0 to 2^40, both included.
   */
  readonly smallStateBytes: number
}

export const DEFAULT_REBASE_POLICY: RebasePolicy = {
  deltaFractionMax: 1,
  deltaCountMax: 100,
  smallStateBytes: 4 * 2 ** 20,
}

/** Both ends included. Beyond these a restore would read the state a hundred times over, or open more tables than LevelDB keeps open. */
const DELTA_FRACTION_RANGE = { min: 0, max: 100 } as const
const DELTA_COUNT_RANGE = { min: 1, max: 1000 } as const
const SMALL_STATE_BYTES_RANGE = { min: 0, max: 2 ** 40 } as const

/** The default policy, with what is given in its place. Throws `INVALID_ARGUMENT` for a value out of its range. */
export function rebasePolicyOf(given: Partial<RebasePolicy> = {}): RebasePolicy {
  const policy = { ...DEFAULT_REBASE_POLICY, ...given }
  checkRange('deltaFractionMax', policy.deltaFractionMax, DELTA_FRACTION_RANGE, Number.isFinite)
  checkRange('deltaCountMax', policy.deltaCountMax, DELTA_COUNT_RANGE, Number.isSafeInteger)
  const { smallStateBytes } = policy
  checkRange('smallStateBytes', smallStateBytes, SMALL_STATE_BYTES_RANGE, Number.isSafeInteger)
  return policy
}

function checkRange(
  name: string,
  value: number,
  { min, max }: { readonly min: number; readonly max: number },
  isNumber: (value: unknown) => boolean,
): void {
  if (isNumber(value) && value >= min && value <= max) return
  const kind = isNumber === Number.isSafeInteger ? 'an integer' : 'a number'
  throw new StateBackendError(
    'INVALID_ARGUMENT',
    `rebasePolicy.${name} must be ${kind} from ${min} to ${max}, got ${String(value)}.`,
    { details: { name, min, max } },
  )
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

/** What a rebase would come to now. */
export interface RebaseEstimate {
  /** Bytes of deltas that it would keep, because they hold writes that no table of the store has yet. */
  readonly keptDeltaBytes: number
  /** Bytes of the store's tables, which would be the base; 0 where that is not known. */
  readonly baseBytes: number
  /** Of all these, what is not in storage yet. */
  readonly uploadBytes: number
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
/** A rebase that does not spare a restore at least so much of the limit would be called for again by the very next checkpoints. */
const WORTHWHILE_REBASE = 0.5
/**
 * So many times `smallStateBytes` deltas may go beyond the limit where a rebase would spare a restore nothing: LevelDB's tables hold
 * versions of a small state that a merge drops. Also what is merged at most where a rebase would do, which takes links only.
 */
const SMALL_STATES_MERGED_MAX = 8
/** New deltas that overlap less than this are kept apart: merging them would cost time and save nothing. */
const WORTHWHILE_FUSION = 0.7
/** More small deltas than this in one interval are fused even if they hardly overlap: each costs a restore an open file. */
const NEW_SMALL_DELTAS_MAX = 4
/** Deltas of more bytes on average are kept apart, as a long generation's are, which do not overlap at all. */
const SMALL_DELTA_BYTES = 4 * 2 ** 20
/** A merge by count takes at least so many deltas, so that it is not needed again at the next checkpoint. */
const MERGE_WIDTH_MIN = 8

/** Whether there are more bytes of deltas than the policy allows: only then may a rebase be needed. */
export function isOverLimit(chain: DeltaChain, policy: RebasePolicy): boolean {
  return bytesOfDeltas(chain) > limitOf(chain, policy)
}

function bytesOfDeltas({ completedDeltaBytes, newDeltaBytes }: DeltaChain): number {
  return sum(completedDeltaBytes) + sum(newDeltaBytes)
}

function limitOf({ baseBytes }: DeltaChain, policy: RebasePolicy): number {
  return Math.max(policy.deltaFractionMax * baseBytes, policy.smallStateBytes)
}

/** `estimate` is asked only where `isOverLimit`. */
export function decideSnapshot(
  chain: DeltaChain,
  policy: RebasePolicy,
  estimate: () => RebaseEstimate,
): SnapshotDecision {
  const deltaCount = chain.completedDeltaBytes.length + chain.newDeltaBytes.length
  const deltaBytes = bytesOfDeltas(chain)
  const limit = limitOf(chain, policy)
  const extended: SnapshotDecision = { kind: 'extend', merge: decideMerge(chain, policy) }
  if (deltaBytes <= limit) return extended
  const merged: SnapshotDecision | undefined =
    deltaCount > 1 ? { kind: 'extend', merge: merge(0, deltaCount) } : undefined
  if (chain.mergedBytes <= limit * WORTHWHILE_MERGE && merged !== undefined) return merged
  const rebase = estimate()
  const restored = rebase.baseBytes + rebase.keptDeltaBytes
  const freedBytes = deltaBytes - rebase.keptDeltaBytes
  const mergedMax = SMALL_STATES_MERGED_MAX * policy.smallStateBytes
  const rebaseFrees =
    chain.baseBytes + deltaBytes - restored >= limit * WORTHWHILE_REBASE ||
    freedBytes >= limit + mergedMax ||
    (freedBytes > 0 && rebase.uploadBytes <= sum(chain.newDeltaBytes))
  const mergeFrees = chain.mergedBytes <= deltaBytes * WORTHWHILE_MERGE
  // Both what is uploaded now and what a restore reads after.
  const mergeIsCheaper =
    chain.mergedBytes <= mergedMax &&
    chain.baseBytes + 2 * chain.mergedBytes <= restored + rebase.uploadBytes
  if (merged !== undefined && mergeFrees && (mergeIsCheaper || !rebaseFrees)) return merged
  return rebaseFrees ? { kind: 'rebase' } : extended
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
  const { newDeltaBytes } = chain
  const newBytes = sum(newDeltaBytes)
  const manySmall =
    newDeltaBytes.length > NEW_SMALL_DELTAS_MAX &&
    newBytes <= newDeltaBytes.length * SMALL_DELTA_BYTES
  const overlap = newDeltaBytes.length > 1 && chain.mergedNewBytes <= newBytes * WORTHWHILE_FUSION
  return manySmall || overlap ? merge(chain.completedDeltaBytes.length, deltas.length) : undefined
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
