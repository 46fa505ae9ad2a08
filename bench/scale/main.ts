/** `npm run bench:scale`: throughput and memory as keys and parallelism grow, and checkpoints as the state grows. */
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { inChild } from '../harness/child-process.js'
import {
  finishPart,
  positiveInteger,
  say,
  withTemporaryDirectory,
} from '../harness/command-line.js'
import { figureTable } from '../harness/figure-table.js'
import { rotated } from '../harness/statistics.js'
import type { CheckpointFigures } from './checkpoint-cost.js'
import { COUNTER_CONTENDERS, type CounterContender } from './counters.js'
import { OURS, ScaleReport } from './report.js'
import type { ParallelFigures, ThroughputFigures, ThroughputOptions } from './throughput.js'

const SUBJECTS = ['keys', 'parallelism', 'checkpoints'] as const
type Subject = (typeof SUBJECTS)[number]

interface Sizes {
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
const MEMORY_MIB = 64

const USAGE = `Usage: npm run bench:scale [-- options]

  --full              also ${FULL.keyCounts.at(-1)} keys and ${FULL.statesMb.at(-1)} MB of state
  --quick             the smallest sizes only
  --rounds <n>        processes of each contender and size, in rotated order (default ${ROUNDS})
  --millis <n>        how long counters are incremented in each, after half of it to warm up
                      (default ${MILLIS})
  --memory-mib <n>    memory budget, at least 8 for each subtask (default ${MEMORY_MIB})
  --only <names>      of the subjects (${SUBJECTS.join(', ')}) and of the contenders
                      (${COUNTER_CONTENDERS.join(', ')}), with commas
  --json              print one JSON object as the last line
  --help              print this

Measures read-modify-write counters on a growing number of keys within one memory budget, beside raw
classic-level and lmdb; the same number of keys divided between more and more subtasks; and
checkpoints of a fixed change of a growing state.
Exits with 1 when the cost of a checkpoint is not flat.`

const CHILD = new URL('child.ts', import.meta.url)

interface Options {
  readonly sizes: Sizes
  readonly rounds: number
  readonly millis: number
  readonly memoryBytes: number
  readonly subjects: readonly Subject[]
  readonly contenders: readonly CounterContender[]
}

async function inDirectory<T>(root: string, use: (directory: string) => Promise<T>): Promise<T> {
  const directory = await mkdtemp(join(root, 'work-'))
  try {
    return await use(directory)
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

function throughputOptions({ millis, memoryBytes }: Options, keyCount: number): ThroughputOptions {
  return { keyCount, memoryBytes, millis }
}

function sayThroughput(
  about: string,
  { opsPerSecond, memory: { residentPeakBytes, heapPeakBytes } }: ThroughputFigures,
): void {
  say(
    `  ${about.padEnd(46)} ${(opsPerSecond / 1000).toFixed(0).padStart(5)} thousand operations/s, peak ` +
      `${(residentPeakBytes / 1e6).toFixed(0)} MB resident, ${(heapPeakBytes / 1e6).toFixed(0)} MB of heap`,
  )
}

async function fill(contender: CounterContender, path: string, keyCount: number): Promise<void> {
  await mkdir(path)
  await inChild(CHILD, 'fillCounters', contender, path, keyCount)
}

/** The order of contenders is another one in each round. */
function overKeys(root: string, options: Options, report: ScaleReport): Promise<void> {
  return inDirectory(root, async (directory) => {
    for (const keyCount of options.sizes.keyCounts) {
      const measured = throughputOptions(options, keyCount)
      const filled = (contender: CounterContender): string =>
        join(directory, `${contender}-${keyCount}`)
      for (const contender of options.contenders) {
        say(`Filling ${contender} with ${keyCount} keys`)
        await fill(contender, filled(contender), keyCount)
      }
      for (let round = 0; round < options.rounds; round++) {
        for (const contender of rotated(options.contenders, round)) {
          const figures = await inDirectory(root, (work) =>
            inChild<ThroughputFigures>(
              CHILD,
              'measureThroughput',
              contender,
              filled(contender),
              work,
              measured,
            ),
          )
          report.addKeys(contender, keyCount, figures)
          sayThroughput(`${keyCount} keys, ${contender}`, figures)
        }
      }
      for (const contender of options.contenders) await rm(filled(contender), { recursive: true })
    }
  })
}

function overParallelism(root: string, options: Options, report: ScaleReport): Promise<void> {
  return inDirectory(root, async (directory) => {
    const { parallelKeys, parallelisms } = options.sizes
    const filled = join(directory, 'filled')
    say(`Filling ${parallelKeys} keys, to be divided`)
    await fill(OURS, filled, parallelKeys)
    const measured = throughputOptions(options, parallelKeys)
    for (let round = 0; round < options.rounds; round++) {
      for (const parallelism of rotated(parallelisms, round)) {
        const figures = await inDirectory(root, (work) =>
          inChild<ParallelFigures>(CHILD, 'measureParallel', parallelism, filled, work, measured),
        )
        report.addParallelism(parallelism, figures)
        sayThroughput(`${parallelKeys} keys, ${parallelism} subtasks`, figures)
      }
    }
  })
}

function checkpointCost(root: string, options: Options, report: ScaleReport): Promise<void> {
  return inDirectory(root, async (directory) => {
    const { statesMb } = options.sizes
    const filled = (stateMb: number): string => join(directory, `${stateMb}-mb`)
    for (const stateMb of statesMb) {
      say(`Building a state of ${stateMb} MB`)
      await inChild(CHILD, 'fillPayload', filled(stateMb), stateMb)
    }
    for (let round = 0; round < options.rounds; round++) {
      for (const stateMb of rotated(statesMb, round)) {
        const figures = await inDirectory(root, (work) =>
          inChild<CheckpointFigures>(
            CHILD,
            'measureCheckpoints',
            filled(stateMb),
            work,
            stateMb,
            options.memoryBytes,
          ),
        )
        report.addCheckpoints(stateMb, figures)
        const ms = figures.asyncMs.map((value) => value.toFixed(0)).join(' ')
        say(`  checkpoints of ${stateMb} MB: ${figures.kinds.join(' ')}; asynchronous ${ms} ms`)
      }
    }
  })
}

const RUNS: Record<
  Subject,
  (root: string, options: Options, report: ScaleReport) => Promise<void>
> = { keys: overKeys, parallelism: overParallelism, checkpoints: checkpointCost }

/** `names` may leave out either kind: then all of it is meant. */
function selected<T extends string>(all: readonly T[], names: readonly string[]): readonly T[] {
  const chosen = all.filter((name) => names.includes(name))
  return chosen.length === 0 ? all : chosen
}

function namesOf(only: string | undefined): string[] {
  const names = only?.split(',').map((name) => name.trim()) ?? []
  const known: readonly string[] = [...SUBJECTS, ...COUNTER_CONTENDERS]
  const unknown = names.find((name) => !known.includes(name))
  if (unknown === undefined) return names
  say(`--only: there is no ${unknown}; see --help.`)
  return process.exit(2)
}

const { values } = parseArgs({
  options: {
    full: { type: 'boolean' },
    quick: { type: 'boolean' },
    rounds: { type: 'string' },
    millis: { type: 'string' },
    'memory-mib': { type: 'string' },
    only: { type: 'string' },
    json: { type: 'boolean' },
    help: { type: 'boolean' },
  },
})
if (values.help === true) {
  process.stdout.write(`${USAGE}\n`)
} else {
  const names = namesOf(values.only)
  const memoryMib = positiveInteger('--memory-mib', values['memory-mib'], MEMORY_MIB)
  const options: Options = {
    sizes: values.full === true ? FULL : values.quick === true ? QUICK : DEFAULT,
    rounds: positiveInteger('--rounds', values.rounds, ROUNDS),
    millis: positiveInteger('--millis', values.millis, MILLIS),
    memoryBytes: memoryMib * 2 ** 20,
    subjects: selected(SUBJECTS, names),
    contenders: selected(COUNTER_CONTENDERS, names),
  }
  await withTemporaryDirectory(async (root) => {
    const report = new ScaleReport()
    for (const subject of options.subjects) await RUNS[subject](root, options, report)
    const { rounds, millis } = options
    const part = report.part({ memoryMib, rounds, millis }, {})
    say(figureTable(part.figures, 'at'))
    for (const note of part.notes) say(`- ${note}`)
    finishPart(part, values.json === true)
  })
}
