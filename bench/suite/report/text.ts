/** Numbers as the report says them: three digits that count, and a unit. Pure functions. */
import { spreadOf, type Spread } from '../../harness/statistics.js'

const DIGITS = 3
const PREFIXES = ['', 'k', 'M', 'G', 'T'] as const
/** From here on seconds read better. */
const SECOND_MS = 1000

/** `1.23 M/s`, `45.6 MB`, `7.89 ms`, `1.17 ×`; another unit as it is. */
export function valueText(value: number, unit: string): string {
  if (unit === 'bytes') return `${prefixed(value)}B`
  if (unit === 'ops/s') return `${prefixed(value).trimEnd()}/s`
  if (unit === 'times') return `${rounded(value)} ×`
  if (unit === 'ms') {
    return Math.abs(value) < SECOND_MS ? `${rounded(value)} ms` : `${rounded(value / SECOND_MS)} s`
  }
  return `${prefixed(value).trimEnd()} ${unit}`
}

/** The same, shorter, for the ends of a range and the ticks of an axis. */
export function tickText(value: number, unit: string): string {
  return valueText(value, unit).replace('/s', '')
}

/** The least and the most; nothing where there is one sample. */
export function rangeText(samples: readonly number[], unit: string): string {
  if (samples.length === 1) return ''
  const { min, max } = spreadOf(samples)
  return `${tickText(min, unit)} to ${tickText(max, unit)}`
}

/** `1.23 M/s (1.1 M to 1.3 M)`: the median, and the range where there is one. */
export function spreadText({ min, median, max }: Spread, unit: string): string {
  const text = valueText(median, unit)
  return min === max ? text : `${text} (${tickText(min, unit)} to ${tickText(max, unit)})`
}

/** A number of an x axis: keys, bytes, per cent. */
export function plainText(value: number): string {
  return prefixed(value).trimEnd()
}

export function escapeHtml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&#39;')
}

/** For an anchor. */
export function slugOf(text: string): string {
  return text
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replaceAll(/^-|-$/g, '')
}

/** Ends in a space and the prefix. */
function prefixed(value: number): string {
  let scaled = value
  let index = 0
  while (Math.abs(Number(scaled.toPrecision(DIGITS))) >= 1000 && index < PREFIXES.length - 1) {
    scaled /= 1000
    index++
  }
  return `${rounded(scaled)} ${PREFIXES[index]}`
}

function rounded(value: number): string {
  if (Math.abs(value) >= 1000) return value.toFixed(0)
  return String(Number(value.toPrecision(DIGITS)))
}
