/**
 * `npm run bench:rescale`: what it costs to come back at another parallelism, by adopting tables and by the two ways of doing without.
 * Only ratios within one run are judged.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { inChild } from '../harness/child-process.js'
import { positiveInteger, say, sayGoals, withTemporaryDirectory } from '../harness/command-line.js'
import type { BenchGoal } from '../harness/part.js'
import { rotated } from '../harness/statistics.js'
import type { Measurement } from './measurement.js'
import { RECORD_BYTES, type Contents } from './records.js'
import {
  compare,
  goalsOf,
  linesOf,
  noRuns,
  scaleGoal,
  VARIANTS,
  WAYS,
  type Comparison,
  type Contender,
} from './report.js'
import { readSources } from './sources.js'

const USAGE = `Usage: npm run bench:rescale [-- options]

  --state-mb <n>     size of the state in millions of bytes (default 200)
  --rounds <n>       measurements of each way in each direction (default 3)
  --directions <d>   of 1-2,2-1,2-3,3-2 (default all)
  --json             print one JSON array as the last line
  --help             print this

Builds a state with the real backend, then brings it back at another parallelism in three ways:
adopting its tables; clearing and copying into the largest source, as Flink does by default; and
reading and writing every entry. The tables are local files for all three (hard links, on trust).
Timed are all subtasks of the new parallelism, one after the other, each until its database is open
and has answered a read, in a process that has brought back an eighth of the state before. In the first
round the contents are counted and summed, and must be equal. Besides, adoption is measured once in
a process that has done nothing before ("cold"), with tables of a dead process whose SHA-256 is
checked ("recovered"), and with tables from storage ("downloaded"); what downloading adds is added to
the others too for the ratios "with download". Above 200 MB, a state of 200 MB is adopted as well, to
compare.
Exits with 1 when a figure falls short of its bar.`

const STATE_MB = 200
const ROUNDS = 3
/** From a parallelism to another. */
const DIRECTIONS = ['1-2', '2-1', '2-3', '3-2']
const CHILD = new URL('child.ts', import.meta.url)

interface Options {
  readonly root: string
  readonly stateMb: number
  readonly rounds: number
  readonly directions: readonly (readonly [from: number, to: number])[]
}

async function build(root: string, parallelism: number, stateMb: number): Promise<string> {
  const directory = join(root, `${stateMb}-mb-of-${parallelism}`)
  say(
    `Building ${stateMb} MB (${Math.ceil((stateMb * 1e6) / RECORD_BYTES)} records) at parallelism ${parallelism}`,
  )
  await inChild(CHILD, 'build', directory, parallelism, stateMb * 1e6)
  return directory
}

/** One measurement in a process and an empty directory of its own. */
async function measure(root: string, name: Contender, place: Place): Promise<Measurement> {
  const work = await mkdtemp(join(root, 'work-'))
  try {
    const { sources, to, verify } = place
    const measurement = await inChild<Measurement>(CHILD, name, sources, work, to, verify)
    const { elapsedMs, cpuMs } = measurement
    say(
      `  ${name.padEnd(16)} ${elapsedMs.toFixed(0).padStart(7)} ms ${cpuMs.toFixed(0).padStart(7)} ms of processors`,
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

function checkContents(way: Contender, expected: Contents, { contents }: Measurement): void {
  const equal = contents?.entries === expected.entries && contents.checksum === expected.checksum
  if (equal) return
  throw new Error(
    `${way} gave other contents: ${JSON.stringify(contents)} instead of ${JSON.stringify(expected)}`,
  )
}

/** All ways in one direction; each round begins with another way, and the first looks at the contents and at the variants. */
async function compareWays(
  { root, rounds }: Options,
  sources: string,
  [from, to]: readonly [number, number],
): Promise<Comparison> {
  const { contents } = readSources(sources)
  const runs = noRuns()
  for (let round = 0; round < rounds; round++) {
    say(`${from} to ${to}, round ${round + 1}`)
    const verify = round === 0
    for (const way of rotated(WAYS, round)) {
      const measurement = await measure(root, way, { sources, to, verify })
      if (verify) checkContents(way, contents, measurement)
      runs[way].push(measurement)
    }
  }
  for (const variant of VARIANTS) {
    const measurement = await measure(root, variant, { sources, to, verify: true })
    checkContents(variant, contents, measurement)
    runs[variant].push(measurement)
  }
  return compare(from, to, runs)
}

async function adoptOnly({ root, rounds }: Options, sources: string): Promise<number[]> {
  const elapsedMs: number[] = []
  for (let round = 0; round < rounds; round++) {
    const measurement = await measure(root, 'adopt', { sources, to: 2, verify: false })
    elapsedMs.push(measurement.elapsedMs)
  }
  return elapsedMs
}

async function run(options: Options): Promise<{ comparisons: Comparison[]; goals: BenchGoal[] }> {
  const { root, stateMb, directions } = options
  const sources = new Map<number, string>()
  for (const parallelism of new Set(directions.map(([from]) => from))) {
    sources.set(parallelism, await build(root, parallelism, stateMb))
  }
  const comparisons: Comparison[] = []
  for (const direction of directions) {
    comparisons.push(await compareWays(options, sources.get(direction[0]) ?? '', direction))
  }
  const goals = comparisons.flatMap(goalsOf)
  const large = sources.get(1)
  if (stateMb > STATE_MB && large !== undefined) {
    const small = await build(root, 1, STATE_MB)
    say(`1 to 2, ${STATE_MB} MB and ${stateMb} MB`)
    const smallMs = await adoptOnly(options, small)
    const largeMs = await adoptOnly(options, large)
    goals.push(scaleGoal({ stateMb: STATE_MB, smallMs }, { stateMb, largeMs }))
  }
  return { comparisons, goals }
}

/** Ends the process with status 2 when it names a direction there is not. */
function directionsOf(text: string): Options['directions'] {
  const names = text.split(',')
  if (names.some((name) => !DIRECTIONS.includes(name))) {
    say(`--directions must be of ${DIRECTIONS.join(',')}, got ${text}.`)
    process.exit(2)
  }
  return names.map((name) => name.split('-').map(Number) as [number, number])
}

const { values } = parseArgs({
  options: {
    'state-mb': { type: 'string' },
    rounds: { type: 'string' },
    directions: { type: 'string', default: DIRECTIONS.join(',') },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})
if (values.help) {
  process.stdout.write(`${USAGE}\n`)
} else {
  const stateMb = positiveInteger('--state-mb', values['state-mb'], STATE_MB)
  const rounds = positiveInteger('--rounds', values.rounds, ROUNDS)
  const directions = directionsOf(values.directions)
  await withTemporaryDirectory(async (root) => {
    const { comparisons, goals } = await run({ root, stateMb, rounds, directions })
    for (const line of comparisons.flatMap(linesOf)) say(line)
    sayGoals(goals)
    if (values.json) process.stdout.write(`${JSON.stringify(comparisons)}\n`)
  })
}
