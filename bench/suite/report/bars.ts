/**
 * Bars: a panel for each name and a row for each contender, labelled where they are, so that no colour has to be told from another; the
 * contender that the part is about is set off, and a bar of one sample is hollow.
 */
import * as Plot from '@observablehq/plot'
import type { BenchChart, BenchFigure } from '../../harness/part.js'
import {
  AXIS_HEIGHT,
  CHARACTER_WIDTH,
  domainOf,
  frame,
  panelGrid,
  PANEL_GAP_Y,
  panelTitles,
  valueScale,
  type ChartPicture,
} from './frame.js'
import { barsLayout, longest, missingOf, type Contenders, type Mark } from './layout.js'

const ROW_HEIGHT = 20
/** Room for the text behind the longest bar. */
const BAR_TEXT_WIDTH = 78
const LABEL_WIDTH_MAX = 280

function colourOf({ about }: Mark): string {
  return about ? 'var(--ours)' : 'var(--peer)'
}

export function drawBars(
  figures: readonly BenchFigure[],
  chart: BenchChart,
  contenders: Contenders,
  width: number,
): ChartPicture {
  const layout = barsLayout(figures, contenders, width - BAR_TEXT_WIDTH - LABEL_WIDTH_MAX / 2)
  const { panels, columns, rows, series, marks, unit } = layout
  const labelWidth = Math.min(LABEL_WIDTH_MAX, longest(series) * CHARACTER_WIDTH + 12)
  const panelHeight = series.length * ROW_HEIGHT
  // One name alone is said where the title of the chart does not say it.
  const titled = panels.some((panel) => !chart.title.includes(panel))
  const marginTop = titled ? 26 : 8
  const height = marginTop + rows * panelHeight + (rows - 1) * PANEL_GAP_Y + AXIS_HEIGHT
  const domain = domainOf(marks, chart)
  const facet = { fx: 'column', fy: 'row' } as const
  const bar = { ...facet, y: 'series', x1: domain[0], x2: 'value', title: 'title' } as const
  const plot = Plot.plot({
    ...frame(width, height, { marginTop, marginLeft: labelWidth, marginRight: BAR_TEXT_WIDTH }),
    ...panelGrid(layout, width - labelWidth - BAR_TEXT_WIDTH, BAR_TEXT_WIDTH, panelHeight),
    x: { ...valueScale(chart, domain, unit, columns), insetLeft: 0 },
    y: { domain: series, label: null, tickSize: 0, padding: 0.25 },
    marks: [
      Plot.axisY({ tickSize: 0, fill: 'var(--ink)', label: null }),
      Plot.barX(
        marks.filter(({ once }) => !once),
        { ...bar, fill: colourOf },
      ),
      Plot.barX(
        marks.filter(({ once }) => once),
        { ...bar, fill: 'var(--ground)', stroke: colourOf, strokeWidth: 1.5, inset: 1 },
      ),
      Plot.ruleY(
        marks.filter(({ min, max }) => min < max),
        { ...facet, y: 'series', x1: 'min', x2: 'max', stroke: 'var(--ink)', strokeWidth: 1.5 },
      ),
      Plot.text(marks, {
        ...facet,
        y: 'series',
        x: 'max',
        text: 'label',
        dx: 5,
        textAnchor: 'start',
        fill: 'var(--ink)',
      }),
      // An empty row would read as a bar of no length.
      Plot.text(missingOf(layout), {
        ...facet,
        y: 'series',
        x: domain[0],
        text: () => 'not measured',
        dx: 5,
        textAnchor: 'start',
        fill: 'var(--muted)',
      }),
      ...(titled ? [panelTitles(layout)] : []),
    ],
  }) as { outerHTML: string }
  return { svg: plot.outerHTML, width, height }
}
