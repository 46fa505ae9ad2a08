/** Charts in words: how many samples their marks stand for, and what they show, for who does not see them. Pure functions. */
import type { BenchChart, BenchFigure, BenchPart } from '../../harness/part.js'
import { spreadOf } from '../../harness/statistics.js'
import { valueLabel } from './frame.js'
import { nameAt, sideOf, unique } from './layout.js'
import { plainText, valueText } from './text.js'

/** More contenders beside the one that the part is about are told by the least and the most of them. */
const OTHERS_TOLD_MAX = 2

/** What the marks of a chart with these figures are. */
export function samplesText(figures: readonly BenchFigure[]): string {
  const { min, max } = spreadOf(figures.map(({ samples }) => samples.length))
  if (max === 1) return 'One sample each: no range is known.'
  const counts = min === 1 || min === max ? max : `${min} to ${max}`
  const medians = `${min === 1 ? 'Medians of up to' : 'Medians of'} ${counts} samples, range as a thin line`
  return min === 1 ? `${medians}; hollow: one sample.` : `${medians}.`
}

/**
 * How often a part measured, from the number of its samples and from its parameter `rounds`, which has one meaning in all parts: each
 * contender is measured anew, in another order.
 */
export function roundsText({ figures, parameters }: BenchPart): string {
  if (figures.length === 0) return 'Nothing was measured.'
  const rounds = typeof parameters['rounds'] === 'number' ? parameters['rounds'] : 1
  const { min, max } = spreadOf(figures.map(({ samples }) => samples.length))
  const counts = min === max ? String(min) : `${min} to ${max}`
  return [
    `${counts} ${max === 1 ? 'sample' : 'samples'} a figure.`,
    rounds === 1
      ? 'Each contender had one turn at each load: what comes of their order is not evened out.'
      : `${rounds} rounds, each of which began with another contender.`,
    ...(max > rounds
      ? [
          'Samples of one turn are of one process: processes may differ by more than the ranges show.',
        ]
      : []),
  ].join(' ')
}

/** The figures are those of the chart, in its order; `about` is the contender that the part is about. */
export function chartText(
  figures: readonly BenchFigure[],
  chart: BenchChart,
  about: string,
): string {
  const over = chart.kind === 'lines' && chart.xLabel !== undefined ? ` over ${chart.xLabel}` : ''
  const lines = chart.kind === 'lines' ? linesText(figures) : barsText(figures, about)
  return `${chart.title}. ${chart.kind === 'lines' ? 'Lines' : 'Bars'}, ${valueLabel(chart)}${over}. ${lines.join('; ')}.`
}

function barsText(figures: readonly BenchFigure[], about: string): string[] {
  return unique(figures.map(nameAt)).map((name) => {
    const group = figures.filter((figure) => nameAt(figure) === name)
    const isAbout = ({ contender }: BenchFigure): boolean => sideOf(contender) === sideOf(about)
    const others = group.filter((figure) => !isAbout(figure))
    const few = others.length <= OTHERS_TOLD_MAX
    const told = few ? group : group.filter(isAbout)
    const texts = told.map((figure) => `${figure.contender} ${medianText(figure)}`)
    return `${name}: ${[...texts, ...(few ? [] : [rangeOf(others)])].join(', ')}`
  })
}

function rangeOf(others: readonly BenchFigure[]): string {
  const sorted = others.toSorted((a, b) => spreadOf(a.samples).median - spreadOf(b.samples).median)
  const told = [sorted[0], sorted.at(-1)].flatMap((figure) =>
    figure === undefined ? [] : `${medianText(figure)} (${figure.contender})`,
  )
  return `${others.length} others from ${told.join(' to ')}`
}

function linesText(figures: readonly BenchFigure[]): string[] {
  const lineOf = ({ name, contender }: BenchFigure): string => `${name}, ${contender}`
  return unique(figures.map(lineOf)).map((line) => {
    const points = figures
      .filter((figure) => lineOf(figure) === line)
      .toSorted((a, b) => (a.x ?? 0) - (b.x ?? 0))
    const ends = points.length === 1 ? points : [points[0], points.at(-1)]
    const texts = ends.flatMap((figure) =>
      figure === undefined ? [] : `${medianText(figure)} at ${plainText(figure.x ?? 0)}`,
    )
    return `${line}: ${texts.join(', ')}`
  })
}

function medianText({ samples, unit }: BenchFigure): string {
  return valueText(spreadOf(samples).median, unit)
}
