/** Where the figures of a chart go: panels in rows and columns, a series for each row or line. Pure functions. */
import type { BenchFigure } from '../../harness/part.js'
import { spreadOf } from '../../harness/statistics.js'
import { plainText, rangeText, valueText } from './text.js'

/** One median with its range, where it is drawn. */
export interface Mark {
  readonly panel: string
  readonly column: number
  readonly row: number
  readonly series: string
  /** Whether it is of what the part is about. */
  readonly about: boolean
  readonly x: number
  readonly value: number
  readonly min: number
  readonly max: number
  /** Whether it is of one sample: no median, and without a range. */
  readonly once: boolean
  readonly label: string
  readonly title: string
}

/** Of the part that a chart is of. */
export interface Contenders {
  /** The one that the part is about. */
  readonly about: string
  /** Those of the chart, in the order of the part. */
  readonly order: readonly string[]
}

export interface Layout {
  readonly panels: readonly string[]
  readonly columns: number
  readonly rows: number
  readonly series: readonly string[]
  readonly marks: readonly Mark[]
  readonly unit: string
}

const PANEL_WIDTH_MIN = 300
/** Of the title of a panel, in bold type. */
const TITLE_CHARACTER_WIDTH = 7.6

/** Where there is one contender only, its names are the rows of one panel. */
export function barsLayout(
  figures: readonly BenchFigure[],
  contenders: Contenders,
  width: number,
): Layout {
  const names = shortNames(figures.map(nameAt))
  const nameOf = (figure: BenchFigure): string => names.get(nameAt(figure)) ?? ''
  const alone = contenders.order.length === 1
  const panelOf = (figure: BenchFigure): string => (alone ? '' : nameOf(figure))
  const panels = unique(figures.map(panelOf))
  const panelWidth = Math.max(PANEL_WIDTH_MIN, longest(panels) * TITLE_CHARACTER_WIDTH)
  const columns = Math.max(1, Math.min(panels.length, Math.floor(width / panelWidth)))
  const seriesOf = (figure: BenchFigure): string => (alone ? nameOf(figure) : figure.contender)
  return layoutOf(figures, { contenders, panels, columns, panelOf, seriesOf })
}

/** Names and contenders both make lines; where there are several of both, each name has a panel. */
export function linesLayout(
  figures: readonly BenchFigure[],
  contenders: Contenders,
  width: number,
): Layout {
  const names = shortNames(figures.map(({ name }) => name))
  const nameOf = ({ name }: BenchFigure): string => names.get(name) ?? ''
  const several = names.size > 1
  const alone = contenders.order.length === 1
  const panelOf = (figure: BenchFigure): string => (several && !alone ? nameOf(figure) : '')
  const panels = unique(figures.map(panelOf))
  const panelWidth = Math.max(PANEL_WIDTH_MIN, longest(panels) * TITLE_CHARACTER_WIDTH)
  const columns = Math.max(1, Math.min(panels.length, Math.floor(width / panelWidth)))
  const seriesOf = (figure: BenchFigure): string =>
    several && alone ? nameOf(figure) : figure.contender
  return layoutOf(figures, { contenders, panels, columns, panelOf, seriesOf })
}

/** Without the words that all begin with, as far as a colon or a comma: the title of the chart says those. */
export function shortNames(names: readonly string[]): ReadonlyMap<string, string> {
  const split = new Map(unique(names).map((name) => [name, name.split(/(?<=[:,] )/)]))
  const all = [...split.values()]
  let common = 0
  const shortest = Math.min(...all.map((words) => words.length)) - 1
  while (common < shortest && all.every((words) => words[common] === all[0]?.[common])) common++
  if (split.size === 1) common = 0
  return new Map([...split].map(([name, words]) => [name, words.slice(common).join('')]))
}

function layoutOf(
  figures: readonly BenchFigure[],
  how: {
    readonly contenders: Contenders
    readonly panels: readonly string[]
    readonly columns: number
    readonly panelOf: (figure: BenchFigure) => string
    readonly seriesOf: (figure: BenchFigure) => string
  },
): Layout {
  const { contenders, panels, columns, panelOf, seriesOf } = how
  const { about, order } = contenders
  const marks = figures.map((figure): Mark => {
    const panel = panelOf(figure)
    const index = panels.indexOf(panel)
    const { median, min, max } = spreadOf(figure.samples)
    const label = valueText(median, figure.unit)
    const range = rangeText(figure.samples, figure.unit)
    const once = figure.samples.length === 1
    const told = once ? 'one sample' : `${range}, ${figure.samples.length} samples`
    return {
      panel,
      column: index % columns,
      row: Math.floor(index / columns),
      series: seriesOf(figure),
      about: sideOf(figure.contender) === sideOf(about),
      x: figure.x ?? 0,
      value: median,
      min,
      max,
      once,
      label,
      title: `${nameAt(figure)}, ${figure.contender}: ${label} (${told})`,
    }
  })
  return {
    panels,
    columns,
    rows: Math.ceil(panels.length / columns),
    // Contenders, in their order, or else names.
    series: unique([...order, ...marks.map(({ series }) => series)]).filter((name) =>
      marks.some(({ series }) => series === name),
    ),
    marks,
    unit: figures[0]?.unit ?? '',
  }
}

/** The rows of panels in which there is no figure. */
export function missingOf({
  panels,
  columns,
  series,
  marks,
}: Layout): Pick<Mark, 'column' | 'row' | 'series'>[] {
  return panels.flatMap((panel, index) =>
    series
      .filter((name) => !marks.some((mark) => mark.panel === panel && mark.series === name))
      .map((name) => ({
        column: index % columns,
        row: Math.floor(index / columns),
        series: name,
      })),
  )
}

/** `A, one way` and `A, another way` are one side. */
export function sideOf(contender: string): string {
  return contender.split(', ')[0] ?? contender
}

export function nameAt({ name, x }: BenchFigure): string {
  return x === undefined ? name : `${name}, ${plainText(x)}`
}

export function unique<T>(values: readonly T[]): T[] {
  return [...new Set(values)]
}

export function longest(texts: readonly string[]): number {
  return Math.max(...texts.map((text) => text.length))
}
