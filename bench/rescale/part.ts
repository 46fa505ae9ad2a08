/** The comparison of ways to rescale, in the form of all benchmarks: times as lines over the state's size are those of `bench:recovery`. */
import type { BenchFigure, BenchPart } from '../harness/part.js'
import { goalsOf, type Comparison } from './report.js'

const CONTENDERS = {
  adopt: 'adopting tables',
  clearAndCopy: 'clear and copy',
  rewrite: 'rewriting',
} as const

export function rescalePart(
  comparisons: readonly Comparison[],
  parameters: BenchPart['parameters'],
): BenchPart {
  const names = comparisons.map(({ from, to }) => `${from} to ${to}`)
  return {
    part: 'rescale',
    title: 'Rescaling: adopting tables against doing without',
    parameters,
    figures: comparisons.flatMap(figuresOf),
    charts: [
      {
        title: 'Restore at another parallelism, tables being on local disk',
        kind: 'bars',
        yLabel: 'ms',
        yScale: 'log',
        names,
      },
    ],
    goals: comparisons.flatMap(goalsOf),
    absent: {},
    notes: [
      'All new subtasks one after the other, each until its database has answered a read; tables are local files for all three, on trust.',
      '"Clear and copy" is Flink\'s default way, with the source of the largest overlap as the beginning.',
    ],
  }
}

function figuresOf({ from, to, ways }: Comparison): BenchFigure[] {
  const name = `${from} to ${to}`
  return Object.entries(CONTENDERS).map(([way, contender]) => ({
    name,
    contender,
    kind: 'latency',
    unit: 'ms',
    samples: ways[way as keyof typeof CONTENDERS].samplesMs,
  }))
}
