/**
 * Runs parts one after the other into one result, and writes it with its report.
 *
 * B1 The result is written after every part: a run that is interrupted leaves what it has.
 * B2 A part that fails is in the result with its reason, and the others are run.
 */
import { join } from 'node:path'
import { say } from '../harness/command-line.js'
import { loadNow, theseVersions, thisMachine } from './environment.js'
import { readmeFigures } from './figures.js'
import type { SuitePart } from './parts.js'
import { reportHtml } from './report/report.js'
import {
  newResult,
  writeResult,
  writeWhole,
  type PartResult,
  type RunSize,
  type SuiteResult,
} from './result.js'
import { runPart } from './run-part.js'

/** Progress goes to standard error. */
export async function measure(
  parts: readonly SuitePart[],
  size: RunSize,
  directory: string,
): Promise<SuiteResult> {
  const machine = thisMachine()
  const versions = theseVersions()
  let result = newResult({ startedAt: new Date().toISOString(), size, machine, versions })
  for (const [index, part] of parts.entries()) {
    say(`\n${part.name} (${index + 1} of ${parts.length}), load ${loadNow()}`)
    const measured = await runPart(part, size)
    say(endText(measured))
    result = { ...result, parts: [...result.parts, measured] }
    if (index === parts.length - 1) result = { ...result, finishedAt: new Date().toISOString() }
    writeResult(directory, result)
    render(directory, result)
  }
  return result
}

function endText(result: PartResult): string {
  const { name, seconds } = result
  if (result.status === 'failed') return `${name} FAILED after ${seconds} s: ${result.reason}`
  return `${name} took ${seconds} s`
}

/** Writes what is made from a result: the report, and the figures of the README. */
export function render(directory: string, result: SuiteResult): void {
  writeWhole(join(directory, 'report.html'), reportHtml(result))
  for (const [file, svg] of readmeFigures(result)) {
    writeWhole(join(directory, 'figures', file), svg)
  }
}
