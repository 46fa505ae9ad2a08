/**
 * What may happen in the life of a job. A command carries its own seed, so that leaving others out changes nothing about it but what it
 * finds: that is how a failing sequence is made short.
 */
import { StateBackendError } from '../../../src/errors.js'
import { SeededRandom } from '../../support/random.js'
import { turns, type Answers } from './attempt.js'
import { checkKey, randomKey, write, writeMuch } from './keyed-model.js'
import type { Ending, LifeCycle } from './life-cycle.js'
import {
  checkExplained,
  copySavepoint,
  restorable,
  savepoints,
  verifyAll,
} from './storage-checks.js'

export interface Command {
  readonly name: CommandName
  readonly seed: number
}

type Run = (life: LifeCycle, random: SeededRandom) => void | Promise<void>

/** Of one command. */
const WRITES_MAX = 12
/** More than the smallest write buffer. */
const MUCH_BYTES = 3 * 2 ** 20

const commands = {
  write: [40, writeSome],
  'write much': [
    0.02,
    async (life, random) => {
      life.count('written much')
      await writeMuch(random, life.model, life.attempt.of, MUCH_BYTES)
    },
  ],
  read: [4, (life, random) => checkKey(life.model, life.attempt.of, randomKey(random))],
  drain: [
    2,
    async ({ attempt }) => {
      for (const backend of attempt.backends) await backend.drain()
    },
  ],
  checkpoint: [17, checkpoint],
  savepoint: [2.5, savepoint],
  acknowledge: [12, acknowledge],
  'acknowledge all': [3, ({ attempt }) => attempt.deliverAll()],
  'lose acknowledgement': [0.4, loseAcknowledgement],
  'unknown acknowledgement': [0.5, unknownAcknowledgement],
  decline: [3, decline],
  'late notices': [
    3,
    ({ attempt }, random) => {
      for (const notice of attempt.notices.splice(0).sort(() => random.next() - 0.5)) notice()
    },
  ],
  'former attempt': [3, formerAttempt],
  wait: [4, ({ clock }, random) => clock.advance(100 + random.below(900))],
  turns: [4, (_, random) => turns(random.below(10))],
  settle: [4, ({ attempt }) => attempt.settle()],
  idle: [2, idle],
  restart: [2, restart],
  verify: [0.5, verifyAll],
  'restore beside': [0.5, restoreBeside],
  dispose: [0.5, dispose],
  'copy savepoint': [0.5, copy],
} as const satisfies Record<string, readonly [number, Run]>

const faultCommands = {
  strike: [6, ({ faults }, random) => faults.strike(random)],
  heal: [5, ({ faults }) => faults.heal()],
} as const satisfies Record<string, readonly [number, Run]>

const all: Record<CommandName, readonly [number, Run]> = { ...commands, ...faultCommands }

export type CommandName = keyof typeof commands | keyof typeof faultCommands

export function randomCommands(seed: number, count: number, faults: boolean): Command[] {
  const random = new SeededRandom(seed)
  const names = Object.keys(faults ? all : commands) as CommandName[]
  const total = names.reduce((sum, name) => sum + all[name][0], 0)
  return Array.from({ length: count }, () => {
    let at = random.next() * total
    const name = names.find((each) => (at -= all[each][0]) < 0) ?? 'write'
    return { name, seed: random.below(2 ** 32) }
  })
}

export async function runCommand(life: LifeCycle, { name, seed }: Command): Promise<void> {
  const random = new SeededRandom(seed)
  // The host stops an attempt that failed before it does anything else.
  if (life.attempt.failure !== undefined) {
    life.count('job failed')
    await life.restart(random, 'close')
  }
  await all[name][1](life, random)
  life.checkViolations()
}

function writeSome({ attempt, model }: LifeCycle, random: SeededRandom): void {
  for (let writes = random.below(WRITES_MAX); writes >= 0; writes--)
    write(random, model, attempt.of)
}

async function checkpoint(life: LifeCycle, random: SeededRandom): Promise<void> {
  const { attempt } = life
  const { coordinator } = attempt
  if (!coordinator.canTrigger) return life.count('cannot trigger')
  const inFlight = attempt.triggered.length - attempt.events.size
  if (inFlight > 0) life.count('several in flight')
  attempt.answers = random.pick<Answers>(['themselves', 'themselves', 'held', 'mixed'])
  life.trigger(() => coordinator.triggerCheckpoint({ at: attempt.triggered.length }))
  if (random.chance(0.5)) await attempt.settle()
  else await turns(random.below(6))
}

