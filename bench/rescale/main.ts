/**
 * `npm run bench:rescale`: what it costs to come back at another parallelism, by adopting tables and by the two ways of doing without.
 * Only ratios within one run are judged.
 */
import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs, promisify } from 'node:util'
import type { Measurement } from './measurement.js'
import {
  compare,
  figuresOf,
  linesOf,
  noRuns,
  scaleFigure,
  WAYS,
  type Comparison,
  type Figure,
  type Way,
} from './report.js'
import { RECORD_BYTES, type Contents } from './records.js'
import { readSources } from './sources.js'

const USAGE = `Usage: npm run bench:rescale [-- options]

  --state-mb <n>   size of the state in millions of bytes (default 200)
  --rounds <n>     measurements of each way in each direction (default 3)
  --json           print one JSON array as the last line
  --help           print this

Builds a state with the real backend, then brings it back at another parallelism in three ways:
adopting its tables; clearing and copying into the largest source, as Flink does by default; and
reading and writing every entry. The tables are local files for all three (hard links, on trust).
Timed are all subtasks of the new parallelism, one after the other, each until its database is open
and has answered a read, in a process that has brought back an eighth of the state before. The
contents are counted and summed, and must be equal. Besides, adoption is measured in a process that
has done nothing before ("cold"), with tables of a dead process whose SHA-256 is checked
("recovered"), and with tables from storage ("downloaded"); what downloading adds is added to the
others too for the ratios "with download". Above 200 MB, a state of 200 MB is adopted as well, to
compare.
Exits with 1 when a figure falls short of its bar.`

const STATE_MB = 200
const ROUNDS = 3
const DIRECTIONS = [
  [1, 2],
  [2, 1],
  [2, 3],
  [3, 2],
] as const

const execute = promisify(execFile)

async function inChild<T>(part: string, ...args: unknown[]): Promise<T> {
  const child = new URL('child.ts', import.meta.url).pathname
  const parameters = ['--import', 'tsx', child, part, JSON.stringify(args)]
  const { stdout } = await execute(process.execPath, parameters)
  return JSON.parse(stdout) as T
}

function say(line: string): void {
  process.stderr.write(`${line}\n`)
}

async function build(root: string, parallelism: number, stateMb: number): Promise<string> {
  const directory = join(root, `${stateMb}-mb-of-${parallelism}`)
  say(
    `Building ${stateMb} MB (${Math.ceil((stateMb * 1e6) / RECORD_BYTES)} records) at parallelism ${parallelism}`,
  )
  await inChild('build', directory, parallelism, stateMb * 1e6)
  return directory
}

/** One measurement in a process and an empty directory of its own. */
async function measure(root: string, way: Way, place: Place): Promise<Measurement> {
  const work = await mkdtemp(join(root, 'work-'))
  try {
    const measurement = await inChild<Measurement>(way, place.sources, work, place.to, place.verify)
    const { elapsedMs, cpuMs } = measurement
    say(
      `  ${way.padEnd(16)} ${elapsedMs.toFixed(0).padStart(7)} ms ${cpuMs.toFixed(0).padStart(7)} ms of processors`,
    )
    return measurement
  } finally {
    await rm(work, { recursive: true, force: true })
  }
}

interface Place {
  readonly sources: string
  readonly to: number
  readonly verify: boolean
}

function checkContents(way: Way, expected: Contents, { contents }: Measurement): void {
  const equal = contents?.entries === expected.entries && contents.checksum === expected.checksum
  if (equal) return
  throw new Error(
    `${way} gave other contents: ${JSON.stringify(contents)} instead of ${JSON.stringify(expected)}`,
  )
}

/** All ways in one direction; each round begins with another way, and the first looks at the contents. */
async function compareWays(
  root: string,
  sources: string,
  [from, to]: readonly [number, number],
  rounds: number,
): Promise<Comparison> {
  const { contents } = readSources(sources)
  const runs = noRuns()
  for (let round = 0; round < rounds; round++) {
    say(`${from} to ${to}, round ${round + 1}`)
    for (let turn = 0; turn < WAYS.length; turn++) {
      const way = WAYS[(round + turn) % WAYS.length] as Way
      const verify = round === 0
      const measurement = await measure(root, way, { sources, to, verify })
      if (verify) checkContents(way, contents, measurement)
      runs[way].push(measurement)
    }
  }
  return compare(from, to, runs)
}

async function adoptOnly(root: string, sources: string, rounds: number): Promise<number[]> {
  const elapsedMs: number[] = []
  for (let round = 0; round < rounds; round++) {
    const measurement = await measure(root, 'adopt', { sources, to: 2, verify: false })
    elapsedMs.push(measurement.elapsedMs)
  }
  return elapsedMs
}

async function run(
  root: string,
  stateMb: number,
  rounds: number,
): Promise<{ comparisons: Comparison[]; figures: Figure[] }> {
  const sources = new Map<number, string>()
  for (const parallelism of new Set(DIRECTIONS.map(([from]) => from))) {
    sources.set(parallelism, await build(root, parallelism, stateMb))
  }
  const comparisons: Comparison[] = []
  for (const direction of DIRECTIONS) {
    const directory = sources.get(direction[0]) ?? ''
    comparisons.push(await compareWays(root, directory, direction, rounds))
  }
  const figures = comparisons.flatMap(figuresOf)
  if (stateMb > STATE_MB) {
    const small = await build(root, 1, STATE_MB)
    say(`1 to 2, ${STATE_MB} MB and ${stateMb} MB`)
    const smallMs = await adoptOnly(root, small, rounds)
    const largeMs = await adoptOnly(root, sources.get(1) ?? '', rounds)
    figures.push(scaleFigure({ stateMb: STATE_MB, smallMs }, { stateMb, largeMs }))
  }
  return { comparisons, figures }
}

function positiveInteger(name: string, text: string | undefined, fallback: number): number {
  const value = Number(text ?? fallback)
  if (!Number.isSafeInteger(value) || value < 1) {
    say(`${name} must be a positive integer, got ${text}.`)
    process.exit(2)
  }
  return value
}

const { values } = parseArgs({
  options: {
    'state-mb': { type: 'string' },
    rounds: { type: 'string' },
    json: { type: 'boolean' },
    help: { type: 'boolean' },
  },
})
if (values.help === true) {
  process.stdout.write(`${USAGE}\n`)
} else {
  const stateMb = positiveInteger('--state-mb', values['state-mb'], STATE_MB)
  const rounds = positiveInteger('--rounds', values.rounds, ROUNDS)
  const root = await mkdtemp(join(tmpdir(), 'level-state-backend-rescale-'))
  try {
    const { comparisons, figures } = await run(root, stateMb, rounds)
    for (const line of comparisons.flatMap(linesOf)) say(line)
    for (const { text, reached } of figures) say(`${reached ? 'reached ' : 'MISSED  '} ${text}`)
    if (values.json === true) process.stdout.write(`${JSON.stringify(comparisons)}\n`)
    if (figures.some(({ reached }) => !reached)) process.exitCode = 1
  } finally {
    await rm(root, { recursive: true, force: true })
  }
}
