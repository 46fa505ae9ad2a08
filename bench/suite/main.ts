/** `npm run bench`: its command line. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { say } from '../harness/command-line.js'
import { machineSlug, thisMachine } from './environment.js'
import { PARTS, type SuitePart } from './parts.js'
import { DamagedResult } from './reader.js'
import { readResult, resultPath, type PartResult } from './result.js'
import { measure, render } from './run.js'

const USAGE = `Usage: npm run bench [-- options]

  --only <parts>   of ${PARTS.map(({ name }) => name).join(', ')}; with commas
  --quick          small sizes: shows that everything works, in a few minutes
  --full           large sizes (2 GB, millions of keys): hours
  --out <dir>      where the result goes (default bench/results/<date>-<machine>)
  --render <path>  measure nothing: write report and figures of an earlier result again
  --json           print the result as one JSON object, the last line
  --help           print this

Writes results.json, report.html, which opens from disk, and the SVG figures of the README. Contenders
that are not installed are fetched and built, or reported as absent with the reason. Nothing else should
run on the machine meanwhile. Exits with 1 when a part fails or a goal is missed.`

class UsageError extends Error {}

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
  throw new Error(
    `There are ${RUNS_A_DAY_MAX} results of today in ${RESULTS_DIRECTORY}; remove some.`,
  )
}

function chosen(only: string | undefined): readonly SuitePart[] {
  if (only === undefined) return PARTS
  const names = only.split(',').map((name) => name.trim())
  const unknown = names.find((name) => !PARTS.some((part) => part.name === name))
  if (unknown !== undefined)
    throw new UsageError(`--only: there is no part ${unknown}; see --help.`)
  return PARTS.filter(({ name }) => names.includes(name))
}

function isFine(result: PartResult): boolean {
  return result.status === 'measured' && result.part.goals.every(({ reached }) => reached)
}

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    quick: { type: 'boolean' },
    full: { type: 'boolean' },
    out: { type: 'string' },
    render: { type: 'string' },
    json: { type: 'boolean' },
    help: { type: 'boolean' },
  },
})

try {
  if (values.help === true) {
    process.stdout.write(`${USAGE}\n`)
  } else if (values.render !== undefined) {
    const result = readResult(values.render)
    const directory = join(resultPath(values.render), '..')
    render(directory, result)
    say(`Written: ${join(directory, 'report.html')}`)
  } else {
    const parts = chosen(values.only)
    const directory = values.out ?? newDirectory()
    const size = values.quick === true ? 'quick' : values.full === true ? 'full' : 'default'
    const result = await measure(parts, size, directory)
    say(`\nThe report: ${join(directory, 'report.html')}`)
    if (values.json === true) process.stdout.write(`${JSON.stringify(result)}\n`)
    if (!result.parts.every(isFine)) process.exitCode = 1
  }
} catch (error) {
  if (!(error instanceof DamagedResult || error instanceof UsageError)) throw error
  say(error.message)
  process.exitCode = 2
}
