/** `npm run bench:recovery`: how long a job takes to come back, at the same and at another parallelism, by the size of its state. */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import {
  finishPart,
  positiveInteger,
  say,
  withTemporaryDirectory,
} from '../harness/command-line.js'
import { figureTable } from '../harness/figure-table.js'
import { rotated } from '../harness/statistics.js'
import { readSources } from '../rescale/sources.js'
import { DIRECTIONS, RecoveryReport, type Direction } from './report.js'
import {
  buildFlinks,
  buildOurs,
  restore,
  WAYS,
  writeRecordsFile,
  type Checkpoints,
  type Way,
} from './ways.js'

const STATE_MB = [20, 200]
const FULL_STATE_MB = [...STATE_MB, 2000]
const ROUNDS = 3
const WAY_NAMES = Object.keys(WAYS) as Way[]

const USAGE = `Usage: npm run bench:recovery [-- options]

  --state-mb <list>  sizes of the state in millions of bytes, with commas (default ${STATE_MB.join(',')})
  --full             sizes ${FULL_STATE_MB.join(', ')}: takes some 25 GB of disk and half an hour
  --quick            the smallest size only
  --rounds <n>       measurements of each way in each direction (default ${ROUNDS})
  --only <ways>      of ${WAY_NAMES.join(', ')}, with commas
  --json             print one JSON object as the last line
  --help             print this

Writes a state with the real backend at parallelism 1 and 2 and takes checkpoints; has Flink's RocksDB
backend do the same with the same records, where Java and Maven are present. Then brings each back:
at the same parallelism, from 1 to 2 and from 2 to 1. Contents are verified.`

interface Options {
  readonly sizesMb: readonly number[]
  readonly rounds: number
  readonly ways: readonly Way[]
}

interface Outcome {
  readonly report: RecoveryReport
  readonly absent: Record<string, string>
}

async function run(root: string, { sizesMb, rounds, ways }: Options): Promise<Outcome> {
  const report = new RecoveryReport()
  const absent: Record<string, string> = {}
  for (const stateMb of sizesMb) {
    const directory = join(root, `${stateMb}-mb`)
    const built = await buildAll(directory, stateMb, ways.includes('flink'), absent)
    const measured = ways.filter((way) => absent[WAYS[way]] === undefined)
    for (const direction of DIRECTIONS) {
      const checkpoints = built.find(({ parallelism }) => parallelism === direction.from)
      if (checkpoints === undefined) throw new Error(`nothing was built at ${direction.from}`)
      for (let round = 0; round < rounds; round++) {
        for (const way of rotated(measured, round)) {
          await measure(report, { directory, direction, checkpoints, way, verify: round === 0 })
        }
      }
    }
    await rm(directory, { recursive: true, force: true })
  }
  return { report, absent }
}

interface Measured {
  readonly directory: string
  readonly direction: Direction
  readonly checkpoints: Checkpoints
  readonly way: Way
  readonly verify: boolean
}

async function measure(report: RecoveryReport, measured: Measured): Promise<void> {
  const { directory, direction, checkpoints, way, verify } = measured
  const result = await restore(directory, way, checkpoints, direction.to, verify)
  const { stateMb, ours } = checkpoints
  const { contents } = readSources(ours)
  const found = result.contents
  if (verify && (found?.entries !== contents.entries || found.checksum !== contents.checksum)) {
    throw new Error(
      `${WAYS[way]} gave other contents: ${JSON.stringify(found)}, not ${JSON.stringify(contents)}`,
    )
  }
  report.add(direction, way, stateMb, result)
  say(
    `  ${direction.name.padEnd(20)} ${String(stateMb).padStart(4)} MB  ${WAYS[way].padEnd(36)} ` +
      `${result.elapsedMs.toFixed(0).padStart(6)} ms ${result.cpuMs.toFixed(0).padStart(6)} ms of processors`,
  )
}

/** A checkpoint of ours and one of Flink's at each parallelism that is restored from. What cannot be built goes to `absent`. */
async function buildAll(
  directory: string,
  stateMb: number,
  withFlink: boolean,
  absent: Record<string, string>,
): Promise<Checkpoints[]> {
  const built: Checkpoints[] = []
  let recordsPath: string | undefined
  for (const parallelism of new Set(DIRECTIONS.map(({ from }) => from))) {
    say(`Building ${stateMb} MB at parallelism ${parallelism}`)
    const ours = join(directory, `ours-${parallelism}`)
    await buildOurs(ours, parallelism, stateMb)
    let flinks: string | undefined
    if (withFlink && absent[WAYS.flink] === undefined) {
      recordsPath ??= await writeRecordsFile(directory, ours, stateMb)
      flinks = join(directory, `flinks-${parallelism}`)
      const why = await buildFlinks(recordsPath, flinks, parallelism)
      if (why !== undefined) {
        absent[WAYS.flink] = why
        say(`absent: ${WAYS.flink}, ${why}`)
      }
    }
    built.push({ stateMb, parallelism, ours, flinks })
  }
  return built
}

function sizesOf(list: string | undefined, full: boolean, quick: boolean): number[] {
  if (list !== undefined) {
    return list.split(',').map((text) => positiveInteger('--state-mb', text, NaN))
  }
  return full ? FULL_STATE_MB : quick ? STATE_MB.slice(0, 1) : STATE_MB
}

function waysOf(only: string | undefined): readonly Way[] {
  if (only === undefined) return WAY_NAMES
  const names = only.split(',').map((name) => name.trim())
  const unknown = names.find((name) => !WAY_NAMES.some((way) => way === name))
  if (unknown !== undefined) {
    say(`--only: there is no ${unknown}; see --help.`)
    return process.exit(2)
  }
  return WAY_NAMES.filter((way) => names.includes(way))
}

const { values } = parseArgs({
  options: {
    'state-mb': { type: 'string' },
    full: { type: 'boolean' },
    quick: { type: 'boolean' },
    rounds: { type: 'string' },
    only: { type: 'string' },
    json: { type: 'boolean' },
    help: { type: 'boolean' },
  },
})
if (values.help === true) {
  process.stdout.write(`${USAGE}\n`)
} else {
  const options = {
    sizesMb: sizesOf(values['state-mb'], values.full === true, values.quick === true),
    rounds: positiveInteger('--rounds', values.rounds, ROUNDS),
    ways: waysOf(values.only),
  }
  await withTemporaryDirectory(async (root) => {
    const { report, absent } = await run(root, options)
    const { sizesMb, rounds } = options
    const part = report.part({ stateMb: sizesMb.join(', '), rounds }, absent)
    say(figureTable(part.figures, 'state, MB'))
    for (const note of part.notes) say(`- ${note}`)
    finishPart(part, values.json === true)
  })
}
