/** What the command line of every part of the benchmark shares: progress, arguments, what is printed at the end. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { BenchGoal, BenchPart } from './part.js'

/** Progress and tables go to standard error; standard output is for `--json`. */
export function say(line: string): void {
  process.stderr.write(`${line}\n`)
}

/** Ends the process with status 2 when the argument is no positive integer. */
export function positiveInteger(name: string, text: string | undefined, fallback: number): number {
  const value = Number(text ?? fallback)
  if (Number.isSafeInteger(value) && value >= 1) return value
  say(`${name} must be a positive integer, got ${text}.`)
  return process.exit(2)
}

export async function withTemporaryDirectory<T>(use: (path: string) => Promise<T>): Promise<T> {
  const path = await mkdtemp(join(tmpdir(), 'level-state-backend-bench-'))
  try {
    return await use(path)
  } finally {
    await rm(path, { recursive: true, force: true })
  }
}

export function sayGoals(goals: readonly BenchGoal[]): void {
  for (const { text, reached } of goals) say(`${reached ? 'reached ' : 'MISSED  '} ${text}`)
  if (goals.some(({ reached }) => !reached)) process.exitCode = 1
}

/** The end of a part: its goals, and with `--json` the part itself as the last line. Exit status 1 when a goal is missed. */
export function finishPart(part: BenchPart, json: boolean): void {
  sayGoals(part.goals)
  if (json) process.stdout.write(`${JSON.stringify(part)}\n`)
}
