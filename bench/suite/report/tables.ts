/** The figures of a part as an HTML table: a row for each name and x, a column for each contender. Pure functions. */
import type { BenchFigure, BenchPart } from '../../harness/part.js'
import { medianOf } from '../../harness/statistics.js'
import { escapeHtml, plainText, rangeText, valueText } from './text.js'

interface TableRow {
  readonly name: string
  readonly x: number | undefined
  readonly figures: ReadonlyMap<string, BenchFigure>
}

/** Every figure of the part is in it, with its range and the number of its samples; the best of a row is in bold type. */
export function figuresTable(part: BenchPart): string {
  const contenders = [...new Set(part.figures.map(({ contender }) => contender))]
  const withX = part.figures.some(({ x }) => x !== undefined)
  const head = ['Figure', ...(withX ? ['at'] : []), ...contenders]
  const body = rowsOf(part.figures).map((row) => {
    const best = bestOf([...row.figures.values()])
    const x = row.x === undefined ? '' : plainText(row.x)
    const cells = contenders.map((contender) => cell(row.figures.get(contender), best))
    const name = `<th scope="row">${escapeHtml(row.name)}</th>`
    return `<tr>${name}${withX ? `<td>${x}</td>` : ''}${cells.join('')}</tr>`
  })
  const headers = head.map((text) => `<th scope="col">${escapeHtml(text)}</th>`)
  const caption = `${part.title}: medians, ranges and the number of samples; the best of a row in bold type`
  const table = `<caption>${escapeHtml(caption)}</caption><thead><tr>${headers.join('')}</tr></thead>
<tbody>${body.join('\n')}</tbody>`
  return wide(`All figures: ${part.title}`, `<table>${table}</table>`)
}

/** What scrolls sideways: by the keyboard as well, and with a name. */
export function wide(name: string, html: string): string {
  return `<div class="wide" role="region" tabindex="0" aria-label="${escapeHtml(name)}">${html}</div>`
}

function rowsOf(figures: readonly BenchFigure[]): TableRow[] {
  const rows = new Map<string, TableRow & { readonly figures: Map<string, BenchFigure> }>()
  for (const figure of figures) {
    const { name, x, contender } = figure
    const key = JSON.stringify([name, x])
    const row = rows.get(key) ?? { name, x, figures: new Map<string, BenchFigure>() }
    rows.set(key, row)
    row.figures.set(contender, figure)
  }
  return [...rows.values()]
}

/** Of several; one alone is no best. */
function bestOf(figures: readonly BenchFigure[]): number | undefined {
  const [first] = figures
  if (first === undefined || figures.length === 1) return undefined
  const medians = figures.map(({ samples }) => medianOf(samples))
  const higherIsBetter = first.kind === 'throughput' || first.kind === 'gain'
  return higherIsBetter ? Math.max(...medians) : Math.min(...medians)
}

function cell(figure: BenchFigure | undefined, best: number | undefined): string {
  if (figure === undefined) return '<td class="none">–</td>'
  const { samples, unit } = figure
  const median = medianOf(samples)
  const value = escapeHtml(valueText(median, unit))
  const range = rangeText(samples, unit)
  const told = range === '' ? 'one sample' : `${range}, ${samples.length}×`
  const text = median === best ? `<strong>${value}</strong>` : value
  return `<td>${text}<small>${escapeHtml(told)}</small></td>`
}
