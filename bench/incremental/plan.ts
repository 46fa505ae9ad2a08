/** Which loads are measured, on whom: the default tells the story in some minutes, `--full` leaves nothing out. */
import type { KeyDistribution } from './key-source.js'
import { CONTENDER_NAMES, FULL, OURS, type ContenderName } from './names.js'

export interface Cell {
  readonly stateMb: number
  readonly keys: KeyDistribution
  readonly reads: number
  readonly contenders: readonly ContenderName[]
}

export interface ChangeCell extends Cell {
  readonly changePercent: number
  readonly checkpoints: number
}

export interface StreamCell extends Cell {
  readonly checkpoints: number
}

export interface Plan {
  readonly changes: readonly ChangeCell[]
  readonly streams: readonly StreamCell[]
}

/** What the options name; what they leave out is the default's. */
export interface Picked {
  readonly stateMb?: readonly number[] | undefined
  readonly changePercent?: readonly number[] | undefined
  readonly keys?: readonly KeyDistribution[] | undefined
  readonly reads?: readonly number[] | undefined
  readonly checkpoints?: number | undefined
}

const SMALL_MB = 20
export const MIDDLE_MB = 200
const LARGE_MB = 2000
export const CHANGE_PERCENT = 1
const CHANGES = [0.1, 1, 10]
const BOTH: readonly KeyDistribution[] = ['uniform', 'skewed']
const READS = [0, 1, 5]
/** At which the goals ask for the bytes that many checkpoints upload together. */
export const MANY_READS = 5
/**
 * Enough of them that merges and rebases have their share: skewed keys renew the base once in 200 to 250, and over fewer the figure tells
 * only whether that fell among them.
 */
export const MANY_CHECKPOINTS: Readonly<Record<KeyDistribution, number>> = {
  uniform: 100,
  skewed: 200,
}
/** Of so many checkpoints in minutes; `--full` has them of the middle state as well. */
const MANY_CHECKPOINTS_MB = 50

const GRID_CHECKPOINTS = 3
/** The first few still run code that is not compiled: a median of so many does not show it. */
const CHECKPOINTS = 20
/** Of contenders that upload the whole state each time, or near it. */
const PEER_CHECKPOINTS = 3
const STREAM_CHECKPOINTS = 2
/** Of what a goal judges: the first are slower, and one of three is now and then half of what the others are. */
const JUDGED_CHECKPOINTS = 9
const LEVELDB_FILES: ContenderName = 'leveldb-files'
const PEERS = CONTENDER_NAMES.filter((name) => name !== OURS)
const OTHERS = PEERS.filter((name) => name !== FULL)

export function defaultPlan(): Plan {
  return {
    changes: [
      ...product([SMALL_MB], CHANGES, BOTH, [0], GRID_CHECKPOINTS, [OURS]).map((cell) =>
        isHeldAgainstMiddle(cell) ? { ...cell, checkpoints: CHECKPOINTS } : cell,
      ),
      ...product([SMALL_MB], CHANGES, ['uniform'], [MANY_READS], GRID_CHECKPOINTS, [OURS]),
      ...product([MIDDLE_MB], [CHANGE_PERCENT], ['uniform'], [0], CHECKPOINTS, [OURS]),
      ...manyCheckpoints(MANY_CHECKPOINTS_MB, [CHANGE_PERCENT]),
      ...product([MIDDLE_MB], [CHANGE_PERCENT], ['uniform'], [MANY_READS], PEER_CHECKPOINTS, [
        LEVELDB_FILES,
      ]),
      ...product([MIDDLE_MB], [CHANGE_PERCENT], ['uniform'], [0], JUDGED_CHECKPOINTS, [FULL]),
      ...product([MIDDLE_MB], [CHANGE_PERCENT], ['uniform'], [0], PEER_CHECKPOINTS, OTHERS),
    ],
    streams: [
      {
        ...streamCell(MIDDLE_MB, 'uniform', 1),
        contenders: [OURS],
        checkpoints: JUDGED_CHECKPOINTS,
      },
      { ...streamCell(MIDDLE_MB, 'uniform', 1), contenders: [LEVELDB_FILES] },
    ],
  }
}

