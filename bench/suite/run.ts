/**
 * Runs parts one after the other into one result, and writes it with its report.
 *
 * B1 The result is written before the first part and after every part: a run that is interrupted leaves what it has, and one whose
 *    result cannot be written measures nothing.
 * B2 A part that fails is in the result with its reason, and the others are run.
 */
import { join } from 'node:path'
import { say } from '../harness/command-line.js'
import { contenderVersions, loadNow, theseVersions, thisMachine } from './environment.js'
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
  const versions = theseVersions([])
  let result = newResult({ startedAt: new Date().toISOString(), size, machine, versions })
  write(directory, result)
  for (const [index, part] of parts.entries()) {
    say(`\n${part.name} (${index + 1} of ${parts.length}), load ${loadNow()}`)
    const measured = await runPart(part, size)
    say(endText(measured))
    const all = [...result.parts, measured]
    // Some are installed when they are first measured.
    const contenders = contenderVersions(all.flatMap(contendersOf))
    result = { ...result, versions: { ...versions, contenders }, parts: all }
    if (index === parts.length - 1) result = { ...result, finishedAt: new Date().toISOString() }
    write(directory, result)
  }
  return result
}

function write(directory: string, result: SuiteResult): void {
  writeResult(directory, result)
  render(directory, result)
}

/** Those that were measured, and those that were to be. */
function contendersOf(result: PartResult): string[] {
  if (result.status === 'failed') return []
  const { figures, absent } = result.part
  return [...figures.map(({ contender }) => contender), ...Object.keys(absent)]
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
