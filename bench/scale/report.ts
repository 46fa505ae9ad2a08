/** What the figures are called, how they are drawn, the goal, and what a sceptic must know. */
import { FigureCollector } from '../harness/figure-collector.js'
import type { BenchChart, BenchFigure, BenchGoal, BenchPart } from '../harness/part.js'
import { medianOf } from '../harness/statistics.js'
import {
  CHANGED_RECORDS,
  CHECKPOINTS,
  INTERVAL_MS,
  KEY_BYTES,
  VALUE_BYTES,
  type CheckpointFigures,
} from './checkpoint-cost.js'
import type { MemoryFigures } from './memory.js'
import { OURS, type CounterContender } from './names.js'
import type { ParallelFigures, ThroughputFigures } from './throughput.js'

const KEYS = 'over keys'
const PARALLELISM = 'over parallelism'
const CHECKPOINT = 'checkpoint of a fixed change'

const UPLOADED = `${CHECKPOINT}: uploaded`
const UPLOADED_MEAN = `${CHECKPOINT}: uploaded, mean with merges and rebases`
const SYNC = `${CHECKPOINT}: caller held`
const ASYNC = `${CHECKPOINT}: asynchronous part`
const PROCESSORS = `${CHECKPOINT}: processor time, with the changes`
const TOTAL = `${CHECKPOINT}: until its handle is there`

/** Of the cost at the largest state over that at the smallest. */
const FLAT_BAR = 1.5
/** What holds the caller for less is not told apart from the noise of a clock and a scheduler. */
const HELD_BAR_MS = 1

export class ScaleReport {
  readonly #collector = new FigureCollector()
  readonly #absent: Record<string, string> = {}

  addKeys(contender: CounterContender, x: number, figures: ThroughputFigures): void {
    this.#addThroughput(KEYS, contender, x, figures)
  }

  addParallelism(x: number, figures: ParallelFigures): void {
    this.#addThroughput(PARALLELISM, OURS, x, figures)
    this.#collector.add(
      {
        name: `${PARALLELISM}: checkpoint of all subtasks`,
        contender: OURS,
        x,
        kind: 'latency',
        unit: 'ms',
      },
      figures.checkpointMs,
    )
  }

  addCheckpoints(x: number, { uploadedBytes, syncMs, asyncMs, cpuMs }: CheckpointFigures): void {
    const collector = this.#collector
    const bytes = { contender: OURS, x, kind: 'size', unit: 'bytes' } as const
    const ms = { contender: OURS, x, kind: 'latency', unit: 'ms' } as const
    const mean = uploadedBytes.reduce((sum, size) => sum + size, 0) / uploadedBytes.length
    const totalMs = syncMs.map((held, index) => held + (asyncMs[index] ?? 0))
    collector.add({ ...bytes, name: UPLOADED }, ...uploadedBytes)
    collector.add({ ...bytes, name: UPLOADED_MEAN }, mean)
    collector.add({ ...ms, name: SYNC }, ...syncMs)
    collector.add({ ...ms, name: ASYNC }, ...asyncMs)
    collector.add({ ...ms, name: TOTAL }, ...totalMs)
    collector.add({ ...ms, name: PROCESSORS, kind: 'cost' }, ...cpuMs)
  }

  /** `why` it could not be measured, or not to the end. */
  addAbsent(contender: CounterContender, why: string): void {
    this.#absent[contender] = why
  }

  get absent(): BenchPart['absent'] {
    return this.#absent
  }

  part(parameters: BenchPart['parameters']): BenchPart {
    const { figures } = this.#collector
    const { absent } = this
    return {
      part: 'scale',
      title: 'Scale: keys, parallelism, and checkpoints as the state grows',
      parameters,
      figures,
      charts: CHARTS,
      goals: goalsOf(figures, absent),
      absent,
      notes: notesOf(figures),
    }
  }

  #addThroughput(
    about: string,
    contender: string,
    x: number,
    { opsPerSecond, memory }: ThroughputFigures,
  ): void {
    this.#collector.add(
      { name: `${about}: throughput`, contender, x, kind: 'throughput', unit: 'ops/s' },
      opsPerSecond,
    )
    for (const [key, text] of MEMORY_TEXTS) {
      const bytes = memory[key]
      if (bytes === undefined) continue
      this.#collector.add(
        { name: `${about}: ${text}`, contender, x, kind: 'size', unit: 'bytes' },
        bytes,
      )
    }
  }
}

const RESIDENT_AT_START = 'resident memory before the store is opened'
const RESIDENT_PEAK = 'resident memory, peak'
const HEAP_PEAK = 'JavaScript heap, peak'

const MEMORY_TEXTS: readonly (readonly [keyof MemoryFigures, string])[] = [
  ['residentAtStartBytes', RESIDENT_AT_START],
  ['residentPeakBytes', RESIDENT_PEAK],
  ['anonymousPeakBytes', 'resident memory without mapped files, peak'],
  ['residentAfterBytes', 'resident memory, after'],
  ['heapPeakBytes', HEAP_PEAK],
  ['heapAfterBytes', 'JavaScript heap, after'],
]

