/** `npm run bench:scale`: throughput and memory as keys and parallelism grow, and checkpoints as the state grows. */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { inChild, reasonOf } from '../harness/child-process.js'
import {
  finishPart,
  say,
  withTemporaryDirectory,
  withWorkDirectory,
} from '../harness/command-line.js'
import { figureTable } from '../harness/figure-table.js'
import { rotated } from '../harness/statistics.js'
import type { CheckpointFigures } from './checkpoint-cost.js'
import { OURS, type CounterContender } from './names.js'
import { readOptions, type Options, type Subject } from './options.js'
import { ScaleReport } from './report.js'
import type { ParallelFigures, ThroughputFigures } from './throughput.js'

const CHILD = new URL('child.ts', import.meta.url)

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

/** A contender that fails is absent from there on. */
async function attempt(
  report: ScaleReport,
  contender: CounterContender,
  run: () => Promise<void>,
): Promise<void> {
  if (report.absent[contender] !== undefined) return
  try {
    await run()
  } catch (error) {
    const why = reasonOf(error)
    report.addAbsent(contender, why)
    say(`absent: ${contender}, ${why}`)
  }
}

async function overKeys(root: string, options: Options, report: ScaleReport): Promise<void> {
  for (const keyCount of options.sizes.keyCounts) {
    await withWorkDirectory(root, (directory) =>
      atKeyCount(keyCount, root, directory, options, report),
    )
  }
}

/** The order of contenders is another one in each round. */
async function atKeyCount(
  keyCount: number,
  root: string,
  directory: string,
  options: Options,
  report: ScaleReport,
): Promise<void> {
  const { contenders, rounds } = options
  for (const contender of contenders) {
    say(`Filling ${contender} with ${keyCount} keys`)
    await attempt(report, contender, () => fill(contender, join(directory, contender), keyCount))
  }
  for (let round = 0; round < rounds; round++) {
    for (const contender of rotated(contenders, round)) {
      await attempt(report, contender, async () => {
        const filled = join(directory, contender)
        const figures = await measureKeys(root, options, contender, filled, keyCount)
        report.addKeys(contender, keyCount, figures)
        sayThroughput(`${keyCount} keys, ${contender}`, figures)
      })
    }
  }
}

function measureKeys(
  root: string,
  { millis, memoryBytes }: Options,
  contender: CounterContender,
  filled: string,
  keyCount: number,
): Promise<ThroughputFigures> {
  const measured = { keyCount, millis, memoryBytes }
  return withWorkDirectory(root, (work) =>
    inChild(CHILD, 'measureThroughput', contender, filled, work, measured),
  )
}

function overParallelism(root: string, options: Options, report: ScaleReport): Promise<void> {
  return withWorkDirectory(root, async (directory) => {
    const { parallelKeys: keyCount, parallelisms } = options.sizes
    const filled = join(directory, 'filled')
    say(`Filling ${keyCount} keys, to be divided`)
    await fill(OURS, filled, keyCount)
    const { parallelMillis: millis, memoryBytes } = options
    const measured = { keyCount, millis, memoryBytes }
    for (let round = 0; round < options.rounds; round++) {
      for (const parallelism of rotated(parallelisms, round)) {
        const figures = await withWorkDirectory(root, (work) =>
          inChild<ParallelFigures>(CHILD, 'measureParallel', parallelism, filled, work, measured),
        )
        report.addParallelism(parallelism, figures)
        sayThroughput(`${keyCount} keys, ${parallelism} subtasks`, figures)
      }
    }
  })
}

function checkpointCost(root: string, options: Options, report: ScaleReport): Promise<void> {
  return withWorkDirectory(root, async (directory) => {
    const { statesMb } = options.sizes
    const filled = (stateMb: number): string => join(directory, `${stateMb}-mb`)
    for (const stateMb of statesMb) {
      say(`Building a state of ${stateMb} MB`)
      await inChild(CHILD, 'fillPayload', filled(stateMb), stateMb)
    }
    for (let round = 0; round < options.rounds; round++) {
      for (const stateMb of rotated(statesMb, round)) {
        const figures = await withWorkDirectory(root, (work) =>
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

const options = readOptions()
const report = new ScaleReport()
await withTemporaryDirectory(async (root) => {
  for (const subject of options.subjects) {
    const run = (): Promise<void> => RUNS[subject](root, options, report)
    await (subject === 'keys' ? run() : attempt(report, OURS, run))
  }
})
const part = report.part(options.parameters)
say(figureTable(part.figures, 'at'))
for (const note of part.notes) say(`- ${note}`)
finishPart(part, options.json)
