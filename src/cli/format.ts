/** Numbers, times and tables for people. */

export function mebibytes(bytes: number): string {
  return (bytes / 2 ** 20).toFixed(1)
}

/** '1 object', '2,000 objects'. */
export function counted(count: number, noun: string): string {
  return `${count.toLocaleString('en')} ${noun}${count === 1 ? '' : 's'}`
}

/** The Swedish write times as ISO 8601 does, with a blank for its T. */
const timeFormat = new Intl.DateTimeFormat('sv-SE', {
  dateStyle: 'short',
  timeStyle: 'medium',
  timeZone: 'UTC',
})
/** Milliseconds before and after 1970 that a time of ECMAScript can have. */
const timeMaxMs = 8.64e15

export function utcTime(timestampMs: number): string {
  return Math.abs(timestampMs) <= timeMaxMs ? timeFormat.format(timestampMs) : String(timestampMs)
}

export interface Column {
  readonly title: string
  readonly align: 'left' | 'right'
}

/** Rows of cells under their titles, two blanks between columns, without blanks at the ends of lines. */
export function table(
  columns: readonly Column[],
  rows: readonly (readonly (string | number)[])[],
): string {
  const lines = [columns.map(({ title }) => title), ...rows.map((row) => row.map(printable))]
  const widths = columns.map((_, at) =>
    lines.reduce((width, cells) => Math.max(width, cells[at]?.length ?? 0), 0),
  )
  const align = (cell: string, at: number): string =>
    columns[at]?.align === 'right' ? cell.padStart(widths[at] ?? 0) : cell.padEnd(widths[at] ?? 0)
  return lines.map((cells) => `${cells.map(align).join('  ').trimEnd()}\n`).join('')
}

/** What names in storage may have in them and a terminal would obey. */
// eslint-disable-next-line no-control-regex -- control characters are what it looks for
const control = /[\u0000-\u001f\u007f-\u009f]/g

export function printable(text: string | number): string {
  return String(text).replaceAll(control, '?')
}