const CHARTS: readonly BenchChart[] = [
  {
    ...lines('Read-modify-write counters, as keys grow', 'keys', 'operations/s'),
    names: [`${KEYS}: throughput`],
  },
  {
    ...lines('Peak of resident memory, as keys grow', 'keys', 'bytes'),
    names: [`${KEYS}: ${RESIDENT_PEAK}`, `${KEYS}: ${HEAP_PEAK}`],
  },
  {
    ...lines('Read-modify-write counters, as parallelism grows', 'subtasks', 'operations/s'),
    yScale: 'linear',
    names: [`${PARALLELISM}: throughput`],
  },
  {
    ...lines('Peak of resident memory, as parallelism grows', 'subtasks', 'bytes'),
    yScale: 'linear',
    names: [`${PARALLELISM}: ${RESIDENT_PEAK}`, `${PARALLELISM}: ${HEAP_PEAK}`],
  },
  {
    ...lines(
      'Uploaded by a checkpoint of a fixed change, as the state grows',
      'state, MB',
      'bytes',
    ),
    names: [UPLOADED, UPLOADED_MEAN],
  },
  {
    ...lines('Time of a checkpoint of a fixed change, as the state grows', 'state, MB', 'ms'),
    names: [SYNC, ASYNC, PROCESSORS],
  },
]

function lines(title: string, xLabel: string, yLabel: string): Omit<BenchChart, 'names'> {
  return { title, kind: 'lines', xLabel, yLabel, xScale: 'log', yScale: 'log' }
}

/** The smallest and the largest x of a figure, with their medians. */
function endsOf(
  figures: readonly BenchFigure[],
  name: string,
): { smallest: Point; largest: Point } | undefined {
  const points = figures
    .filter((figure) => figure.name === name)
    .map(({ x = 0, samples }) => ({ x, median: medianOf(samples) }))
    .toSorted((a, b) => a.x - b.x)
  const [smallest] = points
  const largest = points.at(-1)
  if (smallest === undefined || largest === undefined || points.length < 2) return undefined
  return { smallest, largest }
}

interface Point {
  readonly x: number
  readonly median: number
}

/** Checkpoint cost is flat; none when it was measured at one size only. */
function goalsOf(figures: readonly BenchFigure[], absent: BenchPart['absent']): BenchGoal[] {
  const why = absent[OURS]
  return [
    why === undefined ? [] : [{ text: `${OURS} is measured to the end: ${why}`, reached: false }],
    flat(figures, UPLOADED, 'MB', 1e6, 0),
    flat(figures, SYNC, 'ms', 1, HELD_BAR_MS),
    flat(figures, TOTAL, 'ms', 1, 0),
  ].flat()
}

function flat(
  figures: readonly BenchFigure[],
  name: string,
  unit: string,
  scale: number,
  floor: number,
): BenchGoal[] {
  const ends = endsOf(figures, name)
  if (ends === undefined) return []
  const { smallest, largest } = ends
  const times = largest.median / smallest.median
  const text = ({ x, median }: Point): string =>
    `${(median / scale).toPrecision(3)} ${unit} at ${x} MB`
  const bar = `at most ${FLAT_BAR} times` + (floor === 0 ? '' : `, or under ${floor} ${unit}`)
  return [
    {
      text: `${name}: ${text(smallest)}, ${text(largest)}, ${times.toFixed(2)} times (${bar})`,
      reached: times <= FLAT_BAR || largest.median < floor,
    },
  ]
}

function notesOf(figures: readonly BenchFigure[]): string[] {
  const atStart = figures
    .filter(({ name }) => name === `${KEYS}: ${RESIDENT_AT_START}`)
    .flatMap(({ samples }) => samples)
  const resident =
    atStart.length === 0
      ? ''
      : ` A process with nothing but the runtime and its inputs takes ${(medianOf(atStart) / 1e6).toFixed(0)} MB of it.`
  return [
    'Counters: number keys, uniform; a key is read, and written back plus one. The store was filled before in ascending order, which ' +
      'suits classic-level and lmdb best, and is opened anew in every process: ours restored from a checkpoint, the others from a copy of ' +
      'their files. The first keys are verified in the end.',
    'classic-level and lmdb are used as in bench:state: writes collected by 2000, and read from there until they are written. Nothing is ' +
      'synced, and no checkpoint is taken meanwhile.',
    "The budget is ours and classic-level's; lmdb cannot be told: it uses the page cache, and maps its file. Resident memory counts mapped " +
      `files as far as their pages are in memory (LevelDB's tables too), which the system takes back when it needs them.${resident}`,
    'The JavaScript heap at its peak holds what is not collected yet; the budget covers what is in use, by estimate.',
    'Parallelism is measured for 3 s at least, after 1.5 s: right behind a restore caches fill and LevelDB compacts what was restored, more so ' +
      'with more databases. All subtasks are in one process and share one thread and one budget; the keys are only divided, so more ' +
      'subtasks have no more processors: flat is what to expect. Each has a database and buffers of its own; LevelDB has one compaction thread for ' +
      'all. Subtasks in processes of their own, which do use more processors, are not measured.',
    `Checkpoints: records of ${KEY_BYTES} + ${VALUE_BYTES} bytes; ${CHANGED_RECORDS.toLocaleString('en')} uniform keys are written between two ` +
      `checkpoints, whatever the size; ${CHECKPOINTS} in each process, ${INTERVAL_MS} ms apart, to a local directory with fsync. Medians are judged; ` +
      'the mean of what was uploaded tells of the merges and rebases among them, which small states need more often.',
    'A larger state has more levels, and LevelDB compacts a change through all of them: not flat, and not the cost of a checkpoint, but ' +
      'its processor time shows it as far as it runs meanwhile, and on a machine whose processors are taken it delays checkpoints.',
  ]
}
