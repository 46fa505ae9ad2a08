/**
 * Many random lives, each with a seed of its own. One that fails is made short, and told with what replays it:
 * `MODEL_SEED=<seed> MODEL_RUNS=1 npx vitest run <file>`; `MODEL_COMMANDS` sets how long a life is.
 */
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { WorkDirectory } from '../../../src/store/work-directory.js'
import { randomCommands, runCommand, type Command } from './commands.js'
import { LifeCycle } from './life-cycle.js'
import type { Profile } from './settings.js'

const COMMANDS_DEFAULT = 200
/** Tens of thousands of small folders come and go: four times as fast where no disk is behind them. */
const MEMORY_FILES = existsSync('/dev/shm') ? '/dev/shm' : undefined
/** Replays that may be spent on a shorter sequence. */
const SHRINKING_REPLAYS_MAX = 120

export interface Runs {
  readonly name: string
  readonly runs: number
  readonly levelDBShare: number
  readonly faults: boolean
}

/** How often things happened. */
type Tally = Readonly<Record<string, number>>

const OUTCOMES = [
  'checkpoint completed',
  'full-checkpoint completed',
  'savepoint completed',
  'none',
  'delta',
  'merge',
  'rebase',
  'declined',
  'expired',
  'subsumed',
  'closed',
  'fenced',
  'several in flight',
  'ack accepted',
  'ack duplicate',
  'ack late',
  'ack lost',
  'ack of an unknown task or checkpoint',
  'notice lost',
  'former attempt woke up',
  'ended by close',
  'ended by crash',
  'ended by linger',
  'stopped with savepoint',
  'restored newest',
  'restored newest, walking back',
  'restored by id',
  'restored savepoint, CLAIM',
  'restored savepoint, NO_CLAIM',
  'restored nothing',
  'restored beside',
  'savepoint copied',
  'savepoint disposed',
  'written much',
  'on LevelDB',
  'in memory',
  'swept',
] as const
const OUTCOMES_WITH_FAULTS = [
  'fault before',
  'fault after',
  'fault torn',
  'fault slow',
  'fault list',
  'not-published',
  'start failed',
  'job failed',
  'warning',
] as const
const OUTCOMES_WITHOUT_FAULTS = ['nothing left'] as const
const RUNS_WITH_ALL_OUTCOMES = 100

function fromEnvironment(name: string, otherwise: number): number {
  const given = process.env[name]
  return given === undefined ? otherwise : Number(given)
}

/**
 * Returns what should have happened in so many lives and did not: a test of rare events must show that they took place. Rejects with what
 * a life failed with, its seed and what it comes down to.
 */
export async function runLives({ name, runs, levelDBShare, faults }: Runs): Promise<string[]> {
  const first = fromEnvironment('MODEL_SEED', Math.floor(Math.random() * 2 ** 31))
  const count = fromEnvironment('MODEL_RUNS', runs)
  const length = fromEnvironment('MODEL_COMMANDS', COMMANDS_DEFAULT)
  const directory = mkdtempSync(join(MEMORY_FILES ?? tmpdir(), 'life-cycle-'))
  const profile = { levelDBShare, faults, directory }
  const tally: Record<string, number> = {}
  // Held for all of them: taking it anew is a good part of what opening a backend costs.
  const held = WorkDirectory.acquire(directory)
  try {
    for (let seed = first; seed < first + count; seed++) {
      const commands = randomCommands(seed, length, faults)
      const failure = await live(profile, seed, commands, tally)
      if (failure === undefined) continue
      const why = failure instanceof Error ? failure.message : 'with what is no error'
      console.log(`${name}: life ${seed} failed, ${why}; it is being made shorter`)
      throw await explained(failure, { profile, name, seed, length, commands })
    }
  } finally {
    held.release()
    rmSync(directory, { recursive: true, force: true })
  }
  console.log(
    JSON.stringify({ name, seed: first, runs: count, commands: length, ...sorted(tally) }),
  )
  // A replay cannot meet everything.
  if (count < RUNS_WITH_ALL_OUTCOMES || length < COMMANDS_DEFAULT) return []
  const outcomes = [...OUTCOMES, ...(faults ? OUTCOMES_WITH_FAULTS : OUTCOMES_WITHOUT_FAULTS)]
  return outcomes.filter((what) => tally[what] === undefined)
}

/** What it failed with. */
async function live(
  profile: Profile,
  seed: number,
  commands: readonly Command[],
  tally: Record<string, number>,
): Promise<unknown> {
  const life = new LifeCycle(profile, seed, (what) => (tally[what] = (tally[what] ?? 0) + 1))
  try {
    await life.begin()
    for (const command of commands) await runCommand(life, command)
    await life.quietEnd()
    return undefined
  } catch (error) {
    return error
  } finally {
    await life.close()
  }
}

interface Failed {
  readonly profile: Profile
  readonly name: string
  readonly seed: number
  readonly length: number
  readonly commands: readonly Command[]
}

async function explained(failure: unknown, failed: Failed): Promise<Error> {
  const { profile, name, seed, length } = failed
  let commands = failed.commands
  let cause = failure
  let replays = 0
  for (let width = Math.ceil(commands.length / 2); width >= 1; width = Math.floor(width / 2)) {
    for (let from = 0; from < commands.length && replays < SHRINKING_REPLAYS_MAX; replays++) {
      const fewer = [...commands.slice(0, from), ...commands.slice(from + width)]
      const still = await live(profile, seed, fewer, {})
      if (still === undefined) from += width
      else [commands, cause] = [fewer, still]
    }
  }
  const message = cause instanceof Error ? cause.message : String(cause)
  const script = commands.map((command) => `${command.name} ${command.seed}`).join(', ')
  return new Error(
    `${message}\nReplay: MODEL_SEED=${seed} MODEL_RUNS=1 MODEL_COMMANDS=${length} npx vitest run test/model/${name}.test.ts\n` +
      `It comes down to ${commands.length} commands: ${script}`,
    { cause },
  )
}

function sorted(tally: Tally): Tally {
  return Object.fromEntries(Object.entries(tally).sort(([a], [b]) => (a < b ? -1 : 1)))
}
