/** The command line of the main job. */
import { parseArgs } from 'node:util'
import { isS3Location } from '../../src/cli/open-s3.js'
import { FLIGHTS_MAX } from './flights-file.js'
import { stateBackendNames, type StateBackendName } from './messages.js'

const RECORDS_MIN = 1000
/** Each subtask's share of the memory budget must be worth having. */
const PARALLELISM_MAX = 32

export interface FlightsOptions {
  readonly records: number
  readonly parallelism: number
  /** Of the second process. */
  readonly restoreParallelism: number
  readonly stateBackend: StateBackendName
  /** `undefined` for a temporary directory. */
  readonly checkpointDirectory: string | undefined
  /** For a checkpoint directory in S3; `undefined` for Amazon's. */
  readonly s3Endpoint: string | undefined
  readonly json: boolean
  readonly help: boolean
}

export const USAGE = `Usage: npm start -- [options]

Runs a job with keyed state over 3,000,000 real flights: for every route the number of flights, flights and delay by day, the last
20 delays, the worst and the mean delay. It takes incremental checkpoints, is killed with SIGKILL half way, comes back from the last
completed checkpoint, and compares every value with a plain computation over the same file.

Options:
  --records N              read only the first N flights, ${RECORDS_MIN} to ${FLIGHTS_MAX} (default: all)
  --parallelism N          subtasks, each with a keyed state backend of its own, 1 to ${PARALLELISM_MAX} (default: 2)
  --restore-parallelism N  the same after the restore (default: one more)
  --state-backend NAME     ${stateBackendNames.join(' or ')} (default: leveldb)
  --checkpoint-dir DIR     where checkpoints go, kept at the end: a directory or s3://bucket/prefix, with region and credentials from the
                           environment (default: a temporary directory, removed at the end)
  --s3-endpoint URL        of an S3 server other than Amazon's
  --json                   print one JSON object as the last line
  --help                   print this

Exit code: 0 identical, 1 different or failed, 2 wrong options.`

/** For a command line that nothing can be made of. */
export class UsageError extends Error {}

export function parseOptions(args: readonly string[]): FlightsOptions {
  const values = parse(args)
  const parallelism = integer('parallelism', values.parallelism, 1, PARALLELISM_MAX)
  const restoreParallelism = values['restore-parallelism']
  return {
    records: integer('records', values.records, RECORDS_MIN, FLIGHTS_MAX),
    parallelism,
    restoreParallelism:
      restoreParallelism === undefined
        ? parallelism + (parallelism < PARALLELISM_MAX ? 1 : -1)
        : integer('restore-parallelism', restoreParallelism, 1, PARALLELISM_MAX),
    stateBackend: stateBackendName(values['state-backend']),
    checkpointDirectory: directory(values['checkpoint-dir']),
    s3Endpoint: s3Endpoint(values['s3-endpoint'], values['checkpoint-dir']),
    json: values.json,
    help: values.help,
  }
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        records: { type: 'string', default: String(FLIGHTS_MAX) },
        parallelism: { type: 'string', default: '2' },
        'restore-parallelism': { type: 'string' },
        'state-backend': { type: 'string', default: 'leveldb' },
        'checkpoint-dir': { type: 'string' },
        's3-endpoint': { type: 'string' },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    }).values
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause)
    throw new UsageError(message.replaceAll(/\s+/g, ' '), { cause })
  }
}

function integer(name: string, text: string, min: number, max: number): number {
  const value = Number(text)
  if (/^[0-9]+$/.test(text) && value >= min && value <= max) return value
  throw new UsageError(
    `--${name} takes a whole number from ${min} to ${max}, not ${JSON.stringify(text)}.`,
  )
}

function stateBackendName(text: string): StateBackendName {
  const name = stateBackendNames.find((each) => each === text)
  if (name !== undefined) return name
  throw new UsageError(
    `--state-backend is ${stateBackendNames.join(' or ')}, not ${JSON.stringify(text)}.`,
  )
}

function directory(text: string | undefined): string | undefined {
  if (text === '') throw new UsageError('--checkpoint-dir takes the name of a directory.')
  return text
}

function s3Endpoint(text: string | undefined, location = ''): string | undefined {
  if (text === undefined) return undefined
  if (!isS3Location(location)) {
    throw new UsageError('--s3-endpoint goes with --checkpoint-dir s3://bucket/prefix.')
  }
  if (URL.canParse(text)) return text
  throw new UsageError(`--s3-endpoint takes a URL, not ${JSON.stringify(text)}.`)
}
