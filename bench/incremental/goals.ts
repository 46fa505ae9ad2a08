/** What is asked of the figures; a goal whose loads were not measured is not judged. Pure. */
import type { BenchGoal } from '../harness/part.js'
import { medianOf } from '../harness/statistics.js'
import type { KeyDistribution } from './key-source.js'
import type { CheckpointSample } from './measure.js'
import { FULL, OURS } from './names.js'
import { amortisedRatio, totalMs, type ChangeOutcome, type Outcomes } from './outcome.js'
import { CHANGE_PERCENT, MANY_READS, MIDDLE_MB } from './plan.js'

const FULL_BYTES_TIMES_MIN = 20
const FULL_TIME_TIMES_MIN = 10
const BETWEEN_REBASES_RATIO_MAX = 1.3
const AMORTISED_RATIO_MAX: Readonly<Record<KeyDistribution, number>> = { uniform: 4, skewed: 2 }
/** The first so many are judged together: 100 as is asked, and where one rebase more or less decides about these, more. */
const JUDGED_OVER: Readonly<Record<KeyDistribution, readonly number[]>> = {
  uniform: [100],
  skewed: [100, 200],
}
const DURING_FRACTION_MIN = 0.7
const FLAT_TIMES_MAX = 1.5

/** `absent`: who could not be measured, and why. */
export function goalsOf(
  { changes, streams }: Outcomes,
  absent: Readonly<Record<string, string>> = {},
): BenchGoal[] {
  const why = absent[OURS]
  return [
    ...(why === undefined
      ? []
      : [{ text: `${OURS} is measured to the end: ${why}`, reached: false }]),
    ...againstFull(changes),
    ...changes.filter(isAmortised).flatMap(amortised),
    ...streams
      .filter(({ contender }) => contender === OURS)
      .map(({ cell, samples }) => {
        const during = medianOf(samples.map(({ duringPerSecond }) => duringPerSecond))
        const between = medianOf(samples.map(({ betweenPerSecond }) => betweenPerSecond))
        const name = `${cell.stateMb} MB, ${cell.keys}: throughput while a checkpoint runs`
        return atLeast(`${name}, of that between`, during / between, DURING_FRACTION_MIN)
      }),
    ...flat(changes),
  ]
}

function atLeast(name: string, value: number, min: number): BenchGoal {
  return { text: `${name}: ${value.toFixed(2)} (at least ${min})`, reached: value >= min }
}

function atMost(name: string, value: number, max: number): BenchGoal {
  return { text: `${name}: ${value.toFixed(2)} (at most ${max})`, reached: value <= max }
}

function isMiddle({ cell }: ChangeOutcome): boolean {
  return cell.stateMb === MIDDLE_MB && cell.changePercent === CHANGE_PERCENT
}

/** The median checkpoint, one goal for each load on which both were measured. */
function againstFull(changes: readonly ChangeOutcome[]): BenchGoal[] {
  return changes
    .filter((outcome) => outcome.contender === OURS && isMiddle(outcome))
    .flatMap(({ cell, result }) => {
      const full = changes.find(
        (other) =>
          other.contender === FULL &&
          isMiddle(other) &&
          other.cell.keys === cell.keys &&
          other.cell.reads === cell.reads,
      )?.result
      if (full === undefined) return []
      const times = (of: (sample: CheckpointSample) => number): number =>
        medianOf(full.checkpoints.map(of)) / medianOf(result.checkpoints.map(of))
      const name = `${MIDDLE_MB} MB, ${CHANGE_PERCENT} %, ${cell.keys}, ${cell.reads} reads: a full snapshot against an increment`
      return [
        atLeast(
          `${name}, bytes`,
          times(({ uploadedBytes }) => uploadedBytes),
          FULL_BYTES_TIMES_MIN,
        ),
        atLeast(`${name}, time`, times(totalMs), FULL_TIME_TIMES_MIN),
      ]
    })
}

function isAmortised({ cell, contender }: ChangeOutcome): boolean {
  const { changePercent, reads } = cell
  return contender === OURS && changePercent === CHANGE_PERCENT && reads === MANY_READS
}

/** Of as many checkpoints as were taken; none where they are too few for merges and rebases to have their share. */
function amortised({ cell, result: { checkpoints } }: ChangeOutcome): BenchGoal[] {
  const { stateMb, keys } = cell
  const name = `${stateMb} MB, ${CHANGE_PERCENT} %, ${keys}, ${MANY_READS} reads per write`
  const goals = JUDGED_OVER[keys]
    .filter((count) => count <= checkpoints.length)
    .map((count) =>
      atMost(
        `${name}: uploaded / changed over ${count} checkpoints`,
        amortisedRatio(checkpoints.slice(0, count)),
        AMORTISED_RATIO_MAX[keys],
      ),
    )
  if (keys === 'skewed' || goals.length === 0) return goals
  const betweenRebases = checkpoints.filter(({ kind }) => kind !== 'rebase')
  const deltas = amortisedRatio(checkpoints.filter(({ kind }) => kind === 'delta'))
  return [
    atMost(
      `${name}: uploaded / changed between rebases, merges included (deltas alone ${deltas.toFixed(2)})`,
      amortisedRatio(betweenRebases),
      BETWEEN_REBASES_RATIO_MAX,
    ),
    ...goals,
  ]
}

/** The same bytes change in states of other sizes. */
function flat(changes: readonly ChangeOutcome[]): BenchGoal[] {
  const changedMb = (MIDDLE_MB * CHANGE_PERCENT) / 100
  const same = changes
    .filter(
      ({ cell, contender }) =>
        contender === OURS &&
        cell.keys === 'uniform' &&
        cell.reads === 0 &&
        Math.abs((cell.stateMb * cell.changePercent) / 100 - changedMb) < changedMb / 100,
    )
    .toSorted((a, b) => a.cell.stateMb - b.cell.stateMb)
  const [smallest] = same
  const largest = same.at(-1)
  if (smallest === undefined || largest === undefined || smallest === largest) return []
  const times = (of: (outcome: ChangeOutcome) => number): number => of(largest) / of(smallest)
  const name = `${changedMb} MB changed, ${largest.cell.stateMb} MB of state against ${smallest.cell.stateMb} MB`
  const timeOf = ({ result }: ChangeOutcome): number => medianOf(result.checkpoints.map(totalMs))
  const bytesOf = ({ result }: ChangeOutcome): number =>
    medianOf(result.checkpoints.map(({ uploadedBytes }) => uploadedBytes))
  return [
    atMost(`${name}: time of a checkpoint`, times(timeOf), FLAT_TIMES_MAX),
    atMost(`${name}: bytes of a checkpoint`, times(bytesOf), FLAT_TIMES_MAX),
  ]
}
