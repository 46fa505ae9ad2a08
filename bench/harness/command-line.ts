/** What the command line of every part of the benchmark shares: progress, arguments, what is printed at the end. */
import { mkdtempSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs, type ParseArgsConfig } from 'node:util'
import { endWithParent, ownDirectory, removeOwned } from './lifetime.js'
import type { BenchGoal, BenchPart } from './part.js'

/** Progress and tables go to standard error; standard output is for `--json`. */
export function say(line: string): void {
  process.stderr.write(`${line}\n`)
}

/** What was asked for cannot be done as it was asked: ends the process with status 2. */
export function refuse(why: string): never {
  say(why)
  return process.exit(2)
}

/**
 * As `parseArgs`, with `--help`, which ends the process with status 0. Refuses what the options do not allow. A part that was started by
 * the suite ends with it from here on.
 */
export function readCommandLine<const T extends ParseArgsConfig>(
  usage: string,
  config: T,
): ReturnType<typeof parseArgs<T>> {
  endWithParent()
  try {
    const options = { ...config.options, help: { type: 'boolean' } } as const
    const { help }: { readonly help?: unknown } = parseArgs({ ...config, options }).values
    if (help === true) {
      process.stdout.write(`${usage}\n`)
      process.exit(0)
    }
    return parseArgs(config)
  } catch (error) {
    return refuse(`${error instanceof Error ? error.message : String(error)}\nSee --help.`)
  }
}

/** Refuses both. */
export function sizeOf({
  quick = false,
  full = false,
}: {
  readonly quick?: boolean | undefined
  readonly full?: boolean | undefined
}): 'quick' | 'default' | 'full' {
  if (quick && full) return refuse('--quick and --full do not go together.')
  return quick ? 'quick' : full ? 'full' : 'default'
}

/** Refuses what is no positive integer. */
export function positiveInteger(name: string, text: string | undefined, fallback: number): number {
  const value = Number(text ?? fallback)
  if (Number.isSafeInteger(value) && value >= 1) return value
  return refuse(`${name} must be a positive integer, got ${text}.`)
}

/** The names in `text`, with commas, in the order of `known`; refuses one that is not. */
export function named<T extends string>(
  option: string,
  text: string,
  known: readonly T[],
): readonly T[] {
  const names = text.split(',').map((name) => name.trim())
  const unknown = names.find((name) => !known.some((each) => each === name))
  if (unknown !== undefined) return refuse(`${option}: there is no ${unknown}; see --help.`)
  return known.filter((each) => names.includes(each))
}

/** For an option with names of several kinds, which may leave out one: then all of it is meant. */
export function selected<T extends string>(
  all: readonly T[],
  names: readonly string[],
): readonly T[] {
  const chosen = all.filter((name) => names.includes(name))
  return chosen.length === 0 ? all : chosen
}

/** The directory is removed whatever happens, a signal included. */
export async function withTemporaryDirectory<T>(use: (path: string) => Promise<T>): Promise<T> {
  const path = mkdtempSync(join(tmpdir(), 'level-state-backend-bench-'))
  ownDirectory(path)
  try {
    return await use(path)
  } finally {
    removeOwned(path)
  }
}

/** An empty directory in `root`, removed when `use` is done. */
export async function withWorkDirectory<T>(
  root: string,
  use: (path: string) => Promise<T>,
): Promise<T> {
  const path = await mkdtemp(join(root, 'work-'))
  try {
    return await use(path)
  } finally {
    await rm(path, { recursive: true, force: true })
  }
}

function sayGoals(goals: readonly BenchGoal[]): void {
  for (const { text, reached } of goals) say(`${reached ? 'reached ' : 'MISSED  '} ${text}`)
  if (goals.some(({ reached }) => !reached)) process.exitCode = 1
}

/**
 * The end of a part: its goals, and with `--json` the part itself as the last line. Exit status 1 when a goal is missed, and 2, with the
 * reasons, when nothing could be measured and that misses no goal.
 */
export function finishPart(part: BenchPart, json: boolean): void {
  sayGoals(part.goals)
  if (part.figures.length === 0 && part.goals.every(({ reached }) => reached)) {
    const reasons = Object.entries(part.absent).map(([name, why]) => `\n${name} is absent: ${why}`)
    refuse(`Nothing was measured.${reasons.join('')}`)
  }
  if (json) process.stdout.write(`${JSON.stringify(part)}\n`)
}
