/** The state operations in the form that all parts of the benchmark share. Pure functions. */
import type { BenchChart, BenchFigure, BenchGoal, BenchPart } from '../harness/part.js'
import { notesOf } from './notes.js'
import type { Operation } from './operations.js'
import { OURS, type ContenderName, type Rates, type Row } from './report.js'

export interface StateParameters {
  readonly keys: number
  /** Processes of each contender and group. */
  readonly rounds: number
  readonly millis: number
  readonly memoryMib: number
  /** Whether the rates are by processor time. */
  readonly cpu: boolean
}

export interface StateResult {
  readonly operations: readonly Operation[]
  readonly rates: Rates
  readonly rows: readonly Row[]
  readonly absent: Readonly<Partial<Record<ContenderName, string>>>
  /** In a contender's directory at the end of a process, the most there was; not known of Flink's. */
  readonly storedBytes: ReadonlyMap<ContenderName, number>
}

export function statePart(parameters: StateParameters, result: StateResult): BenchPart {
  return {
    part: 'state',
    title: 'State operations',
    parameters: { ...parameters },
    figures: figuresOf(result.rates, parameters.cpu),
    charts: chartsOf(result, parameters.cpu),
    goals: goalsOf(result.rows),
    absent: result.absent,
    notes: notesOf(parameters, result.storedBytes),
  }
}

function figuresOf(rates: Rates, cpu: boolean): BenchFigure[] {
  const unit = cpu ? 'ops/processor-s' : 'ops/s'
  return [...rates].flatMap(([name, contenders]) =>
    [...contenders]
      .filter(([, samples]) => samples.length > 0)
      .map(([contender, samples]) => ({ name, contender, kind: 'throughput', unit, samples })),
  )
}

function chartsOf({ operations, rates }: StateResult, cpu: boolean): BenchChart[] {
  const yLabel = cpu ? 'operations per second of processor time' : 'operations per second'
  const chart = (title: string, chosen: (operation: Operation) => boolean): BenchChart => {
    const names = operations.filter(chosen).map(({ name }) => name)
    return {
      title,
      kind: 'bars',
      yLabel,
      yScale: 'log',
      names: names.filter((name) => rates.has(name)),
    }
  }
  const startsWith = (start: string) => (operation: Operation) => operation.name.startsWith(start)
  const isPoint = ({ kind }: Operation): boolean => kind === 'point'
  return [
    chart('Values and entries of maps, one at a time', isPoint),
    chart('Lists', startsWith('list')),
    chart('Whole maps', (operation) => startsWith('map')(operation) && !isPoint(operation)),
  ].filter(({ names }) => names.length > 0)
}

/** Only what could be judged: a run of one contender has no goals. */
function goalsOf(rows: readonly Row[]): BenchGoal[] {
  return rows.flatMap(({ operation, bestPeer, ratio, bar, reached }) => {
    if (ratio === undefined || reached === undefined) return []
    return {
      text: `${operation}: ${OURS} ${ratio.toFixed(2)} times ${bestPeer}, the best persistent peer (at least ${bar})`,
      reached,
    }
  })
}
