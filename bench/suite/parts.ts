/** The parts of the benchmark, in the order in which they run. */
import { fileURLToPath } from 'node:url'
import type { BenchPart } from '../harness/part.js'
import { rescalePart } from '../rescale/part.js'
import type { Comparison } from '../rescale/report.js'
import { CONTENDERS } from '../state/report.js'
import { checkPart, Reader } from './reader.js'
import type { RunSize } from './result.js'

export interface SuitePart {
  /** As in `npm run bench:<name>`. */
  readonly name: string
  /** The file that is run. */
  readonly module: string
  /** What is passed besides `--json`. */
  readonly parameters: Readonly<Record<RunSize, readonly string[]>>
  /** From the last line of its output; throws where that is not its form. */
  readonly read: (line: string, size: RunSize) => BenchPart
}

interface RescaleParameters {
  readonly stateMb: number
  readonly rounds: number
  readonly directions: string
}

/** By default one measurement in one direction, as the whole is to take minutes. */
const RESCALE: Readonly<Record<RunSize, RescaleParameters>> = {
  quick: { stateMb: 20, rounds: 1, directions: '1-2' },
  default: { stateMb: 200, rounds: 1, directions: '1-2' },
  full: { stateMb: 2000, rounds: 3, directions: '1-2,2-1,2-3,3-2' },
}

/** Of Flink's RocksDB backend the one with the same memory as the others. */
const IN_MINUTES = CONTENDERS.filter((name) => name !== 'Flink RocksDB')

/** `bench:smoke` is no part: it is for a first look, and what it measures the parts measure as well. */
export const PARTS: readonly SuitePart[] = [
  {
    ...placeOf('state'),
    parameters: sizes('--keys', '50000', '--millis', '60', '--only', IN_MINUTES.join(',')),
    read: readPart,
  },
  { ...placeOf('incremental'), parameters: sizes(), read: readPart },
  {
    ...placeOf('scale'),
    // What a checkpoint costs as the state grows the part before has measured.
    parameters: sizes('--rounds', '1', '--millis', '800', '--only', 'keys,parallelism'),
    read: readPart,
  },
  {
    ...placeOf('recovery'),
    parameters: sizes('--state-mb', '50', '--rounds', '2'),
    read: readPart,
  },
  {
    ...placeOf('rescale'),
    parameters: {
      quick: rescaleParameters(RESCALE.quick),
      default: rescaleParameters(RESCALE.default),
      full: rescaleParameters(RESCALE.full),
    },
    read: readRescale,
  },
]

export function readPart(line: string): BenchPart {
  return checkPart(new Reader(JSON.parse(line), 'the part'))
}

/** It prints the array of its comparisons. */
function readRescale(line: string, size: RunSize): BenchPart {
  const comparisons = JSON.parse(line) as Comparison[]
  return checkPart(new Reader(rescalePart(comparisons, { ...RESCALE[size] }), 'the part'))
}

function rescaleParameters({ stateMb, rounds, directions }: RescaleParameters): string[] {
  return ['--state-mb', String(stateMb), '--rounds', String(rounds), '--directions', directions]
}

/** What the whole takes by default is less than the parts' own defaults together. */
function sizes(...standard: readonly string[]): SuitePart['parameters'] {
  return { quick: ['--quick'], default: standard, full: ['--full'] }
}

function placeOf(name: string): Pick<SuitePart, 'name' | 'module'> {
  return { name, module: fileURLToPath(new URL(`../${name}/main.ts`, import.meta.url)) }
}
