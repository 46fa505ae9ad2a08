/** The command line of this part. Ends the process with status 2 when it asks for what is not there, or contradicts itself. */
import {
  named,
  positiveInteger,
  readCommandLine,
  refuse,
  selected,
} from '../harness/command-line.js'
import type { BenchPart } from '../harness/part.js'
import { COUNTER_CONTENDERS, OURS, type CounterContender } from './names.js'

export const SUBJECTS = ['keys', 'parallelism', 'checkpoints'] as const
export type Subject = (typeof SUBJECTS)[number]

const CONTENDERS_OF: Readonly<Record<Subject, readonly CounterContender[]>> = {
  keys: COUNTER_CONTENDERS,
  parallelism: [OURS],
  checkpoints: [OURS],
}

export interface Sizes {
  readonly keyCounts: readonly number[]
  readonly parallelKeys: number
  readonly parallelisms: readonly number[]
  readonly statesMb: readonly number[]
}

const DEFAULT: Sizes = {
  keyCounts: [100_000, 1_000_000, 3_000_000],
  parallelKeys: 1_000_000,
  parallelisms: [1, 2, 4, 8],
  statesMb: [20, 200],
}
const FULL: Sizes = {
  ...DEFAULT,
  keyCounts: [...DEFAULT.keyCounts, 10_000_000],
  statesMb: [...DEFAULT.statesMb, 2000],
}
const QUICK: Sizes = {
  keyCounts: [100_000],
  parallelKeys: 100_000,
  parallelisms: [1, 2],
  statesMb: [20],
}
const ROUNDS = 2
const MILLIS = 1500
/**
 * Of parallelism: for the first second behind a restore caches fill and LevelDB compacts what was restored, the more so the more databases
 * there are. Measured then, 1 subtask is twice as fast as 8 (158 to 71 thousand operations/s); for 3 s they are alike (92 to 109).
 */
const PARALLEL_MILLIS_MIN = 3000
const MEMORY_MIB = 64
/** What each of our subtasks needs. */
const SUBTASK_MIB_MIN = 8

const USAGE = `Usage: npm run bench:scale [-- options]

  --full              also ${FULL.keyCounts.at(-1)} keys and ${FULL.statesMb.at(-1)} MB of state
  --quick             the smallest sizes only
  --rounds <n>        processes of each contender and size, in rotated order (default ${ROUNDS})
  --millis <n>        how long counters are incremented in each, after half of it to warm up
                      (default ${MILLIS}; of parallelism at least ${PARALLEL_MILLIS_MIN})
  --memory-mib <n>    memory budget, at least ${SUBTASK_MIB_MIN} for each subtask (default ${MEMORY_MIB})
  --only <names>      of the subjects (${SUBJECTS.join(', ')}) and of the contenders
                      (${COUNTER_CONTENDERS.join(', ')}), with commas;
                      parallelism and checkpoints are of ours alone
  --json              print one JSON object as the last line
  --help              print this

Measures read-modify-write counters on a growing number of keys within one memory budget, beside raw
classic-level and lmdb; the same number of keys divided between more and more subtasks; and
checkpoints of a fixed change of a growing state.
Exits with 1 when the cost of a checkpoint is not flat, with 2 when nothing can be measured.`

export interface Options {
  readonly sizes: Sizes
  readonly rounds: number
  readonly millis: number
  readonly parallelMillis: number
  readonly memoryBytes: number
  readonly subjects: readonly Subject[]
  readonly contenders: readonly CounterContender[]
  readonly json: boolean
  /** All that decides what is measured. */
  readonly parameters: BenchPart['parameters']
}

export function readOptions(args: string[] = process.argv.slice(2)): Options {
  const { values } = readCommandLine(USAGE, {
    args,
    options: {
      full: { type: 'boolean' },
      quick: { type: 'boolean' },
      rounds: { type: 'string' },
      millis: { type: 'string' },
      'memory-mib': { type: 'string' },
      only: { type: 'string' },
      json: { type: 'boolean' },
    },
  })
  if (values.full === true && values.quick === true)
    refuse('--quick and --full exclude each other.')
  const sizes = values.full === true ? FULL : values.quick === true ? QUICK : DEFAULT
  const chosen = chosenOf(values.only)
  const memoryMib = memoryMibOf(values['memory-mib'], sizes, chosen.subjects)
  const rounds = positiveInteger('--rounds', values.rounds, ROUNDS)
  const millis = positiveInteger('--millis', values.millis, MILLIS)
  const options: Omit<Options, 'parameters'> = {
    ...chosen,
    sizes,
    rounds,
    millis,
    parallelMillis: Math.max(millis, PARALLEL_MILLIS_MIN),
    memoryBytes: memoryMib * 2 ** 20,
    json: values.json === true,
  }
  return { ...options, parameters: { memoryMib, rounds, ...parametersOf(options) } }
}

/** Of each subject that is measured. */
function parametersOf(options: Omit<Options, 'parameters'>): BenchPart['parameters'] {
  const { sizes, subjects, contenders, millis, parallelMillis } = options
  const { keyCounts, parallelKeys, parallelisms, statesMb } = sizes
  const parameters: Record<Subject, BenchPart['parameters']> = {
    keys: { contenders: listText(contenders), keyCounts: listText(keyCounts), millis },
    parallelism: { parallelKeys, parallelisms: listText(parallelisms), parallelMillis },
    checkpoints: { statesMb: listText(statesMb) },
  }
  return Object.fromEntries(subjects.flatMap((subject) => Object.entries(parameters[subject])))
}

function listText(values: readonly (string | number)[]): string {
  return values.join(', ')
}

/** `only` may leave out either kind: then all of it is meant that has part in what is named of the other. */
function chosenOf(only: string | undefined): Pick<Options, 'subjects' | 'contenders'> {
  const known = [...SUBJECTS, ...COUNTER_CONTENDERS]
  const names = only === undefined ? [] : named('--only', only, known)
  const pairs = selected(SUBJECTS, names).flatMap((subject) =>
    selected(COUNTER_CONTENDERS, names)
      .filter((contender) => CONTENDERS_OF[subject].includes(contender))
      .map((contender) => ({ subject, contender })),
  )
  const measured: readonly string[] = pairs.flatMap((pair) => [pair.subject, pair.contender])
  const idle = names.find((name) => !measured.includes(name))
  if (idle !== undefined) refuse(`--only: ${idle} has no part in what else is named.`)
  return {
    subjects: SUBJECTS.filter((name) => measured.includes(name)),
    contenders: COUNTER_CONTENDERS.filter((name) => measured.includes(name)),
  }
}

function memoryMibOf(
  text: string | undefined,
  { parallelisms }: Sizes,
  subjects: readonly Subject[],
): number {
  const memoryMib = positiveInteger('--memory-mib', text, MEMORY_MIB)
  const subtasks = subjects.includes('parallelism') ? Math.max(...parallelisms) : 1
  const minimum = SUBTASK_MIB_MIN * subtasks
  if (memoryMib >= minimum) return memoryMib
  return refuse(
    `--memory-mib must be at least ${minimum}, got ${memoryMib}: ${SUBTASK_MIB_MIN} for each subtask.`,
  )
}
