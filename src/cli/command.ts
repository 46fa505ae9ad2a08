/** What every subcommand is made of, and what it shares with the others: its world, its common arguments, its errors. */
import { parseArgs, type ParseArgsConfig } from 'node:util'
import type { Clock } from '../common/clock.js'
import { CheckpointStorage } from '../storage/checkpoint-storage.js'
import { openObjectStore } from './open-object-store.js'
import { UsageError } from './usage-error.js'

export interface Output {
  write(text: string): unknown
  /** Progress is shown on a terminal only. */
  readonly isTTY?: boolean | undefined
}

export interface CommandWorld {
  readonly stdout: Output
  readonly stderr: Output
  readonly clock: Clock
}

/** 0: well. 1: something is wrong with what was looked at, or it could not be looked at. 2: wrong arguments. */
export type ExitCode = 0 | 1 | 2

export interface Command {
  readonly name: string
  /** One line. */
  readonly summary: string
  /** What `--help` prints. */
  readonly usage: string
  /** `args` are those after the command's name. Throws `UsageError`. */
  run(args: readonly string[], world: CommandWorld): Promise<ExitCode>
}

/** For the `usage` of every command. */
export const STORAGE_USAGE =
  '  <storage>       the directory, or s3://bucket/prefix, that checkpoints are written to'

/** The options that every command takes, for its `usage`. */
export const COMMON_OPTIONS_USAGE = `  --job J         the job's id: the name of its folder in the storage
  --s3-endpoint URL
                  for a storage s3://bucket/prefix on a server other than Amazon's
  --json          print one JSON object, with sizes in bytes and times in milliseconds
  --help          print this`

type OptionsConfig = NonNullable<ParseArgsConfig['options']>

const commonOptions = {
  job: { type: 'string' },
  's3-endpoint': { type: 'string' },
  json: { type: 'boolean', default: false },
} as const satisfies OptionsConfig

type Values = Readonly<Record<string, string | boolean | undefined>>

export interface CommandArguments {
  readonly storage: CheckpointStorage
  readonly json: boolean
  /** Of the command's own options, as they were given. */
  readonly values: Values
}

/** The storage and job that `args` name, and the command's own `options`. */
export async function parseCommand(
  args: readonly string[],
  options: OptionsConfig,
): Promise<CommandArguments> {
  const { values, positionals } = parse(args, { ...commonOptions, ...options })
  const [location, ...more] = positionals
  if (location === undefined || location === '') {
    throw new UsageError(
      'Name the storage that checkpoints are written to: a directory, or s3://bucket/prefix.',
    )
  }
  if (more.length > 0) throw new UsageError(`One storage at a time, not also ${more.join(' ')}.`)
  const jobId = values['job']
  if (typeof jobId !== 'string') {
    throw new UsageError("Name the job: --job J, the jobId of the job's CheckpointStorage.")
  }
  const endpoint = values['s3-endpoint']
  const objectStore = await openObjectStore(
    location,
    typeof endpoint === 'string' ? endpoint : undefined,
  )
  const storage = new CheckpointStorage(objectStore, { jobId })
  return { storage, json: values['json'] === true, values }
}

function parse(
  args: readonly string[],
  options: OptionsConfig,
): { values: Values; positionals: string[] } {
  try {
    const { values, positionals } = parseArgs({ args: [...args], options, allowPositionals: true })
    return { values: values as Values, positionals }
  } catch (cause) {
    // Of an unknown option, Node's message goes on about what a positional argument is.
    const [message = ''] = cause instanceof Error ? cause.message.split('. ') : [String(cause)]
    throw new UsageError(`${message.replaceAll(/\s+/g, ' ').replace(/\.$/, '')}.`, { cause })
  }
}

export function writeJSON(output: Output, value: unknown): void {
  output.write(`${JSON.stringify(value)}\n`)
}
