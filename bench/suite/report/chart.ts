/**
 * A chart as SVG, drawn by Observable Plot. Colours are CSS variables (style.ts), so that one picture does for light and dark. Whiskers
 * are the range of the samples.
 */
import type { BenchChart, BenchFigure, BenchPart } from '../../harness/part.js'
import { drawBars } from './bars.js'
import { chartText, samplesText } from './describe.js'
import type { ChartPicture } from './frame.js'
import { unique } from './layout.js'
import { drawLines } from './lines.js'
import { escapeHtml } from './text.js'

export interface DescribedPicture extends ChartPicture {
  /** What it shows, in words. */
  readonly text: string
  /** What its marks stand for. */
  readonly samples: string
}

/** `undefined` where the part has no figure of any of the chart's names. */
export function drawChart(
  part: BenchPart,
  chart: BenchChart,
  width: number,
): DescribedPicture | undefined {
  const contenders = unique(part.figures.map(({ contender }) => contender))
  const rank = ({ contender }: BenchFigure): number => contenders.indexOf(contender)
  const figures = chart.names.flatMap((name) =>
    part.figures.filter((one) => one.name === name).toSorted((a, b) => rank(a) - rank(b)),
  )
  // A name may lack a contender: the series have the order of the part, not that of the first name.
  const order = contenders.filter((name) => figures.some(({ contender }) => contender === name))
  const [about] = contenders
  if (about === undefined || figures.length === 0) return undefined
  // Lines through one place would be dots above one another.
  const places = new Set(figures.map(({ x }) => x))
  const kind = places.size > 1 ? chart.kind : 'bars'
  const draw = kind === 'bars' ? drawBars : drawLines
  const picture = draw(figures, { ...chart, kind }, { about, order }, width)
  const text = chartText(figures, { ...chart, kind }, about)
  const label = `role="img" aria-label="${escapeHtml(text)}"`
  const svg = picture.svg.replace(/<style>.*?<\/style>/s, '').replace('<svg', `<svg ${label}`)
  return { ...picture, svg, text, samples: samplesText(figures) }
}