async function savepoint(life: LifeCycle, random: SeededRandom): Promise<void> {
  const { attempt } = life
  const { coordinator } = attempt
  attempt.answers = random.pick<Answers>(['themselves', 'themselves', 'held'])
  const stop = random.chance(0.2) && !life.settings.steady
  let stopped = false
  life.trigger(async () => {
    const event = await coordinator.triggerSavepoint(null, { stop })
    stopped = stop && event.status === 'completed'
    return event
  })
  if (!stop) return turns(random.below(6))
  await life.quiesce()
  if (!stopped) return
  life.count('stopped with savepoint')
  const { savepointFolder } = [...attempt.events.values()].at(-1) ?? {}
  const saved = savepoints(life).find(({ folder }) => folder === savepointFolder)
  await life.restart(random, 'close', random.chance(0.7) ? saved : undefined)
}

async function acknowledge({ attempt }: LifeCycle, random: SeededRandom): Promise<void> {
  if (attempt.held.length === 0) return
  await attempt.deliver(random.pick(attempt.held), random.chance(0.25))
}

function loseAcknowledgement({ attempt, settings, count }: LifeCycle, random: SeededRandom): void {
  if (settings.steady) return
  const open = attempt.held.filter(({ delivered }) => !delivered)
  if (open.length === 0) return
  const lost = random.pick(open)
  attempt.held = attempt.held.filter((each) => each !== lost)
  attempt.lost++
  count('ack lost')
}

async function unknownAcknowledgement(
  { attempt, count }: LifeCycle,
  random: SeededRandom,
): Promise<void> {
  const [held] = attempt.held
  if (held === undefined) return
  const result = await held.result.catch(() => undefined)
  if (result === undefined) return
  const { message } = held
  const wrong = random.pick([
    { ...message, checkpointId: message.checkpointId + 1000 },
    { ...message, subtaskIndex: 100 },
    { ...message, operatorId: 'stranger' },
  ])
  const answer = attempt.coordinator.acknowledgeCheckpoint({ ...wrong, result })
  if (answer === 'accepted') throw new Error('an unknown acknowledgement was accepted')
  count('ack of an unknown task or checkpoint')
}

function decline({ attempt }: LifeCycle, random: SeededRandom): void {
  if (attempt.held.length === 0) return
  const { message } = random.pick(attempt.held)
  attempt.coordinator.declineCheckpoint({ ...message, cause: new Error('the test declines') })
}

/** Somebody whose job went on elsewhere wakes up. */
async function formerAttempt({ former, count }: LifeCycle, random: SeededRandom): Promise<void> {
  const waiting = former.filter(({ held }) => held.length > 0)
  if (waiting.length === 0) return
  const attempt = random.pick(waiting)
  count('former attempt woke up')
  await attempt.deliver(random.pick(attempt.held), false)
}

async function idle(life: LifeCycle): Promise<void> {
  await life.quiesce()
  checkExplained(life)
}

async function restart(life: LifeCycle, random: SeededRandom): Promise<void> {
  if (life.settings.steady) return
  const ending = random.pick<Ending>(['close', 'crash', 'crash', 'linger'])
  const restored = restorable(life)
  const saved = savepoints(life)
  const from = random.next()
  if (from < 0.4 || restored.length === 0) return life.restart(random, ending)
  if (from < 0.7 || saved.length === 0) {
    return life.restart(random, ending, random.pick(restored))
  }
  await life.restart(random, ending, random.pick(saved))
}

async function restoreBeside(life: LifeCycle, random: SeededRandom): Promise<void> {
  const restored = restorable(life)
  if (restored.length === 0) return
  life.count('restored beside')
  await life.checkRestore(random.pick(restored), random)
}

async function copy(life: LifeCycle, random: SeededRandom): Promise<void> {
  const saved = savepoints(life)
  if (saved.length === 0) return
  await copySavepoint(life, random.pick(saved))
  life.count('savepoint copied')
}

async function dispose(life: LifeCycle, random: SeededRandom): Promise<void> {
  const saved = savepoints(life)
  if (saved.length === 0) return
  try {
    await life.dispose(random.pick(saved))
    life.count('savepoint disposed')
  } catch (error) {
    if (!(error instanceof StateBackendError) || error.kind !== 'unavailable') throw error
  }
}
