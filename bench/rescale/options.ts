/** The command line of `bench:rescale`. */
import { positiveInteger, readCommandLine, refuse, sizeOf } from '../harness/command-line.js'
import type { Verified } from './measurement.js'

/** From one parallelism to another. */
export type Direction = readonly [from: number, to: number]

export interface Options {
  readonly stateMb: number
  readonly rounds: number
  readonly directions: readonly Direction[]
  readonly verify: Exclude<Verified, 'none'>
  readonly json: boolean
}

/** What a larger state is compared with. */
export const STATE_MB = 200
const DIRECTIONS = ['1-2', '2-1', '2-3', '3-2']
const ALL = DIRECTIONS.join(',')

const SIZES = {
  quick: { stateMb: 20, rounds: 1, directions: '1-2' },
  default: { stateMb: STATE_MB, rounds: 3, directions: ALL },
  full: { stateMb: 2000, rounds: 3, directions: ALL },
} as const

const USAGE = `Usage: npm run bench:rescale [-- options]

  --quick            ${SIZES.quick.stateMb} MB from 1 to 2, one round
  --full             ${SIZES.full.stateMb} MB
  --state-mb <n>     size of the state in millions of bytes (default ${STATE_MB})
  --rounds <n>       measurements of each way in each direction (default ${SIZES.default.rounds})
  --directions <d>   of ${ALL} (default all)
  --verify <part>    of the key groups of each new subtask: all or eighth (default all)
  --json             print one JSON object as the last line
  --help             print this

Builds a state with the real backend, then brings it back at another parallelism in three ways:
adopting its tables; clearing and copying into the largest source, the way of Flink's default, with what
LevelDB has: keys are cleared one by one; and reading and writing every entry. The tables are local
files for all three (hard links, on trust). Timed are all subtasks of the new parallelism, one after the
other, each until its database is open and has answered a read, in a process that has brought back an
eighth of the state before. Once for each way the contents are counted and summed, and must be equal.
Besides, adoption is measured once in a process that has done nothing before ("cold"), with tables of a
dead process whose SHA-256 is checked ("recovered"), and with tables from storage ("downloaded"); what
downloading adds is added to the others too for the ratios "with download". Above ${STATE_MB} MB, a state of
${STATE_MB} MB is adopted as well, to compare.
Exits with 1 when a figure falls short of its bar.`

export function readOptions(): Options {
  const { values } = readCommandLine(USAGE, {
    options: {
      quick: { type: 'boolean' },
      full: { type: 'boolean' },
      'state-mb': { type: 'string' },
      rounds: { type: 'string' },
      directions: { type: 'string' },
      verify: { type: 'string', default: 'all' },
      json: { type: 'boolean', default: false },
    },
  })
  const size = SIZES[sizeOf(values)]
  const { verify, json } = values
  if (verify !== 'all' && verify !== 'eighth') {
    return refuse(`--verify must be all or eighth, got ${verify}.`)
  }
  return {
    stateMb: positiveInteger('--state-mb', values['state-mb'], size.stateMb),
    rounds: positiveInteger('--rounds', values.rounds, size.rounds),
    directions: directionsOf(values.directions ?? size.directions),
    verify,
    json,
  }
}

function directionsOf(text: string): Direction[] {
  const names = text.split(',').map((name) => name.trim())
  if (names.some((name) => !DIRECTIONS.includes(name))) {
    return refuse(`--directions must be of ${ALL}, got ${text}.`)
  }
  return names.map((name): Direction => {
    const [from = 0, to = 0] = name.split('-').map(Number)
    return [from, to]
  })
}
