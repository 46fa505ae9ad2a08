/** Runs one part in a process of its own and takes what it gives. */
import { reasonOf, runNode } from '../harness/child-process.js'
import { loadNow } from './environment.js'
import { readPart, type SuitePart } from './parts.js'
import type { PartResult, RunSize } from './result.js'

/** A full part takes hours. */
const PART_TIMEOUT_MS = 24 * 3_600_000
/** To end its own children in, and to remove gigabytes. */
const GRACE_MS = 60_000

/**
 * Never rejects: a part that cannot be measured is a result too. Its progress goes to standard error as it comes. It ends with this
 * process; when a signal ends that, the promise stays as it is, and nothing is written of the part.
 */
export async function runPart(suitePart: SuitePart, size: RunSize): Promise<PartResult> {
  const { name, module } = suitePart
  const start = performance.now()
  const loadStart = loadNow()
  const parameters = ['--import', 'tsx', module, '--json', ...suitePart.parameters[size]]
  const about = (): Pick<PartResult, 'name' | 'seconds' | 'load'> => ({
    name,
    seconds: Math.round((performance.now() - start) / 1000),
    load: { start: loadStart, end: loadNow() },
  })
  try {
    const part = readPart(await lastLineOf(parameters))
    return { ...about(), status: 'measured', part }
  } catch (error) {
    return { ...about(), status: 'failed', reason: reasonOf(error) }
  }
}

/** Rejects unless the process printed a line. Status 1 with a line is a goal that was missed. */
async function lastLineOf(parameters: readonly string[]): Promise<string> {
  const options = { stderr: 'inherit', timeoutMs: PART_TIMEOUT_MS, graceMs: GRACE_MS } as const
  const { status, signal, stdout } = await runNode(parameters, options)
  const line = stdout.trimEnd().split('\n').at(-1) ?? ''
  if ((status === 0 || status === 1) && line !== '') return line
  const ended = signal === null ? `status ${status}` : `signal ${signal}`
  throw new Error(`it ended with ${ended} and gave no figures; its output says why`)
}
