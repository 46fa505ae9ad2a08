/** The figures that the README shows: chosen from a result, each an SVG file of its own. Here alone parts are known by name. */
import type { BenchFigure, BenchPart } from '../harness/part.js'
import { figureFile } from './report/figure-file.js'
import type { SuiteResult } from './result.js'

interface ReadmeFigure {
  readonly file: string
  readonly part: string
  readonly title: string
  readonly yLabel: string
  readonly yScale: 'linear' | 'log'
  /** Its figures, as they are to be called, in order. */
  readonly choose: (figures: readonly BenchFigure[]) => readonly BenchFigure[]
}

const OPERATIONS = ['valueGet', 'valueUpdate', 'listAppend', 'mapGet', 'mapUpdate', 'mapEntries']
/** They hold all state in memory: no choice for state that is to outgrow it. */
const IN_MEMORY = ['HashMapStateBackend', 'Map', 'Flink heap']

const README_FIGURES: readonly ReadmeFigure[] = [
  {
    file: 'checkpoint-uploads.svg',
    part: 'incremental',
    title: 'Uploaded for each byte changed: 1 % of 200 MB between checkpoints, less is better',
    yLabel: 'times the changed bytes, over all checkpoints',
    yScale: 'log',
    choose: (figures) => at(1, startingWith('uploaded / changed by change: 200 MB, ', figures)),
  },
  {
    file: 'state-operations.svg',
    part: 'state',
    title: 'State operations per second, more is better',
    yLabel: 'operations per second',
    yScale: 'log',
    choose: (figures) =>
      OPERATIONS.flatMap((name) => figures.filter((figure) => figure.name === name)).filter(
        ({ contender }) => !IN_MEMORY.includes(contender),
      ),
  },
  {
    file: 'recovery.svg',
    part: 'recovery',
    title: 'From a checkpoint to the first read, less is better',
    yLabel: 'time',
    yScale: 'log',
    choose: (figures) => {
      const times = figures.filter(({ name }) => /^[^:]+, \d+ to \d+$/.test(name))
      const largest = Math.max(...times.map(({ x }) => x ?? 0))
      return at(largest, times).map((figure) => ({
        ...figure,
        name: `${figure.name}: ${largest} MB`,
      }))
    },
  },
]

function startingWith(start: string, figures: readonly BenchFigure[]): BenchFigure[] {
  return figures.filter(({ name }) => name.startsWith(start))
}

/** Those at one place of the x axis, without it. */
function at(place: number, figures: readonly BenchFigure[]): BenchFigure[] {
  return figures
    .filter(({ x }) => x === place)
    .map(({ name, contender, kind, unit, samples }) => ({ name, contender, kind, unit, samples }))
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
  const chosen = figure.choose(part.figures)
  const names = [...new Set(chosen.map(({ name }) => name))]
  // What the part is about stays what the figure is about.
  const contenders = [...new Set(part.figures.map(({ contender }) => contender))]
  const figures = contenders.flatMap((name) => chosen.filter((one) => one.contender === name))
  const { title, yLabel, yScale } = figure
  const chart = { title, kind: 'bars', yLabel, yScale, names } as const
  return figureFile({ ...part, figures }, chart, { title, subtitle: subtitleOf(result) })
}

function subtitleOf({ startedAt, machine, versions }: SuiteResult): string {
  const { cpu, cores, node } = machine
  return (
    `Median, and range as a thin line. ${cpu}, ${cores} cores, Node.js ${node}; ` +
    `level-state-backend ${versions.package}, ${startedAt.slice(0, 10)}`
  )
}
