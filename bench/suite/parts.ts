/** The parts of the benchmark, in the order in which they run. */
import { fileURLToPath } from 'node:url'
import type { BenchPart } from '../harness/part.js'
import { checkPart, Reader } from './reader.js'
import type { RunSize } from './result.js'

export interface SuitePart {
  /** As in `npm run bench:<name>`. */
  readonly name: string
  /** The file that is run. */
  readonly module: string
  /** What is passed besides `--json`. */
  readonly parameters: Readonly<Record<RunSize, readonly string[]>>
}

/** `bench:smoke` is no part: it is for a first look, and what it measures the parts measure as well. */
export const PARTS: readonly SuitePart[] = [
  {
    ...placeOf('state'),
    parameters: sizes('--keys', '50000', '--millis', '50'),
  },
  { ...placeOf('incremental'), parameters: sizes() },
  {
    ...placeOf('scale'),
    // What a checkpoint costs as the state grows the part before has measured.
    parameters: sizes('--rounds', '1', '--millis', '600', '--only', 'keys,parallelism'),
  },
  {
    ...placeOf('recovery'),
    parameters: sizes('--state-mb', '20,50', '--rounds', '2'),
  },
  {
    ...placeOf('rescale'),
    parameters: sizes('--rounds', '1', '--directions', '1-2', '--verify', 'eighth'),
  },
]

/** From the last line of the output of a part; throws where that is not its form. */
export function readPart(line: string): BenchPart {
  return checkPart(new Reader(JSON.parse(line), 'the part'))
}

/** What the whole takes by default is less than the parts' own defaults together. */
function sizes(...standard: readonly string[]): SuitePart['parameters'] {
  return { quick: ['--quick'], default: standard, full: ['--full'] }
}

function placeOf(name: string): Pick<SuitePart, 'name' | 'module'> {
  return { name, module: fileURLToPath(new URL(`../${name}/main.ts`, import.meta.url)) }
}
