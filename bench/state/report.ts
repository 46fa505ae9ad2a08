/** What the figures come to: medians with their spread, our rate against the best persistent peer, and the bars. Pure functions. */
import { spreadOf, type Spread } from '../harness/statistics.js'
import type { Operation } from './operations.js'

/** Run in Node.js, each in a process of its own. */
export const NODE_CONTENDERS = [
  'LevelDBStateBackend',
  'HashMapStateBackend',
  'classic-level',
  'lmdb',
  'better-sqlite3',
  'rocksdb-native',
  'Map',
] as const
export type NodeContender = (typeof NODE_CONTENDERS)[number]

/** Run by the Java harness. */
export const FLINK_CONTENDERS = ['Flink RocksDB', 'Flink RocksDB budget', 'Flink heap'] as const
export type FlinkContender = (typeof FLINK_CONTENDERS)[number]

export type ContenderName = NodeContender | FlinkContender
export const CONTENDERS: readonly ContenderName[] = [...NODE_CONTENDERS, ...FLINK_CONTENDERS]

export const OURS = 'LevelDBStateBackend'
/** Who keeps state that is larger than memory. */
const PERSISTENT_PEERS: readonly ContenderName[] = [
  'classic-level',
  'lmdb',
  'better-sqlite3',
  'rocksdb-native',
  'Flink RocksDB',
  'Flink RocksDB budget',
]

const POINT_BAR = 2
const OTHER_BAR = 0.8

/** Operations per second, one figure a round, by operation and contender. */
export type Rates = ReadonlyMap<string, ReadonlyMap<ContenderName, readonly number[]>>

export interface Row {
  readonly operation: string
  readonly spreads: Readonly<Partial<Record<ContenderName, Spread>>>
  /** The fastest persistent peer that was measured. */
  readonly bestPeer: ContenderName | undefined
  /** Our median over the best peer's; `undefined` when one of them was not measured. */
  readonly ratio: number | undefined
  readonly bar: number
  /** `undefined` when there is no ratio to judge. */
  readonly reached: boolean | undefined
}

/** One row for each operation that was measured, in the order of `operations`. */
export function rowsOf(operations: readonly Operation[], rates: Rates): Row[] {
  const rows: Row[] = []
  for (const { name, kind } of operations) {
    const figures = rates.get(name)
    if (figures !== undefined) rows.push(rowOf(name, kind, figures))
  }
  return rows
}

function rowOf(
  operation: string,
  kind: Operation['kind'],
  figures: ReadonlyMap<ContenderName, readonly number[]>,
): Row {
  const spreads: Partial<Record<ContenderName, Spread>> = {}
  for (const [contender, rounds] of figures) {
    if (rounds.length > 0) spreads[contender] = spreadOf(rounds)
  }
  let bestPeer: ContenderName | undefined
  for (const peer of PERSISTENT_PEERS) {
    const best = bestPeer === undefined ? 0 : (spreads[bestPeer]?.median ?? 0)
    if ((spreads[peer]?.median ?? 0) > best) bestPeer = peer
  }
  const ours = spreads[OURS]
  const best = bestPeer === undefined ? undefined : spreads[bestPeer]
  const ratio = ours === undefined || best === undefined ? undefined : ours.median / best.median
  const bar = kind === 'point' ? POINT_BAR : OTHER_BAR
  return {
    operation,
    spreads,
    bestPeer,
    ratio,
    bar,
    reached: ratio === undefined ? undefined : ratio >= bar,
  }
}

/** Where contenders read different things from the same contents; `undefined` where all read the same. */
export function differenceIn(
  checks: ReadonlyMap<string, Readonly<Record<string, number>>>,
): string | undefined {
  const first = new Map<string, { contender: string; sum: number }>()
  for (const [contender, sums] of checks) {
    for (const [operation, sum] of Object.entries(sums)) {
      const expected = first.get(operation)
      if (expected === undefined) first.set(operation, { contender, sum })
      else if (expected.sum !== sum) {
        return `${operation}: ${contender} read ${sum} where ${expected.contender} read ${expected.sum}`
      }
    }
  }
  return undefined
}

/** Thousand operations per second, and half the range in per cent of it. */
export function spreadText(spread: Spread | undefined): string {
  if (spread === undefined) return ''
  const { median, min, max } = spread
  const thousand = median / 1000
  const digits = thousand < 100 ? 1 : 0
  return `${thousand.toFixed(digits)} ±${((50 * (max - min)) / median).toFixed(0)}%`
}

export function ratioText({ ratio, bar, reached }: Row): string {
  if (ratio === undefined) return 'not judged'
  return `${ratio.toFixed(2)} ${reached === true ? 'reached' : 'MISSED'} (${bar})`
}
