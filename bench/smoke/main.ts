/**
 * `npm run bench:smoke`: the figures this package is held to, as ratios within one run on one machine, in about two minutes. Absolute
 * figures depend on the machine; only ratios are judged.
 */
import { execFile } from 'node:child_process'
import { parseArgs, promisify } from 'node:util'
import type { CounterOptions } from './counters.js'
import type { PauseFigures } from './pauses.js'
import type { UploadFigures } from './uploads.js'

const USAGE = `Usage: npm run bench:smoke [-- --json]

  --json   print one JSON object as the last line
  --help   print this

Measures read-modify-write counters beside raw classic-level, lmdb and a plain Map; how long a
snapshot holds the caller and the event loop; and what 20 incremental checkpoints upload.
Exits with 1 when a figure falls short of its bar.`

const ROUNDS = 2
const SMALL: CounterOptions = { keyCount: 500_000, memoryMiB: 256, seconds: 4, prefill: false }
const LARGE: CounterOptions = { keyCount: 5_000_000, memoryMiB: 64, seconds: 8, prefill: true }
const SMALL_CONTENDERS = ['ours', 'raw', 'lmdb', 'map']
const LARGE_CONTENDERS = ['ours', 'raw']
const DIRTY_KEYS = 500_000
const PAUSE_ROUNDS = 12
const STATE_BYTES = 200e6
const CHECKPOINTS = 20

interface Figure {
  readonly name: string
  readonly value: number
  readonly unit: string
  readonly bar: string
  readonly reached: boolean
}

const execute = promisify(execFile)

async function measure<T>(part: string, ...args: unknown[]): Promise<T> {
  const child = new URL('child.ts', import.meta.url).pathname
  const parameters = ['--import', 'tsx', child, part, JSON.stringify(args)]
  const { stdout } = await execute(process.execPath, parameters)
  return JSON.parse(stdout) as T
}

/** Thousand operations per second by contender: the median of rounds in alternating order. */
async function counters(
  names: readonly string[],
  options: CounterOptions,
  rounds: number,
): Promise<Map<string, number>> {
  const rates = new Map<string, number[]>(names.map((name) => [name, []]))
  for (let round = 0; round < rounds; round++) {
    for (const name of round % 2 === 0 ? names : names.toReversed()) {
      const rate = await measure<number>('counters', name, options)
      rates.get(name)?.push(rate)
      say(`  ${name.padEnd(5)} ${rate.toFixed(0).padStart(6)} thousand operations/s`)
    }
  }
  return new Map([...rates].map(([name, values]) => [name, mean(values)]))
}

function mean(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0) / values.length
}

function say(line: string): void {
  process.stderr.write(`${line}\n`)
}

function atLeast(name: string, value: number, bar: number): Figure {
  return { name, value, unit: 'times', bar: `at least ${bar}`, reached: value >= bar }
}

function atMost(name: string, value: number, unit: string, bar: number): Figure {
  return { name, value, unit, bar: `at most ${bar}`, reached: value <= bar }
}

async function run(): Promise<{ raw: Record<string, unknown>; figures: Figure[] }> {
  say(`Counters, ${SMALL.keyCount} uniform keys, a checkpoint every 2 s (ours only)`)
  const small = await counters(SMALL_CONTENDERS, SMALL, ROUNDS)
  say(`Counters, ${LARGE.keyCount} uniform keys, prefilled, ${LARGE.memoryMiB} MiB`)
  const large = await counters(LARGE_CONTENDERS, LARGE, 1)
  say(`Snapshots of ${DIRTY_KEYS} dirty keys`)
  const pauses = await measure<PauseFigures>('pauses', DIRTY_KEYS, PAUSE_ROUNDS)
  say(`${CHECKPOINTS} checkpoints that change 1 % of ${STATE_BYTES / 1e6} MB`)
  const uploads = await measure<UploadFigures>('uploads', STATE_BYTES, CHECKPOINTS)
  const ratio = (rates: Map<string, number>, name: string): number =>
    (rates.get('ours') ?? Number.NaN) / (rates.get(name) ?? Number.NaN)
  return {
    raw: {
      thousandOperationsPerSecond: {
        [SMALL.keyCount]: Object.fromEntries(small),
        [LARGE.keyCount]: Object.fromEntries(large),
      },
      pauses,
      uploads,
    },
    figures: [
      atLeast('counters, 500 k keys: against raw classic-level', ratio(small, 'raw'), 4),
      atLeast('counters, 500 k keys: against lmdb', ratio(small, 'lmdb'), 3),
      atLeast('counters, 5 M keys, 64 MiB: against raw classic-level', ratio(large, 'raw'), 1),
      atMost('snapshot of 500 k dirty keys: caller held, p99', pauses.syncP99Ms, 'ms', 1),
      atMost('its flush and table: event loop held', pauses.loopHeldMaxMs, 'ms', 20),
      atMost('20 checkpoints of 1 %: uploaded against changed bytes', uploads.ratio, 'times', 1.5),
    ],
  }
}

const { values } = parseArgs({ options: { json: { type: 'boolean' }, help: { type: 'boolean' } } })
if (values.help === true) {
  process.stdout.write(`${USAGE}\n`)
} else {
  const { raw, figures } = await run()
  for (const { name, value, unit, bar, reached } of figures) {
    say(
      `${reached ? 'reached ' : 'MISSED  '} ${name.padEnd(56)} ${value.toFixed(2)} ${unit} (${bar})`,
    )
  }
  if (values.json === true) process.stdout.write(`${JSON.stringify({ figures, ...raw })}\n`)
  if (figures.some(({ reached }) => !reached)) process.exitCode = 1
}