/** The same bytes changed as in the middle state: what a goal compares is measured as often. */
function isHeldAgainstMiddle({ changePercent, keys, reads }: ChangeCell): boolean {
  const changedMb = (SMALL_MB * changePercent) / 100
  return changedMb === (MIDDLE_MB * CHANGE_PERCENT) / 100 && keys === 'uniform' && reads === 0
}

export function fullPlan(): Plan {
  return {
    changes: [
      ...product([SMALL_MB], CHANGES, BOTH, READS, CHECKPOINTS, CONTENDER_NAMES),
      ...product([MIDDLE_MB], CHANGES, BOTH, [0, 1], CHECKPOINTS, [OURS]),
      ...manyCheckpoints(MIDDLE_MB, CHANGES),
      ...product([MIDDLE_MB], CHANGES, BOTH, READS, PEER_CHECKPOINTS, PEERS),
      ...product([LARGE_MB], CHANGES, BOTH, [0, MANY_READS], CHECKPOINTS, [OURS]),
      ...product([LARGE_MB], [CHANGE_PERCENT], ['uniform'], [0], PEER_CHECKPOINTS, PEERS),
    ],
    streams: [SMALL_MB, MIDDLE_MB, LARGE_MB].flatMap((stateMb) =>
      BOTH.map((keys) => streamCell(stateMb, keys, 1)),
    ),
  }
}

export function quickPlan(): Plan {
  const small = product([SMALL_MB], CHANGES, ['uniform'], [0], PEER_CHECKPOINTS, [OURS])
  const uniform: readonly KeyDistribution[] = ['uniform']
  return {
    changes: [
      ...small,
      ...product([MIDDLE_MB], [CHANGE_PERCENT], uniform, [0], PEER_CHECKPOINTS, [OURS, FULL]),
    ],
    streams: [{ ...streamCell(SMALL_MB, 'uniform', 1), contenders: [OURS, FULL] }],
  }
}

export function pickedPlan(picked: Picked): Plan {
  const {
    stateMb = [MIDDLE_MB],
    changePercent = [CHANGE_PERCENT],
    keys = ['uniform'],
    reads = [1],
    checkpoints = CHECKPOINTS,
  } = picked
  return {
    changes: product(stateMb, changePercent, keys, reads, checkpoints, CONTENDER_NAMES),
    streams: stateMb.flatMap((mb) =>
      keys.flatMap((distribution) => reads.map((count) => streamCell(mb, distribution, count))),
    ),
  }
}

/** Only the contenders named, and no cell without one. */
export function restricted(plan: Plan, only: readonly ContenderName[]): Plan {
  const restrict = <C extends Cell>(cells: readonly C[]): C[] =>
    cells
      .map((cell) => ({
        ...cell,
        contenders: cell.contenders.filter((name) => only.includes(name)),
      }))
      .filter(({ contenders }) => contenders.length > 0)
  return { changes: restrict(plan.changes), streams: restrict(plan.streams) }
}

function manyCheckpoints(stateMb: number, changes: readonly number[]): ChangeCell[] {
  return BOTH.flatMap((keys) =>
    product([stateMb], changes, [keys], [MANY_READS], MANY_CHECKPOINTS[keys], [OURS]),
  )
}

function streamCell(stateMb: number, keys: KeyDistribution, reads: number): StreamCell {
  return { stateMb, keys, reads, checkpoints: STREAM_CHECKPOINTS, contenders: CONTENDER_NAMES }
}

function product(
  statesMb: readonly number[],
  changes: readonly number[],
  distributions: readonly KeyDistribution[],
  allReads: readonly number[],
  checkpoints: number,
  contenders: readonly ContenderName[],
): ChangeCell[] {
  return statesMb.flatMap((stateMb) =>
    changes.flatMap((changePercent) =>
      distributions.flatMap((keys) =>
        allReads.map((reads) => ({
          stateMb,
          changePercent,
          keys,
          reads,
          checkpoints,
          contenders,
        })),
      ),
    ),
  )
}
