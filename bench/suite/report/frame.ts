/** What bars and lines share: a page to draw on, panels side by side, the scale of the values. */
import * as Plot from '@observablehq/plot'
import { parseHTML } from 'linkedom'
import type { BenchChart } from '../../harness/part.js'
import type { Layout, Mark } from './layout.js'
import { tickText } from './text.js'

export interface ChartPicture {
  /** `<svg>` without a name space and without colours. */
  readonly svg: string
  readonly width: number
  readonly height: number
}

export const PANEL_GAP_Y = 44
export const AXIS_HEIGHT = 44
const TICKS = 6
/** On average, of the labels: there is no font to measure. */
export const CHARACTER_WIDTH = 7.2

export interface Margins {
  readonly marginTop: number
  readonly marginLeft: number
  readonly marginRight: number
}

export function frame(width: number, height: number, margins: Margins): Plot.PlotOptions {
  const page = parseHTML('<!doctype html><html><body></body></html>') as { document: object }
  const options = {
    document: page.document,
    // Plot's own choice is a name by chance: each report would be another file.
    className: 'chart',
    // As text it would be assigned to the element's style, which linkedom does not take.
    style: { fontSize: '12px' },
    color: { type: 'identity' },
    width,
    height,
    marginBottom: AXIS_HEIGHT,
    ...margins,
  }
  // The types of Plot's page are those of a browser, which this program has not.
  return options as Plot.PlotOptions
}

/** Panels side by side and below one another, with gaps in pixels. */
export function panelGrid(
  { columns, rows }: Layout,
  width: number,
  gapX: number,
  panelHeight: number,
): Pick<Plot.PlotOptions, 'fx' | 'fy'> {
  // With one band d3 takes the inner padding off it.
  const panelWidth = (width - (columns - 1) * gapX) / columns
  return {
    fx: {
      axis: null,
      domain: indexes(columns),
      paddingOuter: 0,
      paddingInner: columns === 1 ? 0 : gapX / (panelWidth + gapX),
    },
    fy: {
      axis: null,
      domain: indexes(rows),
      paddingOuter: 0,
      paddingInner: rows === 1 ? 0 : PANEL_GAP_Y / (panelHeight + PANEL_GAP_Y),
    },
  }
}

export function valueScale(
  chart: BenchChart,
  domain: readonly [number, number],
  unit: string,
  columns: number,
): Plot.ScaleOptions {
  // Where all is zero there is no logarithm.
  const log = chart.yScale === 'log' && domain[0] > 0
  return {
    type: log ? 'log' : 'linear',
    domain: [...domain],
    label: valueLabel(chart),
    labelAnchor: 'center',
    labelArrow: 'none',
    grid: true,
    ticks: log ? logTicks(domain) : Math.max(3, Math.floor(TICKS / columns)),
    tickFormat: (value: number) => tickText(value, unit),
    clamp: true,
  }
}

export function valueLabel({ yLabel, yScale }: BenchChart): string {
  return yScale === 'log' ? `${yLabel} (log scale)` : yLabel
}

/** From zero, or on a log scale from a round number below the least. Bars leave room at the foot, and lines at the head. */
export function domainOf(
  marks: readonly Mark[],
  { kind, yScale }: BenchChart,
): readonly [number, number] {
  const bars = kind === 'bars'
  const most = Math.max(...marks.map(({ max }) => max)) * (bars ? 1 : HEAD_ROOM)
  const positive = marks.map(({ min }) => min).filter((value) => value > 0)
  if (yScale === 'linear' || positive.length === 0) return [0, most > 0 ? most : 1]
  // On a log scale a bar of no length would say nothing.
  const bound = Math.min(...positive) / (bars ? FOOT_ROOM : 1)
  const power = 10 ** Math.floor(Math.log10(bound))
  if (most / power >= 10 ** DECADES_ROUND) return [power, most]
  const least = power * (STEPS.findLast((step) => step * power <= bound) ?? 1)
  return [least, bars ? most : roundAbove(most)]
}

const HEAD_ROOM = 1.15
const FOOT_ROOM = 1.5
/** With fewer decades there are round numbers between the powers of ten. */
const DECADES_ROUND = 2
const STEPS = [1, 2, 5]

function roundAbove(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value))
  return power * ([...STEPS, 10].find((step) => step * power >= value) ?? 10)
}

/** Of a domain above zero. */
function logTicks([least, most]: readonly [number, number]): number[] {
  const steps = most / least >= 10 ** DECADES_ROUND ? [1] : STEPS
  const ticks: number[] = []
  for (let power = 10 ** Math.floor(Math.log10(least)); power <= most; power *= 10) {
    ticks.push(...steps.map((step) => step * power))
  }
  return ticks.filter((tick) => tick >= least && tick <= most)
}

export function panelTitles({ panels, columns }: Layout): Plot.Markish {
  const titles = panels.map((panel, index) => ({
    panel,
    column: index % columns,
    row: Math.floor(index / columns),
  }))
  return Plot.text(titles, {
    fx: 'column',
    fy: 'row',
    text: 'panel',
    frameAnchor: 'top-left',
    lineAnchor: 'bottom',
    dy: -5,
    fontWeight: 600,
    fill: 'var(--ink)',
  })
}

function indexes(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index)
}
