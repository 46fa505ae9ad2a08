/**
 * One contender through the operations of one group. A round goes over all keys once, or again and again where that is the same work,
 * until its time is up. What leaves another state than it found goes over all keys whatever that takes, in as many rounds for all, so
 * that every contender is asked the same of the same state. The frame is that of ../peers/flink/src/main/java/peer/StateBenchmark.java.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { isPromise, type Contender } from './contender.js'
import { Inputs } from './inputs.js'
import {
  isCumulative,
  OPERATIONS,
  SETTLE_OPERATIONS,
  setUp,
  type Body,
  type Group,
  type Operation,
} from './operations.js'

export interface MeasureOptions {
  readonly keys: number
  /** The longest a round lasts, in milliseconds; a look at the clock comes every 200 operations. */
  readonly millis: number
  /** Whether those are of processor time: on a busy machine a round is then as long as on any other. */
  readonly cpu: boolean
}

export interface OperationRates {
  readonly operation: string
  /** By the clock on the wall, one figure a round. */
  readonly opsPerSecond: number[]
  /** By the processor time of the whole process, its own threads included. */
  readonly opsPerCpuSecond: number[]
}

export interface GroupResult {
  readonly results: OperationRates[]
  /** What the first operations of each reading kind add up to: the same for all contenders. */
  readonly checks: Record<string, number>
  /** In the contender's directory at the end, where it is known. */
  readonly storedBytes?: number
}

/** Measured rounds of an operation. */
export const SAMPLES_PER_PROCESS = 3
/** Compilers need it, and caches. */
const WARM_UP_MS_MIN = 300
/** At most, where one round is no longer than a pass over the keys; of what is cumulative always. */
export const WARM_UP_ROUNDS = 3
/** Between two looks at the clock: a contender that takes 100 µs each overshoots by a tenth of the usual round. */
const TIMED_OPERATIONS = 200
const CHECKED_OPERATIONS = 1000
/** Of a processor, in `IDLE_LOOK_MS`: a process that does nothing but wait. */
const IDLE_FRACTION_MAX = 0.2
const IDLE_LOOK_MS = 100
/** A minute: a contender that never rests is measured all the same. */
const IDLE_LOOKS_MAX = 600

/** How long an operation warms up whose rounds last `millis`. */
export function warmUpMs(millis: number): number {
  return Math.max(2 * millis, WARM_UP_MS_MIN)
}

export async function measureGroup(
  contender: Contender,
  group: Group,
  options: MeasureOptions,
): Promise<GroupResult> {
  const inputs = new Inputs(options.keys)
  await setUp(group, contender, inputs)
  await untilIdle()
  const results: OperationRates[] = []
  const checks: Record<string, number> = {}
  for (const operation of OPERATIONS[group]) {
    const rounds = new Rounds(contender, inputs, operation, options)
    if (operation.readOnly) checks[operation.name] = await rounds.check()
    await rounds.warmUp()
    results.push(await rounds.measure())
  }
  return { results, checks }
}

interface Round {
  readonly operations: number
  readonly elapsedMs: number
  readonly cpuMs: number
}

class Rounds {
  readonly #contender: Contender
  readonly #inputs: Inputs
  readonly #operation: Operation
  readonly #options: MeasureOptions
  readonly #pass: Pass

  constructor(contender: Contender, inputs: Inputs, operation: Operation, options: MeasureOptions) {
    this.#contender = contender
    this.#inputs = inputs
    this.#operation = operation
    this.#options = options
    this.#pass = new Pass(contender, inputs, operation.body)
  }

  /** What the first ones read, added up. */
  check(): Promise<number> {
    return this.#pass.run(0, Math.min(CHECKED_OPERATIONS, this.#options.keys))
  }

