/** The command line of this part. Ends the process with status 2 when it asks for what is not there. */
import { parseArgs } from 'node:util'
import { positiveInteger, say } from '../harness/command-line.js'
import { KEY_DISTRIBUTIONS } from './key-source.js'
import { CONTENDER_NAMES, type ContenderName } from './names.js'
import { defaultPlan, fullPlan, pickedPlan, quickPlan, restricted, type Plan } from './plan.js'

const USAGE = `Usage: npm run bench:incremental [-- options]

  --quick             20 MB, and our increments against our full snapshots at 200 MB: under a minute
  --full              everything: 2 GB too, all changes with all contenders; takes hours and 20 GB of disk
  --state-mb <n,n>    of the loads given by these four, with commas: megabytes of state (200),
  --change <p,p>      percent of the keys that change between two checkpoints (1),
  --keys <k,k>        ${KEY_DISTRIBUTIONS.join(' or ')} (uniform),
  --reads <n,n>       reads per write (1); what is not given is as in brackets
  --checkpoints <n>   of each such load (20)
  --only <names>      of the contenders, with commas
  --memory-mib <n>    of each contender (64: a state of 200 MB does not fit)
  --interval-ms <n>   between checkpoints of the stream that never stands (1500)
  --json              print one JSON object as the last line
  --help              print this

Contenders: ${CONTENDER_NAMES.join(', ')}.
The default goes through the loads with 20 MB of state and our increments; at 50 MB with 1 % changed and 5
reads per write it takes 100 checkpoints of ours, with skewed keys 200; at 200 MB it compares the contenders
on uniform keys without reads, and LevelDB's own files also with reads.
Exits with 1 when a goal is missed.`

export interface Options {
  readonly plan: Plan
  readonly memoryMib: number
  readonly intervalMs: number
  readonly json: boolean
  /** As given, for the record. */
  readonly parameters: Readonly<Record<string, string | number | boolean>>
}

/** `undefined` when help was asked for, and printed. */
export function readOptions(): Options | undefined {
  const { values } = parseArgs({
    options: {
      quick: { type: 'boolean' },
      full: { type: 'boolean' },
      'state-mb': { type: 'string' },
      change: { type: 'string' },
      keys: { type: 'string' },
      reads: { type: 'string' },
      checkpoints: { type: 'string' },
      only: { type: 'string' },
      'memory-mib': { type: 'string' },
      'interval-ms': { type: 'string' },
      json: { type: 'boolean' },
      help: { type: 'boolean' },
    },
  })
  if (values.help === true) {
    process.stdout.write(`${USAGE}\n`)
    return undefined
  }
  const { 'state-mb': stateMb, change, keys, reads, checkpoints } = values
  const picks = [stateMb, change, keys, reads, checkpoints].some((value) => value !== undefined)
  const plan = picks
    ? pickedPlan({
        stateMb: numbers('--state-mb', stateMb, (mb) => mb >= 1),
        changePercent: numbers('--change', change, (percent) => percent > 0 && percent <= 100),
        keys: keys === undefined ? undefined : named('--keys', keys, KEY_DISTRIBUTIONS),
        reads: numbers('--reads', reads, (count) => Number.isSafeInteger(count) && count >= 0),
        checkpoints: positiveInteger('--checkpoints', checkpoints, 20),
      })
    : (values.quick === true ? quickPlan : values.full === true ? fullPlan : defaultPlan)()
  const only: readonly ContenderName[] =
    values.only === undefined ? CONTENDER_NAMES : named('--only', values.only, CONTENDER_NAMES)
  const memoryMib = positiveInteger('--memory-mib', values['memory-mib'], 64)
  const intervalMs = positiveInteger('--interval-ms', values['interval-ms'], 1500)
  const { json, ...given } = values
  return {
    plan: restricted(plan, only),
    memoryMib,
    intervalMs,
    json: json === true,
    parameters: { ...given, memoryMib, intervalMs },
  }
}

function numbers(
  name: string,
  text: string | undefined,
  isValid: (value: number) => boolean,
): number[] | undefined {
  const values = text?.split(',').map(Number)
  if (values?.every(isValid) === false) refuse(`${name} cannot be ${text}; see --help.`)
  return values
}

function named<T extends string>(option: string, text: string, known: readonly T[]): T[] {
  const names = text.split(',').map((name) => name.trim())
  const unknown = names.find((name) => !known.some((each) => each === name))
  if (unknown !== undefined) refuse(`${option}: there is no ${unknown}; see --help.`)
  return known.filter((each) => names.includes(each))
}

function refuse(why: string): never {
  say(why)
  process.exit(2)
}
