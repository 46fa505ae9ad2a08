/** A chart as an SVG file of its own, with its title and its colours in it: what the README shows, light or dark. */
import type { BenchChart, BenchPart } from '../../harness/part.js'
import { drawChart } from './chart.js'
import { colours } from './style.js'
import { escapeHtml } from './text.js'

export interface FigureText {
  readonly title: string
  /** Below the title, smaller. */
  readonly subtitle: string
}

const WIDTH = 880
const HEAD_HEIGHT = 56
const EDGE = 12

/** `undefined` where the part has no figure of any of the chart's names. */
export function figureFile(
  part: BenchPart,
  chart: BenchChart,
  { title, subtitle }: FigureText,
): string | undefined {
  const picture = drawChart(part, chart, WIDTH - 2 * EDGE)
  if (picture === undefined) return undefined
  const height = picture.height + HEAD_HEIGHT + EDGE
  const inner = picture.svg.replace('<svg', `<svg x="${EDGE}" y="${HEAD_HEIGHT}"`)
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" role="img" font-family="system-ui, sans-serif">
<title>${escapeHtml(title)}</title>
<desc>${escapeHtml(picture.text)}</desc>
<style>${colours('svg')}
svg { color: var(--muted); } .ground { fill: var(--ground); } .title { fill: var(--ink); font-size: 17px; font-weight: 600; }
.subtitle { fill: var(--muted); font-size: 12px; }</style>
<rect class="ground" width="${WIDTH}" height="${height}" rx="6"/>
<text class="title" x="${EDGE}" y="26">${escapeHtml(title)}</text>
<text class="subtitle" x="${EDGE}" y="45">${escapeHtml(subtitle)}</text>
${inner}
</svg>
`
}
