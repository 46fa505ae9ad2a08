/**
 * Which tables a checkpoint consists of: the chain of the last completed one, the deltas taken since, and what they become.
 *
 * Invariants
 * I1 (C1) A chain starts from the last completed checkpoint, never from a pending or aborted one, never from a savepoint.
 * I2 The deltas of an aborted or failed checkpoint are in the next one.
 * I3 The deltas of a chain are contiguous: each begins with the sequence after the last of the one before.
 */
import { assert } from '../common/assert.js'
import type { CapturedTables, CapturePreview } from '../store/leveldb-store.js'
import { estimateMergedBytes, type DeltaTable } from './delta-table.js'
import type { TableHandle } from './keyed-state-handle.js'
import {
  decideMerge,
  decideSnapshot,
  isOverLimit,
  type DeltaChain,
  type DeltaMerge,
  type RebaseEstimate,
  type RebasePolicy,
  type SnapshotDecision,
} from './rebase-policy.js'

/**
 * A base table of a checkpoint: in storage already, or to be uploaded from `path`, because it was captured or cut to another key-group
 * range just now.
 */
export type ChainBase = {
  /** `<incarnation>/<file number>`: the local name its bytes are known by, never two contents. */
  readonly identity: string
} & (
  | { readonly handle: TableHandle }
  | {
      readonly handle?: undefined
      readonly path: string
      readonly sizeBytes: number
      /** Where it is known already: the upload sees to it that these are the bytes. */
      readonly sha256?: string
      readonly table: Omit<TableHandle, 'state'>
    }
)

export interface ChainDelta {
  /** A restored delta was adopted by the store as a table of its own; `undefined` for one that was written here. */
  readonly identity?: string
  readonly delta: DeltaTable
  /** `undefined` when it is not in storage yet. */
  readonly handle: TableHandle | undefined
}

/** The tables of one checkpoint. All of them are in storage, but for those that its restore had to cut. */
export interface SnapshotChain {
  readonly checkpointId: number
  readonly base: readonly ChainBase[]
  readonly deltas: readonly ChainDelta[]
  /** All writes up to this sequence are in the chain. */
  readonly throughSequence: number
}

export const EMPTY_CHAIN: SnapshotChain = {
  checkpointId: 0,
  base: [],
  deltas: [],
  throughSequence: 0,
}

export interface SnapshotPlan {
  readonly kind: 'none' | 'delta' | 'merge' | 'rebase'
  readonly base: readonly ChainBase[]
  readonly deltas: readonly ChainDelta[]
  /** Of `deltas`. */
  readonly merge: DeltaMerge | undefined
  readonly throughSequence: number
}

/** Deltas not in the chain yet, oldest first. */
export function newDeltas(chain: SnapshotChain, local: readonly DeltaTable[]): DeltaTable[] {
  return local.filter((delta) => delta.toSequence > chain.throughSequence)
}

/**
 * Whether the chain and the new deltas together hold every write up to `throughSequence`. They do not after local deltas were dropped
 * to bound the disk: then only a rebase can continue.
 */
export function isContiguous(
  chain: SnapshotChain,
  deltas: readonly DeltaTable[],
  throughSequence: number,
): boolean {
  let sequence = chain.throughSequence
  for (const delta of deltas) {
    if (delta.fromSequence !== sequence + 1) return false
    sequence = delta.toSequence
  }
  return sequence === throughSequence
}

export function decide(
  chain: SnapshotChain,
  deltas: readonly DeltaTable[],
  policy: RebasePolicy,
  estimate: () => RebaseEstimate,
): SnapshotDecision {
  return decideSnapshot(sizesOfChain(chain, deltas), policy, estimate)
}

/** Whether `decide` may ask for an estimate. */
export function mayRebase(
  chain: SnapshotChain,
  deltas: readonly DeltaTable[],
  policy: RebasePolicy,
): boolean {
  return isOverLimit(sizesOfChain(chain, deltas), policy)
}

function sizesOfChain(chain: SnapshotChain, deltas: readonly DeltaTable[]): DeltaChain {
  const baseBytes = chain.base.reduce((bytes, base) => bytes + baseSizeBytes(base), 0)
  return sizesOf(baseBytes, chain.deltas, deltas)
}

/** What `rebasedPlan` would come to, of what the store would give now. */
export function estimateRebase(
  chain: SnapshotChain,
  deltas: readonly DeltaTable[],
  { incarnation, preview }: { incarnation: string; preview: CapturePreview },
): RebaseEstimate {
  const inStorage = new Set(
    [...chain.base, ...chain.deltas].flatMap(({ identity, handle }) =>
      handle === undefined ? [] : [identity],
    ),
  )
  const uploads = preview.tables.filter(
    ({ number }) => !inStorage.has(tableIdentity(incarnation, number)),
  )
  const lacking = ({ toSequence }: DeltaTable): boolean => toSequence > preview.coveredSequence
  const added = deltas.filter(lacking)
  return {
    keptDeltaBytes: bytesOf([...chain.deltas.map(({ delta }) => delta).filter(lacking), ...added]),
    baseBytes: bytesOf(preview.tables),
    uploadBytes: bytesOf([...uploads, ...added]),
  }
}

