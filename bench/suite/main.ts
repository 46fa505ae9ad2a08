/** `npm run bench`: its command line. */
import { accessSync, constants, existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { readCommandLine, refuse, say } from '../harness/command-line.js'
import { machineSlug, thisMachine } from './environment.js'
import { PARTS, type SuitePart } from './parts.js'
import { DamagedResult } from './reader.js'
import { readResult, resultPath, RESULTS_FILE, type PartResult, type RunSize } from './result.js'
import { measure, render } from './run.js'

const USAGE = `Usage: npm run bench [-- options]

  --only <parts>   of ${PARTS.map(({ name }) => name).join(', ')}; with commas
  --quick          small sizes: shows that everything works, in a few minutes
  --full           large sizes (2 GB, millions of keys): hours
  --out <dir>      where the result goes, which has none yet (default bench/results/<date>-<machine>)
  --render <path>  measure nothing: write report and figures of an earlier result again
  --json           print the result as one JSON object, the last line
  --help           print this

Writes results.json, report.html, which opens from disk, and the SVG figures of the README. Contenders
that are not installed are fetched and built, or reported as absent with the reason. Nothing else should
run on the machine meanwhile. Exits with 1 when a part fails or a goal is missed, with 2 when the options
are wrong.`

const RESULTS_DIRECTORY = fileURLToPath(new URL('../results/', import.meta.url))
/** Runs of one day on machines of one kind. */
const RUNS_A_DAY_MAX = 1000

/** A directory that is not there yet. */
function newDirectory(): string {
  const name = `${new Date().toISOString().slice(0, 10)}-${machineSlug(thisMachine())}`
  for (let run = 1; run <= RUNS_A_DAY_MAX; run++) {
    const directory = join(RESULTS_DIRECTORY, run === 1 ? name : `${name}-${run}`)
    if (!existsSync(directory)) return directory
  }
  return refuse(
    `There are ${RUNS_A_DAY_MAX} results of today in ${RESULTS_DIRECTORY}; remove some.`,
  )
}

/** Refuses a directory that cannot be written, before anything is measured, and one that has a result. */
function writableDirectory(directory: string): string {
  if (existsSync(join(directory, RESULTS_FILE))) {
    refuse(`--out: ${directory} has the result of an earlier run; name another directory.`)
  }
  try {
    mkdirSync(directory, { recursive: true })
    accessSync(directory, constants.W_OK)
    return directory
  } catch (error) {
    return refuse(
      `--out: cannot write there: ${error instanceof Error ? error.message : String(error)}`,
    )
  }
}

function chosen(only: string | undefined): readonly SuitePart[] {
  if (only === undefined) return PARTS
  const names = only.split(',').map((name) => name.trim())
  const unknown = names.find((name) => !PARTS.some((part) => part.name === name))
  if (unknown !== undefined) refuse(`--only: there is no part ${unknown}; see --help.`)
  return PARTS.filter(({ name }) => names.includes(name))
}

function isFine(result: PartResult): boolean {
  return result.status === 'measured' && result.part.goals.every(({ reached }) => reached)
}

async function measureAs(
  parts: readonly SuitePart[],
  size: RunSize,
  directory: string,
  json: boolean,
): Promise<void> {
  const result = await measure(parts, size, writableDirectory(directory))
  say(`\nThe report: ${join(directory, 'report.html')}`)
  if (json) process.stdout.write(`${JSON.stringify(result)}\n`)
  if (!result.parts.every(isFine)) process.exitCode = 1
}

function renderAgain(path: string): void {
  const result = readResult(path)
  const directory = join(resultPath(path), '..')
  render(directory, result)
  say(`Written: ${join(directory, 'report.html')}`)
}

const { values } = readCommandLine(USAGE, {
  options: {
    only: { type: 'string' },
    quick: { type: 'boolean' },
    full: { type: 'boolean' },
    out: { type: 'string' },
    render: { type: 'string' },
    json: { type: 'boolean' },
  },
})
const { only, quick = false, full = false, out, render: earlier, json = false } = values

if (quick && full) refuse('--quick and --full exclude one another.')
if (earlier === undefined) {
  const size = quick ? 'quick' : full ? 'full' : 'default'
  await measureAs(chosen(only), size, out ?? newDirectory(), json)
} else {
  if (Object.keys(values).length > 1) refuse('--render measures nothing: it takes no other option.')
  try {
    renderAgain(earlier)
  } catch (error) {
    if (!(error instanceof DamagedResult)) throw error
    refuse(error.message)
  }
}
