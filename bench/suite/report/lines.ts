/** Lines over x: told apart by colour and by symbol, with a legend. A symbol of one sample is hollow. */
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
  valueLabel,
  valueScale,
  type ChartPicture,
} from './frame.js'
import { linesLayout, unique, type Contenders, type Mark } from './layout.js'
import { SERIES_COLOURS } from './style.js'
import { plainText } from './text.js'

const MARGIN_LEFT = 64
const PANEL_HEIGHT = 240
const PANEL_GAP_X = 72
/** More places on the x axis are not each named. */
const X_TICKS_MAX = 10
const LEGEND_ROW_HEIGHT = 20
const SYMBOLS = ['circle', 'square', 'triangle', 'diamond', 'star', 'wye', 'cross'] as const

export function drawLines(
  figures: readonly BenchFigure[],
  chart: BenchChart,
  contenders: Contenders,
  width: number,
): ChartPicture {
  const layout = linesLayout(figures, contenders, width)
  const { panels, rows, series, marks, unit } = layout
  const titled = panels.length > 1
  const legend = legendRows(series, width)
  const marginTop = (legend.length + 1) * LEGEND_ROW_HEIGHT + (titled ? 34 : 14)
  const margins = { marginTop, marginLeft: MARGIN_LEFT, marginRight: 24 }
  const height = marginTop + rows * PANEL_HEIGHT + (rows - 1) * PANEL_GAP_Y + AXIS_HEIGHT
  const facet = { fx: 'column', fy: 'row' } as const
  const xs = unique(marks.map(({ x }) => x)).toSorted((a, b) => a - b)
  const colour = ({ series: name }: Mark): string => seriesColour(series.indexOf(name))
  const plot = Plot.plot({
    ...frame(width, height, margins),
    ...panelGrid(
      layout,
      width - margins.marginLeft - margins.marginRight,
      PANEL_GAP_X,
      PANEL_HEIGHT,
    ),
    x: {
      type: xs.every((x) => x > 0) ? (chart.xScale ?? 'linear') : 'linear',
      label: chart.xLabel ?? null,
      labelAnchor: 'center',
      labelArrow: 'none',
      ticks: xs.length > X_TICKS_MAX ? X_TICKS_MAX : xs,
      tickFormat: plainText,
      inset: 12,
    },
    y: { ...valueScale(chart, domainOf(marks, chart), unit, 1), label: null },
    marks: [
      Plot.line(marks, {
        ...facet,
        x: 'x',
        y: 'value',
        z: 'series',
        stroke: colour,
        strokeWidth: 2,
      }),
      Plot.ruleX(
        marks.filter(({ min, max }) => min < max),
        { ...facet, x: 'x', y1: 'min', y2: 'max', stroke: colour, strokeWidth: 1.5 },
      ),
      ...series.map((name, index) =>
        Plot.dot(
          marks.filter((mark) => mark.series === name),
          {
            ...facet,
            x: 'x',
            y: 'value',
            r: xs.length > X_TICKS_MAX ? 2 : 4,
            symbol: symbolOf(index),
            fill: ({ once }: Mark) => (once ? 'var(--ground)' : seriesColour(index)),
            stroke: seriesColour(index),
            title: 'title',
          },
        ),
      ),
      ...(titled ? [panelTitles(layout)] : []),
      ...legendMarks(legend, series, marginTop),
      Plot.text([valueLabel(chart)], {
        frameAnchor: 'top-left',
        facet: 'super',
        lineAnchor: 'middle',
        dx: -MARGIN_LEFT,
        dy: (legend.length + 0.5) * LEGEND_ROW_HEIGHT + 4 - marginTop,
        fill: 'var(--muted)',
      }),
    ],
  }) as { outerHTML: string }
  return { svg: plot.outerHTML, width, height }
}

interface LegendItem {
  readonly index: number
  readonly left: number
}

function legendRows(series: readonly string[], width: number): LegendItem[][] {
  const rows: LegendItem[][] = [[]]
  let left = 0
  for (const [index, name] of series.entries()) {
    const itemWidth = name.length * CHARACTER_WIDTH + 34
    if (left > 0 && left + itemWidth > width - 100) {
      rows.push([])
      left = 0
    }
    rows.at(-1)?.push({ index, left })
    left += itemWidth
  }
  return rows
}

function legendMarks(
  rows: readonly LegendItem[][],
  series: readonly string[],
  marginTop: number,
): Plot.Markish[] {
  return rows.flatMap((row, rowIndex) =>
    row.flatMap(({ index, left }) => {
      const dy = rowIndex * LEGEND_ROW_HEIGHT + 10 - marginTop
      const place = { frameAnchor: 'top-left', facet: 'super', dy } as const
      const fill = seriesColour(index)
      return [
        Plot.dot([0], {
          ...place,
          dx: left + 6 - MARGIN_LEFT,
          r: 5,
          symbol: symbolOf(index),
          fill,
        }),
        Plot.text([series[index]], {
          ...place,
          dx: left + 16 - MARGIN_LEFT,
          lineAnchor: 'middle',
          textAnchor: 'start',
          fill: 'var(--ink)',
        }),
      ]
    }),
  )
}

function seriesColour(index: number): string {
  return `var(--series-${index % SERIES_COLOURS})`
}

function symbolOf(index: number): (typeof SYMBOLS)[number] {
  return SYMBOLS[index % SYMBOLS.length] ?? 'circle'
}
