/**
 * What every part of the benchmark gives: figures with all their samples, the charts they make, and the goals they are held to. One
 * form for all, so that the report, its pictures and the comparison of two runs know no part by name. It is plain JSON.
 */

/** What a higher number means: better for a throughput or a gain, worse for a latency, a size or a cost. */
export type FigureKind = 'throughput' | 'latency' | 'size' | 'cost' | 'gain'

export interface BenchFigure {
  /** What was measured. With contender and x it is unique in its part, and the same from run to run. */
  readonly name: string
  readonly contender: string
  /** Where it lies on the x axis of a chart with lines. */
  readonly x?: number
  readonly kind: FigureKind
  /** Of the samples: `ops/s`, `ms`, `bytes`, `times`. */
  readonly unit: string
  /** One number a round, never none. */
  readonly samples: readonly number[]
}

export interface BenchChart {
  readonly title: string
  /** Bars: a group for each name, a bar for each contender. Lines: one for each name and contender, over x. */
  readonly kind: 'bars' | 'lines'
  readonly xLabel?: string
  readonly yLabel: string
  readonly xScale?: 'linear' | 'log'
  readonly yScale: 'linear' | 'log'
  /** Names of its figures, in order. */
  readonly names: readonly string[]
}

export interface BenchGoal {
  readonly text: string
  readonly reached: boolean
}

export interface BenchPart {
  /** As in `npm run bench:<part>`. */
  readonly part: string
  readonly title: string
  readonly parameters: Readonly<Record<string, string | number | boolean>>
  /** The contender of the first one is what the part is about: charts set it off. */
  readonly figures: readonly BenchFigure[]
  readonly charts: readonly BenchChart[]
  readonly goals: readonly BenchGoal[]
  /** Contenders that could not be measured here, and why. */
  readonly absent: Readonly<Record<string, string>>
  /** What a sceptic must know: where the work is not the same, what is not measured. */
  readonly notes: readonly string[]
}
