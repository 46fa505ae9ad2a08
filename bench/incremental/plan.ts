/** Which loads are measured, on whom: the default tells the story in some minutes, `--full` leaves nothing out. */
import type { KeyDistribution } from './key-source.js'
import { CONTENDER_NAMES, FULL, OURS, type ContenderName } from './names.js'

export interface Cell {
  readonly stateMb: number
  readonly keys: KeyDistribution
  readonly reads: number
  readonly contenders: readonly ContenderName[]
  readonly checkpoints: number
  /** Checkpoints of contenders that take fewer. */
  readonly fewer: Fewer
}

export interface ChangeCell extends Cell {
  readonly changePercent: number
}

export type StreamCell = Cell

export interface Plan {
  readonly changes: readonly ChangeCell[]
  readonly streams: readonly StreamCell[]
}

type Fewer = Readonly<Partial<Record<ContenderName, number>>>

/** What the options name; what they leave out is the default's. */
export interface Picked {
  readonly stateMb?: readonly number[] | undefined
  readonly changePercent?: readonly number[] | undefined
  readonly keys?: readonly KeyDistribution[] | undefined
  readonly reads?: readonly number[] | undefined
  readonly checkpoints?: number | undefined
}

export const SMALL_MB = 20
export const MIDDLE_MB = 200
const LARGE_MB = 2000
export const CHANGE_PERCENT = 1
const CHANGES = [0.1, 1, 10]
const BOTH: readonly KeyDistribution[] = ['uniform', 'skewed']
/** At which the goals ask for the bytes that many checkpoints upload together. */
export const MANY_READS = 5
const READS = [0, 1, MANY_READS]
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
const PEER_CHECKPOINTS = 3
const STREAM_CHECKPOINTS = 2
/** Of what a goal judges: the first are slower, and one of three is now and then half of what the others are. */
const JUDGED_CHECKPOINTS = 9
const LEVELDB_FILES: ContenderName = 'leveldb-files'
const OURS_ALONE: readonly ContenderName[] = [OURS]
/** They upload their whole state each time: so what they upload for each changed byte is the same over any number. */
const WHOLE_STATE: Fewer = {
  [FULL]: JUDGED_CHECKPOINTS,
  'leveldb-copy': PEER_CHECKPOINTS,
  lmdb: PEER_CHECKPOINTS,
  'better-sqlite3': PEER_CHECKPOINTS,
}
/** In so many LevelDB's compactions come round, and our rebases do not. */
const FEWER_OF_MANY: Fewer = { ...WHOLE_STATE, [LEVELDB_FILES]: CHECKPOINTS }

export function checkpointsOf({ checkpoints, fewer }: Cell, contender: ContenderName): number {
  return fewer[contender] ?? checkpoints
}

export function defaultPlan(): Plan {
  const small = { statesMb: [SMALL_MB], changes: CHANGES, contenders: OURS_ALONE }
  const many = { statesMb: [MANY_CHECKPOINTS_MB], fewer: FEWER_OF_MANY }
  return {
    changes: [
      ...changeCells(small),
      ...changeCells({ ...small, reads: [MANY_READS], checkpoints: GRID_CHECKPOINTS }),
      ...manyCheckpoints('uniform', { ...many, contenders: [OURS, LEVELDB_FILES] }),
      ...manyCheckpoints('skewed', { ...many, contenders: OURS_ALONE }),
      ...changeCells({ fewer: WHOLE_STATE }),
    ],
    streams: [
      {
        ...streamCell(MIDDLE_MB, 'uniform', 1),
        contenders: [OURS, LEVELDB_FILES],
        checkpoints: JUDGED_CHECKPOINTS,
        fewer: { [LEVELDB_FILES]: STREAM_CHECKPOINTS },
      },
    ],
  }
}

export function fullPlan(): Plan {
  const middle = { changes: CHANGES, keys: BOTH, fewer: WHOLE_STATE }
  const many = { changes: CHANGES, fewer: FEWER_OF_MANY }
  const large = { statesMb: [LARGE_MB], changes: CHANGES, keys: BOTH, contenders: OURS_ALONE }
  const peers: Fewer = {
    ...WHOLE_STATE,
    [FULL]: PEER_CHECKPOINTS,
    [LEVELDB_FILES]: PEER_CHECKPOINTS,
  }
  return {
    changes: [
      ...changeCells({ statesMb: [SMALL_MB], changes: CHANGES, keys: BOTH, reads: READS }),
      ...changeCells({ ...middle, reads: READS.filter((reads) => reads !== MANY_READS) }),
      ...BOTH.flatMap((keys) => manyCheckpoints(keys, many)),
      ...changeCells({ ...large, reads: [0, MANY_READS] }).map((cell) =>
        isComparedOn(cell) ? { ...cell, contenders: CONTENDER_NAMES, fewer: peers } : cell,
      ),
    ],
    streams: [SMALL_MB, MIDDLE_MB, LARGE_MB].flatMap((stateMb) =>
      BOTH.map((keys) => streamCell(stateMb, keys, 1)),
    ),
  }
}

/** Of the large state, whose copies take long, this load alone is everybody's. */
function isComparedOn({ changePercent, keys, reads }: ChangeCell): boolean {
  return changePercent === CHANGE_PERCENT && keys === 'uniform' && reads === 0
}

export function quickPlan(): Plan {
  const contenders = [OURS, FULL] as const
  const checkpoints = PEER_CHECKPOINTS
  return {
    changes: [
      ...changeCells({
        statesMb: [SMALL_MB],
        changes: CHANGES,
        checkpoints,
        contenders: OURS_ALONE,
      }),
      ...changeCells({ checkpoints, contenders }),
    ],
    streams: [{ ...streamCell(SMALL_MB, 'uniform', 1), contenders }],
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
    changes: changeCells({ statesMb: stateMb, changes: changePercent, keys, reads, checkpoints }),
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

function manyCheckpoints(keys: KeyDistribution, grid: Omit<Grid, 'keys'>): ChangeCell[] {
  const checkpoints = MANY_CHECKPOINTS[keys]
  return changeCells({ ...grid, keys: [keys], reads: [MANY_READS], checkpoints })
}

function streamCell(stateMb: number, keys: KeyDistribution, reads: number): StreamCell {
  const checkpoints = STREAM_CHECKPOINTS
  return { stateMb, keys, reads, checkpoints, fewer: {}, contenders: CONTENDER_NAMES }
}

interface Grid {
  readonly statesMb?: readonly number[]
  readonly changes?: readonly number[]
  readonly keys?: readonly KeyDistribution[]
  readonly reads?: readonly number[]
  readonly checkpoints?: number
  readonly fewer?: Fewer
  readonly contenders?: readonly ContenderName[]
}

/** Every combination; what is left out is of the load that everybody is compared on. */
function changeCells({
  statesMb = [MIDDLE_MB],
  changes = [CHANGE_PERCENT],
  keys: distributions = ['uniform'],
  reads: allReads = [0],
  checkpoints = CHECKPOINTS,
  fewer = {},
  contenders = CONTENDER_NAMES,
}: Grid): ChangeCell[] {
  return statesMb.flatMap((stateMb) =>
    changes.flatMap((changePercent) =>
      distributions.flatMap((keys) =>
        allReads.map((reads) => ({
          stateMb,
          changePercent,
          keys,
          reads,
          checkpoints,
          fewer,
          contenders,
        })),
      ),
    ),
  )
}
