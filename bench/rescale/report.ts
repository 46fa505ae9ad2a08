/** From measurements to what is printed: medians with their range, ratios, and the bars they are held to. */
import type { BenchGoal } from '../harness/part.js'
import { spreadOf, type Spread } from '../harness/statistics.js'
import type { Measurement } from './measurement.js'

/** What is compared. */
export const WAYS = ['adopt', 'clearAndCopy', 'rewrite'] as const
/** Adoption under other circumstances. */
export const VARIANTS = ['adoptCold', 'adoptRecovered', 'adoptDownloaded'] as const
const CONTENDERS = [...WAYS, ...VARIANTS] as const
export type Contender = (typeof CONTENDERS)[number]
export type Runs = Readonly<Record<Contender, Measurement[]>>

export function noRuns(): Runs {
  return {
    adopt: [],
    adoptCold: [],
    adoptRecovered: [],
    adoptDownloaded: [],
    clearAndCopy: [],
    rewrite: [],
  }
}

/** Bytes are those of adoption at the top, and of each way below. */
export interface Comparison {
  readonly from: number
  readonly to: number
  readonly adoptMs: number
  readonly clearAndCopyMs: number
  readonly rewriteMs: number
  readonly bytesFetched: number
  readonly bytesWritten: number | undefined
  /** Times that adoption is faster, its tables being local for all. */
  readonly clearAndCopyRatio: number
  readonly rewriteRatio: number
  /** The same when all tables are downloaded and checked first, in all ways. */
  readonly withDownload: {
    readonly adoptMs: number
    readonly clearAndCopyRatio: number
    readonly rewriteRatio: number
  }
  readonly ways: Readonly<Record<Contender, WaySummary>>
}

interface WaySummary {
  readonly samplesMs: readonly number[]
  readonly elapsedMs: Spread
  readonly cpuMs: Spread
  readonly bytesFetched: number
  readonly bytesRead: number | undefined
  readonly bytesWritten: number | undefined
}

/** What is gained must be at least so many times. */
const CLEAR_AND_COPY_BAR = 4
const REWRITE_BAR = 15
/** Ten times the state, and at most twice the time. */
const SCALE_BAR = 2

export function compare(from: number, to: number, runs: Runs): Comparison {
  const ways = {
    adopt: summary(runs.adopt),
    adoptCold: summary(runs.adoptCold),
    adoptRecovered: summary(runs.adoptRecovered),
    adoptDownloaded: summary(runs.adoptDownloaded),
    clearAndCopy: summary(runs.clearAndCopy),
    rewrite: summary(runs.rewrite),
  }
  const adoptMs = ways.adopt.elapsedMs.median
  const clearAndCopyMs = ways.clearAndCopy.elapsedMs.median
  const rewriteMs = ways.rewrite.elapsedMs.median
  const downloadedMs = ways.adoptDownloaded.elapsedMs.median
  const downloadMs = Math.max(downloadedMs - adoptMs, 0)
  return {
    from,
    to,
    adoptMs,
    clearAndCopyMs,
    rewriteMs,
    bytesFetched: ways.adopt.bytesFetched,
    bytesWritten: ways.adopt.bytesWritten,
    clearAndCopyRatio: clearAndCopyMs / adoptMs,
    rewriteRatio: rewriteMs / adoptMs,
    withDownload: {
      adoptMs: downloadedMs,
      clearAndCopyRatio: (clearAndCopyMs + downloadMs) / downloadedMs,
      rewriteRatio: (rewriteMs + downloadMs) / downloadedMs,
    },
    ways,
  }
}

/** A table of all ways in one direction. */
export function linesOf({ from, to, ways }: Comparison): string[] {
  const columns = ['ms (min to max)', 'processors', 'fetched', 'read', 'written']
  const header = row(`${from} to ${to}`, columns)
  return [
    header,
    ...CONTENDERS.map((way) => {
      const { elapsedMs, cpuMs, bytesFetched, bytesRead, bytesWritten } = ways[way]
      const bytes = [bytesFetched, bytesRead, bytesWritten].map(megabytes)
      return row(`  ${way}`, [spread(elapsedMs), `${cpuMs.median.toFixed(0)} ms`, ...bytes])
    }),
  ]
}

function row(name: string, [time = '', ...rest]: readonly string[]): string {
  return name.padEnd(18) + time.padStart(24) + rest.map((text) => text.padStart(12)).join('')
}

export function goalsOf(comparison: Comparison): BenchGoal[] {
  const { from, to, clearAndCopyRatio, rewriteRatio, withDownload } = comparison
  const goal = (rival: string, ratio: number, downloaded: number, bar: number): BenchGoal => ({
    text:
      `${from} to ${to}: adopting ${ratio.toFixed(1)} times faster than ${rival} (at least ${bar}); ` +
      `${downloaded.toFixed(1)} times when both download first`,
    reached: ratio >= bar,
  })
  return [
    goal(
      'clearing key by key and copying',
      clearAndCopyRatio,
      withDownload.clearAndCopyRatio,
      CLEAR_AND_COPY_BAR,
    ),
    goal('rewriting', rewriteRatio, withDownload.rewriteRatio, REWRITE_BAR),
  ]
}

/** How long the same adoption takes with a state and with a larger one. */
export interface Growth {
  readonly small: AtSize
  readonly large: AtSize
}

interface AtSize {
  readonly stateMb: number
  readonly samplesMs: readonly number[]
}

export function scaleGoal({ small, large }: Growth): BenchGoal {
  const [smallMs, largeMs] = [spreadOf(small.samplesMs), spreadOf(large.samplesMs)]
  const ratio = largeMs.median / smallMs.median
  return {
    text:
      `1 to 2: ${large.stateMb} MB in ${spread(largeMs)} ms, ${ratio.toFixed(2)} times as long as ` +
      `${small.stateMb} MB in ${spread(smallMs)} ms (at most ${SCALE_BAR})`,
    reached: ratio <= SCALE_BAR,
  }
}

function summary(measurements: readonly Measurement[]): WaySummary {
  const middle = measurements.toSorted((a, b) => a.elapsedMs - b.elapsedMs)[
    Math.floor(measurements.length / 2)
  ]
  if (middle === undefined) throw new Error('a way was never measured')
  const samplesMs = measurements.map(({ elapsedMs }) => elapsedMs)
  return {
    samplesMs,
    elapsedMs: spreadOf(samplesMs),
    cpuMs: spreadOf(measurements.map(({ cpuMs }) => cpuMs)),
    bytesFetched: middle.bytesFetched,
    bytesRead: middle.bytesRead,
    bytesWritten: middle.bytesWritten,
  }
}

function spread({ min, median, max }: Spread): string {
  return `${median.toFixed(0)} (${min.toFixed(0)} to ${max.toFixed(0)})`
}

function megabytes(bytes: number | undefined): string {
  return bytes === undefined ? 'unknown' : `${(bytes / 1e6).toFixed(1)} MB`
}
