/** The comparison of ways to rescale, in the form of all benchmarks: times as lines over the state's size are those of `bench:recovery`. */
import type { BenchFigure, BenchPart } from '../harness/part.js'
import type { Options } from './options.js'
import { goalsOf, scaleGoal, type Comparison, type Contender, type Growth } from './report.js'

const ADOPTING = 'adopting tables'
const CONTENDERS = {
  adopt: ADOPTING,
  clearAndCopy: 'clear() key by key, then copy',
  rewrite: 'rewriting',
} as const
const VARIANTS = {
  adoptCold: 'a process that has done nothing before',
  adoptRecovered: 'tables of a dead process',
  adoptDownloaded: 'tables from storage',
} as const

/** `growth` is of adoption from 1 to 2, where a larger state was measured than that it is compared with. */
export function rescalePart(
  { stateMb, rounds, directions, verify }: Omit<Options, 'json'>,
  comparisons: readonly Comparison[],
  growth: Growth | undefined,
): BenchPart {
  return {
    part: 'rescale',
    title: 'Rescaling: adopting tables against doing without',
    parameters: {
      stateMb,
      rounds,
      directions: directions.map((direction) => direction.join('-')).join(','),
      verify,
    },
    figures: [...comparisons.flatMap(figuresOf), ...growthFigures(growth)],
    charts: [
      {
        title: 'Restore at another parallelism, tables being on local disk',
        kind: 'bars',
        yLabel: 'ms',
        yScale: 'log',
        names: comparisons.map(nameOf),
      },
    ],
    goals: [...comparisons.flatMap(goalsOf), ...(growth === undefined ? [] : [scaleGoal(growth)])],
    absent: {},
    notes: [...NOTES, VERIFIED[verify]],
  }
}

const NOTES: readonly string[] = [
  'All new subtasks one after the other, each until its database has answered a read; tables are local files for all three, on trust.',
  `"${CONTENDERS.clearAndCopy}" is the way of Flink's default, with what LevelDB has: the source of the largest overlap becomes the ` +
    'database, what it has outside the range is cleared, and the rest is copied. LevelDB writes a deletion for every key, where ' +
    "RocksDB, Flink's, writes one tombstone for a range: Flink's own way is measured by bench:recovery.",
]

const VERIFIED: Readonly<Record<Options['verify'], string>> = {
  all: 'Once for each way the contents of all new subtasks are counted and summed up, outside the time, and must be those written.',
  eighth:
    'Once for each way the contents of the first eighth of the key groups of each new subtask are counted and summed up, outside the ' +
    'time, and must be those written; --verify all does it for all key groups.',
}

function nameOf({ from, to }: Comparison): string {
  return `${from} to ${to}`
}

function figuresOf(comparison: Comparison): BenchFigure[] {
  const name = nameOf(comparison)
  const of = (way: Contender): Pick<BenchFigure, 'kind' | 'unit' | 'samples'> => ({
    kind: 'latency',
    unit: 'ms',
    samples: comparison.ways[way].samplesMs,
  })
  const ways = Object.entries(CONTENDERS) as [keyof typeof CONTENDERS, string][]
  const variants = Object.entries(VARIANTS) as [keyof typeof VARIANTS, string][]
  return [
    ...ways.map(([way, contender]) => ({ name, contender, ...of(way) })),
    ...variants.map(([way, how]) => ({ name: `${name}, ${how}`, contender: ADOPTING, ...of(way) })),
  ]
}

function growthFigures(growth: Growth | undefined): BenchFigure[] {
  const figure = { name: '1 to 2, by the size of the state', contender: ADOPTING } as const
  const sizes = growth === undefined ? [] : [growth.small, growth.large]
  return sizes.map(({ stateMb, samplesMs }) => ({
    ...figure,
    x: stateMb,
    kind: 'latency',
    unit: 'ms',
    samples: samplesMs,
  }))
}