function bytesOf(tables: readonly { readonly sizeBytes: number }[]): number {
  return tables.reduce((bytes, { sizeBytes }) => bytes + sizeBytes, 0)
}

function tableIdentity(incarnation: string, number: number): string {
  return `${incarnation}/${number}`
}

function baseSizeBytes(base: ChainBase): number {
  return base.handle === undefined ? base.sizeBytes : base.handle.state.sizeBytes
}

/** What to merge where the base of `chain` was to be renewed and could not be. */
export function decideWithoutRebase(
  chain: SnapshotChain,
  deltas: readonly DeltaTable[],
  policy: RebasePolicy,
): DeltaMerge | undefined {
  return decideMerge(sizesOf(0, chain.deltas, deltas), policy)
}

function sizesOf(
  baseBytes: number,
  chained: readonly { readonly delta: DeltaTable }[],
  deltas: readonly DeltaTable[],
): DeltaChain {
  const completed = chained.map(({ delta }) => delta)
  let mergedBytes: number | undefined
  let mergedNewBytes: number | undefined
  return {
    baseBytes,
    completedDeltaBytes: completed.map((delta) => delta.sizeBytes),
    newDeltaBytes: deltas.map((delta) => delta.sizeBytes),
    // Estimates take milliseconds, and most checkpoints need none.
    get mergedBytes() {
      return (mergedBytes ??= estimateMergedBytes([...completed, ...deltas]))
    },
    get mergedNewBytes() {
      return (mergedNewBytes ??= estimateMergedBytes(deltas))
    },
  }
}

/** The chain, and the new deltas behind it. */
export function extendedPlan(
  chain: SnapshotChain,
  deltas: readonly DeltaTable[],
  merge: DeltaMerge | undefined,
  throughSequence: number,
): SnapshotPlan {
  assert(isContiguous(chain, deltas, throughSequence), 'I3: the deltas of a chain are contiguous')
  return {
    kind: kindOf(chain, deltas, merge),
    base: chain.base,
    deltas: [...chain.deltas, ...deltas.map((delta) => ({ delta, handle: undefined }))],
    merge,
    throughSequence,
  }
}

/** A restored chain may have tables that go to storage now, because they were cut, or lie where no checkpoint may name them (C1). */
function kindOf(
  { base, deltas }: SnapshotChain,
  added: readonly DeltaTable[],
  merge: DeltaMerge | undefined,
): SnapshotPlan['kind'] {
  if (base.some(({ handle }) => handle === undefined)) return 'rebase'
  if (merge !== undefined) return 'merge'
  return added.length > 0 || deltas.some(({ handle }) => handle === undefined) ? 'delta' : 'none'
}

/**
 * A new base: the store's own tables, and behind them every delta that holds a write they may lack. A table or delta that the chain
 * has already is not uploaded again, unless `reuse` is false.
 */
export function rebasedPlan(
  chain: SnapshotChain,
  deltas: readonly DeltaTable[],
  captured: CapturedTables,
  options: {
    incarnation: string
    reuse: boolean
    throughSequence: number
    policy: RebasePolicy
  },
): SnapshotPlan {
  const inStorage = new Map<string | undefined, TableHandle | undefined>()
  for (const { identity, handle } of [...chain.base, ...chain.deltas]) {
    inStorage.set(identity, handle)
  }
  const base = captured.tables.map((table): ChainBase => {
    const identity = tableIdentity(options.incarnation, table.number)
    const described = {
      role: 'base' as const,
      level: table.level,
      smallest: table.smallest.toString('base64'),
      largest: table.largest.toString('base64'),
      largestSequence: captured.coveredSequence,
    }
    const handle = options.reuse ? inStorage.get(identity) : undefined
    return handle === undefined
      ? { identity, path: table.path, sizeBytes: table.sizeBytes, table: described }
      : { identity, handle: { ...described, state: handle.state } }
  })
  const lacking = ({ toSequence }: DeltaTable): boolean => toSequence > captured.coveredSequence
  const chained = chain.deltas.filter(({ delta }) => lacking(delta))
  const added = deltas.filter(lacking)
  assertCovered([...chained.map(({ delta }) => delta), ...added], captured, options.throughSequence)
  const kept = chained.map((delta) => (options.reuse ? delta : { ...delta, handle: undefined }))
  return {
    kind: 'rebase',
    base,
    deltas: [...kept, ...added.map((delta) => ({ delta, handle: undefined }))],
    merge: decideMerge(sizesOf(0, chained, added), options.policy),
    throughSequence: options.throughSequence,
  }
}

/** Base and deltas together hold every write up to `throughSequence`. */
function assertCovered(
  deltas: readonly DeltaTable[],
  { coveredSequence }: CapturedTables,
  throughSequence: number,
): void {
  let sequence = coveredSequence
  for (const delta of deltas) {
    assert(delta.fromSequence <= sequence + 1, 'I3: a rebase has no hole', { coveredSequence })
    sequence = delta.toSequence
  }
  assert(sequence === throughSequence, 'I3: a rebase ends where its snapshot does', {
    coveredSequence,
    throughSequence,
  })
}
