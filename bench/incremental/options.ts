/** The command line of this part. Ends the process with status 2 when it asks for what is not there, or contradicts itself. */
import { named, positiveInteger, readCommandLine, refuse } from '../harness/command-line.js'
import type { BenchPart } from '../harness/part.js'
import { KEY_DISTRIBUTIONS } from './key-source.js'
import { CONTENDER_NAMES, type ContenderName } from './names.js'
import { changesText, streamsText } from './plan-text.js'
import { defaultPlan, fullPlan, pickedPlan, quickPlan, restricted, type Plan } from './plan.js'

/** What our backend needs. */
const MEMORY_MIB_MIN = 8

const USAGE = `Usage: npm run bench:incremental [-- options]

  --quick             20 MB, and our increments against our full snapshots at 200 MB: under a minute
  --full              everything: 2 GB too, all changes with all contenders; takes hours and 20 GB of disk
  --state-mb <n,n>    of the loads given by these five, with commas: megabytes of state (200),
  --change <p,p>      percent of the keys that change between two checkpoints (1),
  --keys <k,k>        ${KEY_DISTRIBUTIONS.join(' or ')} (uniform),
  --reads <n,n>       reads per write (1),
  --checkpoints <n>   checkpoints of each contender (20); what is not given is as in brackets
  --only <names>      of the contenders, with commas
  --memory-mib <n>    of each contender, at least ${MEMORY_MIB_MIN} (64: a state of 200 MB does not fit)
  --interval-ms <n>   between checkpoints of the stream that never stands (1500)
  --json              print one JSON object as the last line
  --help              print this

Contenders: ${CONTENDER_NAMES.join(', ')}.
The default goes through uniform loads with 20 MB of state and our increments; at 50 MB with 1 % changed and 5
reads per write it takes 100 checkpoints of ours, beside 20 of LevelDB's own files, and 200 with skewed keys;
at 200 MB it compares all contenders on uniform keys without reads.
Exits with 1 when a goal is missed, with 2 when nothing can be measured.`

export interface Options {
  readonly plan: Plan
  readonly memoryMib: number
  readonly intervalMs: number
  readonly json: boolean
  /** All that decides what is measured. */
  readonly parameters: BenchPart['parameters']
}

interface PlanArguments {
  readonly quick?: boolean | undefined
  readonly full?: boolean | undefined
  readonly 'state-mb'?: string | undefined
  readonly change?: string | undefined
  readonly keys?: string | undefined
  readonly reads?: string | undefined
  readonly checkpoints?: string | undefined
}

export function readOptions(args: string[] = process.argv.slice(2)): Options {
  const { values } = readCommandLine(USAGE, {
    args,
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
    },
  })
  const plan = onlyOf(planOf(values), values.only)
  const memoryMib = positiveInteger('--memory-mib', values['memory-mib'], 64)
  if (memoryMib < MEMORY_MIB_MIN) {
    refuse(
      `--memory-mib must be at least ${MEMORY_MIB_MIN}, got ${memoryMib}: less is not enough for ours.`,
    )
  }
  const intervalMs = positiveInteger('--interval-ms', values['interval-ms'], 1500)
  const changes = changesText(plan.changes)
  const streams = streamsText(plan.streams)
  return {
    plan,
    memoryMib,
    intervalMs,
    json: values.json === true,
    parameters: { memoryMib, intervalMs, changes, streams },
  }
}

function planOf({ quick, full, ...picks }: PlanArguments): Plan {
  const { 'state-mb': stateMb, change, keys, reads, checkpoints } = picks
  const isPicked = [stateMb, change, keys, reads, checkpoints].some((value) => value !== undefined)
  if ([quick === true, full === true, isPicked].filter(Boolean).length > 1) {
    refuse('--quick, --full and loads of your own (--state-mb, --change, ...) exclude each other.')
  }
  if (quick === true) return quickPlan()
  if (full === true) return fullPlan()
  if (!isPicked) return defaultPlan()
  return pickedPlan({
    stateMb: numbers('--state-mb', stateMb, (mb) => mb >= 1),
    changePercent: numbers('--change', change, (percent) => percent > 0 && percent <= 100),
    keys: keys === undefined ? undefined : named('--keys', keys, KEY_DISTRIBUTIONS),
    reads: numbers('--reads', reads, (count) => Number.isSafeInteger(count) && count >= 0),
    checkpoints: positiveInteger('--checkpoints', checkpoints, 20),
  })
}

/** Everyone who is named must have something to do. */
function onlyOf(plan: Plan, text: string | undefined): Plan {
  if (text === undefined) return plan
  const only: readonly ContenderName[] = named('--only', text, CONTENDER_NAMES)
  const measured = [...plan.changes, ...plan.streams].flatMap(({ contenders }) => contenders)
  const idle = only.find((name) => !measured.includes(name))
  if (idle !== undefined)
    refuse(`--only: ${idle} has nothing to do in the loads that were asked for.`)
  return restricted(plan, only)
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
