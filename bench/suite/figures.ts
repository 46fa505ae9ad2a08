/**
 * The figures that the README shows: chosen from a result, each an SVG file of its own. Here alone parts are known by name.
 *
 * G1 What is shown was measured together: by one name and at one place, of what the part is about and of another contender.
 * G2 Sizes that the figures depend on are in the picture.
 */
import type { BenchFigure, BenchPart } from '../harness/part.js'
import { CHANGE_PERCENT } from '../incremental/plan.js'
import { samplesText } from './report/describe.js'
import { figureFile } from './report/figure-file.js'
import { sideOf } from './report/layout.js'
import type { SuiteResult } from './result.js'

interface ReadmeFigure {
  readonly file: string
  readonly part: string
  readonly title: (part: BenchPart) => string
  readonly yLabel: string
  /** Of the figures that were measured together, as they are to be called, in order. */
  readonly choose: (figures: readonly BenchFigure[]) => readonly BenchFigure[]
}

/** On one value, or one entry of a map. */
const POINT_OPERATIONS = [
  'valueGet',
  'valueUpdate',
  'valueAdd',
  'mapGet',
  'mapContains',
  'mapUpdate',
  'mapAdd',
  'mapRemove',
]
/** They hold all state in memory: no choice for state that is to outgrow it. */
const IN_MEMORY = ['HashMapStateBackend', 'Flink heap']
/** What there is to reach: it is shown, though it is no state backend. */
const PLAIN_MAP = 'Map'

/** Of those whose uploads were measured the last ones: the loads grow. */
const LOADS_MAX = 3

const README_FIGURES: readonly ReadmeFigure[] = [
  {
    file: 'checkpoint-uploads.svg',
    part: 'incremental',
    title: () => 'Uploaded for each byte changed between checkpoints, less is better',
    yLabel: 'times the changed bytes',
    choose: (figures) => {
      const ratios = figures.filter(({ kind, unit }) => kind === 'cost' && unit === 'times')
      const usual = ratios.filter(({ x }) => x === CHANGE_PERCENT)
      const loads = [...new Set(usual.map(({ name }) => name))].slice(-LOADS_MAX)
      return usual
        .filter(({ name }) => loads.includes(name))
        .map((figure) => {
          const load = figure.name.replace(/^[^:]*: /, '')
          return withoutX(figure, `${load}, ${figure.x} % changed`)
        })
    },
  },
  {
    file: 'state-operations.svg',
    part: 'state',
    title: ({ parameters: { keys } }) =>
      `Point operations per second on ${countText(keys)} keys, all within memory; more is better`,
    yLabel: 'operations per second',
    choose: (figures) =>
      POINT_OPERATIONS.flatMap((name) => figures.filter((figure) => figure.name === name))
        .filter(({ contender }) => !IN_MEMORY.includes(contender))
        .map((figure) =>
          figure.contender === PLAIN_MAP
            ? { ...figure, contender: `${PLAIN_MAP} (in memory only)` }
            : figure,
        ),
  },
  {
    file: 'recovery.svg',
    part: 'recovery',
    title: () => 'From a checkpoint to the first read, less is better',
    yLabel: 'time',
    choose: (figures) => {
      const times = figures.filter(({ name }) => /^[^:]+, \d+ to \d+$/.test(name))
      const largest = Math.max(...times.map(({ x }) => x ?? 0))
      return times
        .filter(({ x }) => x === largest)
        .map((figure) => withoutX(figure, `${figure.name}, ${largest} MB`))
    },
  },
]

function countText(count: string | number | boolean | undefined): string {
  return typeof count === 'number' ? count.toLocaleString('en') : 'some'
}

/** Without commas and colons, as the words that names begin with alike would be left out, and no title says them. */
function withoutX({ contender, kind, unit, samples }: BenchFigure, fullName: string): BenchFigure {
  return { name: fullName.replaceAll(/[:,] /g, ' · '), contender, kind, unit, samples }
}

/** G1. */
function measuredTogether({ figures }: BenchPart): readonly BenchFigure[] {
  const about = sideOf(figures[0]?.contender ?? '')
  return figures.filter(({ name, x }) => {
    const group = figures.filter((other) => other.name === name && other.x === x)
    const ours = group.filter(({ contender }) => sideOf(contender) === about)
    return ours.length > 0 && ours.length < group.length
  })
}

/** The files by name. What a result does not have has no figure. */
export function readmeFigures(result: SuiteResult): Map<string, string> {
  const files = new Map<string, string>()
  for (const figure of README_FIGURES) {
    const measured = result.parts.find(({ name }) => name === figure.part)
    if (measured?.status !== 'measured') continue
    const svg = draw(figure, measured.part, result)
    if (svg !== undefined) files.set(figure.file, svg)
  }
  return files
}

function draw(figure: ReadmeFigure, part: BenchPart, result: SuiteResult): string | undefined {
  const chosen = figure.choose(measuredTogether(part))
  const names = [...new Set(chosen.map(({ name }) => name))]
  // What the part is about stays what the figure is about.
  const all = [...part.figures, ...chosen].map(({ contender }) => contender)
  const figures = [...new Set(all)].flatMap((name) =>
    chosen.filter((one) => one.contender === name),
  )
  const title = figure.title(part)
  const { yLabel } = figure
  const chart = { title, kind: 'bars', yLabel, yScale: 'log', names } as const
  return figureFile({ ...part, figures }, chart, {
    title,
    subtitle: `${samplesText(figures)} ${machineText(result)}`,
  })
}

function machineText({ startedAt, machine, versions }: SuiteResult): string {
  const { cpu, cores, node } = machine
  return (
    `${cpu}, ${cores} cores, Node.js ${node}; ` +
    `level-state-backend ${versions.package}, ${startedAt.slice(0, 10)}`
  )
}