  async warmUp(): Promise<void> {
    let leftMs = warmUpMs(this.#options.millis)
    const all = isCumulative(this.#operation)
    for (let round = 0; round < WARM_UP_ROUNDS && (all || leftMs > 0); round++) {
      leftMs -= (await this.#run(round, leftMs)).elapsedMs
    }
  }

  async measure(): Promise<OperationRates> {
    const { name, elements } = this.#operation
    const rates: OperationRates = { operation: name, opsPerSecond: [], opsPerCpuSecond: [] }
    for (let round = 0; round < SAMPLES_PER_PROCESS; round++) {
      const figures = await this.#run(WARM_UP_ROUNDS + round, this.#options.millis)
      const operations = figures.operations * elements
      rates.opsPerSecond.push(Math.round((operations * 1000) / figures.elapsedMs))
      rates.opsPerCpuSecond.push(Math.round((operations * 1000) / figures.cpuMs))
    }
    return rates
  }

  async #run(round: number, millis: number): Promise<Round> {
    const { keys, cpu } = this.#options
    const { before, repeatable } = this.#operation
    this.#inputs.prepare(round)
    if (before !== undefined) await new Pass(this.#contender, this.#inputs, before).run(round, keys)
    const cpuStart = process.cpuUsage()
    const start = performance.now()
    const isTimeUp = (): boolean =>
      (cpu ? cpuMsSince(cpuStart) : performance.now() - start) >= millis
    const isOver = isCumulative(this.#operation) ? () => false : isTimeUp
    let operations = 0
    do operations += await this.#pass.overKeys(round, keys, isOver)
    while (repeatable && !isOver())
    return { operations, elapsedMs: performance.now() - start, cpuMs: cpuMsSince(cpuStart) }
  }
}

/** What the set-up leaves to other threads and later turns of the loop (flushes, compactions) is not on the operations' clock. */
async function untilIdle(): Promise<void> {
  for (let looks = 0; looks < IDLE_LOOKS_MAX; looks++) {
    const start = process.cpuUsage()
    await sleep(IDLE_LOOK_MS)
    if (cpuMsSince(start) < IDLE_FRACTION_MAX * IDLE_LOOK_MS) return
  }
}

function cpuMsSince(start: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(start)
  return (user + system) / 1000
}

class Pass {
  readonly #contender: Contender
  readonly #inputs: Inputs
  readonly #body: Body
  #sum = 0

  constructor(contender: Contender, inputs: Inputs, body: Body) {
    this.#contender = contender
    this.#inputs = inputs
    this.#body = body
  }

  /** All operations up to `end`; returns what they read, added up. */
  async run(round: number, end: number): Promise<number> {
    this.#sum = 0
    await this.overKeys(round, end, () => false)
    return this.#sum
  }

  /** Operations up to `end`, unless it is over before. Returns how many there were. */
  async overKeys(round: number, end: number, isOver: () => boolean): Promise<number> {
    let operations = 0
    for (let from = 0; from < end && (from === 0 || !isOver()); from += SETTLE_OPERATIONS) {
      const to = Math.min(from + SETTLE_OPERATIONS, end)
      operations += (await this.#step(round, from, to, isOver)) - from
    }
    return operations
  }

  /** Operations from `from` up to `to`, unless time is up before; settles. Returns where it ended. */
  async #step(round: number, from: number, to: number, isOver: () => boolean): Promise<number> {
    let at = from
    while (at < to && (at === from || !isOver())) {
      const end = Math.min(at + TIMED_OPERATIONS, to)
      await this.#operations(round, at, end)
      at = end
    }
    const settling = this.#contender.settle()
    if (settling !== undefined) await settling
    return at
  }

  async #operations(round: number, from: number, to: number): Promise<void> {
    const contender = this.#contender
    const inputs = this.#inputs
    const body = this.#body
    let sum = this.#sum
    for (let i = from; i < to; i++) {
      let answer = body(contender, inputs, round, i)
      if (isPromise(answer)) answer = await answer
      sum += answer ?? 0
    }
    this.#sum = sum
  }
}
