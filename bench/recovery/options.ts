/** The command line of `bench:recovery`. */
import { named, positiveInteger, readCommandLine, refuse, sizeOf } from '../harness/command-line.js'
import { WAYS, type Way } from './ways.js'

export interface Options {
  readonly sizesMb: readonly number[]
  readonly rounds: number
  readonly ways: readonly Way[]
  readonly json: boolean
}

const SIZES_MB = { quick: [20], default: [20, 200], full: [20, 200, 2000] } as const
const ROUNDS = 3
const WAY_NAMES = Object.keys(WAYS) as Way[]

const USAGE = `Usage: npm run bench:recovery [-- options]

  --state-mb <list>  sizes of the state in millions of bytes, with commas (default ${SIZES_MB.default.join(',')})
  --full             sizes ${SIZES_MB.full.join(', ')}: takes some 25 GB of disk and half an hour
  --quick            the smallest size only
  --rounds <n>       measurements of each way in each direction (default ${ROUNDS})
  --only <ways>      of ${WAY_NAMES.join(', ')}, with commas
  --json             print one JSON object as the last line
  --help             print this

Writes a state with the real backend at parallelism 1 and 2 and takes checkpoints; has Flink's RocksDB
backend do the same with the same records, where Java and Maven are present. Then brings each back:
at the same parallelism, from 1 to 2 and from 2 to 1. Contents are verified. A way that fails is absent
from then on; exits with 1 when it is ours, with 2 when nothing could be measured.`

export function readOptions(): Options {
  const { values } = readCommandLine(USAGE, {
    options: {
      'state-mb': { type: 'string' },
      full: { type: 'boolean' },
      quick: { type: 'boolean' },
      rounds: { type: 'string' },
      only: { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  })
  const size = sizeOf(values)
  const list = values['state-mb']
  if (list !== undefined && size !== 'default')
    refuse(`--state-mb and --${size} exclude each other.`)
  return {
    sizesMb:
      list?.split(',').map((text) => positiveInteger('--state-mb', text, NaN)) ?? SIZES_MB[size],
    rounds: positiveInteger('--rounds', values.rounds, ROUNDS),
    ways: values.only === undefined ? WAY_NAMES : named('--only', values.only, WAY_NAMES),
    json: values.json,
  }
}
