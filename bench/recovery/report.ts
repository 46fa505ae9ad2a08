/** What the figures are called, how they are drawn, and what a sceptic must know about them. */
import { FigureCollector } from '../harness/figure-collector.js'
import type { BenchChart, BenchPart } from '../harness/part.js'
import type { FlinkRestore } from '../peers/flink/run.js'
import type { Measurement } from '../rescale/measurement.js'
import { KEY_BYTES, MAX_PARALLELISM, RECORD_BYTES, VALUE_BYTES } from '../rescale/records.js'
import { MEMORY_BYTES } from '../rescale/sources.js'
import { WAYS, type Way } from './ways.js'

/** From one parallelism to another. */
export interface Direction {
  readonly name: string
  readonly from: number
  readonly to: number
}

export const DIRECTIONS: readonly Direction[] = [
  { name: 'restore, 1 to 1', from: 1, to: 1 },
  { name: 'rescale out, 1 to 2', from: 1, to: 2 },
  { name: 'rescale in, 2 to 1', from: 2, to: 1 },
]

export class RecoveryReport {
  readonly #collector = new FigureCollector()
  readonly #ways: readonly Way[]
  /** Why it is not measured, or not any more. */
  readonly #absent = new Map<Way, string>()

  constructor(ways: readonly Way[]) {
    this.#ways = ways
  }

  /** The ways that are measured. */
  get present(): Way[] {
    return this.#ways.filter((way) => !this.#absent.has(way))
  }

  /** It stays with the figures it has. */
  giveUp(way: Way, why: string): void {
    this.#absent.set(way, why)
  }

  add(
    { name }: Direction,
    way: Way,
    x: number,
    { elapsedMs, cpuMs, bytesFetched }: Measurement | FlinkRestore,
  ): void {
    const figure = { contender: WAYS[way], x }
    this.#collector.add({ ...figure, name, kind: 'latency', unit: 'ms' }, elapsedMs)
    this.#collector.add({ ...figure, name: processorTime(name), kind: 'cost', unit: 'ms' }, cpuMs)
    this.#collector.add(
      { ...figure, name: `${name}: tables needed`, kind: 'size', unit: 'bytes' },
      bytesFetched,
    )
  }

  /** One of ours that fails is a goal that is missed. */
  part(parameters: BenchPart['parameters']): BenchPart {
    const absent = [...this.#absent]
    const failed = absent.filter(([way]) => way !== 'flink')
    return {
      part: 'recovery',
      title: 'Recovery: restore and rescale against the size of the state',
      parameters,
      figures: this.#collector.figures,
      charts: DIRECTIONS.flatMap(({ name }) => [
        chart(`${name}: until the first read`, name),
        chart(`${name}: processor time of all threads`, processorTime(name)),
      ]),
      goals: failed.map(([way, why]) => ({ text: `${WAYS[way]} fails: ${why}`, reached: false })),
      absent: Object.fromEntries(absent.map(([way, why]) => [WAYS[way], why])),
      notes: NOTES,
    }
  }
}

function processorTime(name: string): string {
  return `${name}: processor time`
}

function chart(title: string, name: string): BenchChart {
  return {
    title,
    kind: 'lines',
    xLabel: 'state, MB',
    yLabel: 'ms',
    xScale: 'log',
    yScale: 'log',
    names: [name],
  }
}

const NOTES: readonly string[] = [
  `The records are those of Flink's rescaling benchmark: keys of ${KEY_BYTES}, values of ${VALUE_BYTES} bytes that do not compress, ` +
    `${MAX_PARALLELISM} key groups; its 10 million records are ${(RECORD_BYTES * 10).toLocaleString('en')} MB, here it is what fits the machine. ` +
    'Flink is given the records of our checkpoint: the same keys in the same key groups, and the same values.',
  'The checkpoint that is restored: one of everything, and five increments of 10,000 changes each. Ours has removals among ' +
    'them; Flink writes 10,000 records anew each time. Both to a local directory.',
  'Timed are all subtasks of the new parallelism, one after the other, each until it has answered a first read. In Flink that is ' +
    "creating the keyed backend from its handles, as in its own benchmark's initializeState, for all subtasks and not only the first.",
  'Every process has brought back an eighth of the state before, untimed: Node.js and the JVM have compiled some code. A process ' +
    'that has not takes longer, the JVM more so.',
  'The work is not the same: ours computes the SHA-256 of every table it fetches or finds, checks the checksums of the blocks it cuts, ' +
    'and cuts tables at the new range; Flink copies files and verifies nothing until blocks are read, deletes what lies outside by range ' +
    'tombstones, and copies entries from all sources but one.',
  'Local recovery: the tables lie on local disk and are linked once their SHA-256 is right, also by a subtask of another range. ' +
    "Flink's local recovery is for an unchanged range only, and is not measured.",
  `Memory: ${MEMORY_BYTES / 2 ** 20} MiB each, in Flink as managed memory.`,
  'The files are in the page cache: no disk or network is waited for. With storage behind a network, what has to be fetched decides.',
  'In the first round the contents of every restored state are counted and summed up, outside the time, and must be those written.',
]
