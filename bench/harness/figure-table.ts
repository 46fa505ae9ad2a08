/** Figures as a table for a terminal: a row for each name and x, a column for each contender. */
import { Table } from 'console-table-printer'
import type { BenchFigure } from './part.js'
import { spreadOf } from './statistics.js'

/** `xLabel` heads the second column: what `x` of the figures is. */
export function figureTable(figures: readonly BenchFigure[], xLabel: string): string {
  const contenders = [...new Set(figures.map(({ contender }) => contender))]
  const table = new Table({
    shouldDisableColors: true,
    columns: [
      { name: 'figure', alignment: 'left' },
      { name: xLabel, alignment: 'right' },
      ...contenders.map((name) => ({ name, alignment: 'right' as const })),
    ],
  })
  const rows = new Map<string, Record<string, string>>()
  for (const figure of figures) {
    const { name, x = '', unit, contender } = figure
    const label = `${name}, ${unit}`
    const id = `${label}/${x}`
    const row = rows.get(id) ?? { figure: label, [xLabel]: x.toLocaleString('en') }
    rows.set(id, { ...row, [contender]: spreadText(figure) })
  }
  for (const row of rows.values()) table.addRow(row)
  return table.render()
}

/** The median, and the range where there is one. */
function spreadText({ samples }: BenchFigure): string {
  const { min, median, max } = spreadOf(samples)
  if (samples.length === 1) return numberText(median)
  return `${numberText(median)} (${numberText(min)} to ${numberText(max)})`
}

/** Three digits that count. */
function numberText(value: number): string {
  const digits = Math.abs(value) >= 100 ? 0 : 3
  return digits === 0
    ? Math.round(value).toLocaleString('en')
    : Number(value.toPrecision(digits)).toLocaleString('en', { maximumFractionDigits: 4 })
}
