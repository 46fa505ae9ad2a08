/**
 * One contender through the operations of one group. A round goes over all keys once, or again and again where that is the same work,
 * until its time is up; two rounds warm up. The frame is that of ../peers/flink/src/main/java/peer/StateBenchmark.java.
 */
import { isPromise, type Contender } from './contender.js'
import { Inputs } from './inputs.js'
import { OPERATIONS, SETTLE_OPERATIONS, setUp, type Body, type Group } from './operations.js'

export interface MeasureOptions {
  readonly keys: number
  readonly rounds: number
  /** The longest a round lasts, in milliseconds. */
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
}

const WARM_UP_ROUNDS = 2
/** Between two looks at the clock: a contender that takes 100 µs each overshoots by a tenth of the usual round. */
const TIMED_OPERATIONS = 200
const CHECKED_OPERATIONS = 1000

export async function measureGroup(
  contender: Contender,
  group: Group,
  { keys, rounds, millis, cpu }: MeasureOptions,
): Promise<GroupResult> {
  const inputs = new Inputs(keys)
  await setUp(group, contender, inputs)
  const results: OperationRates[] = []
  const checks: Record<string, number> = {}
  for (const { name, elements, repeatable, readOnly, body, before } of OPERATIONS[group]) {
    const pass = new Pass(contender, inputs, body)
    if (readOnly) checks[name] = await pass.run(0, Math.min(CHECKED_OPERATIONS, keys))
    const rates: OperationRates = { operation: name, opsPerSecond: [], opsPerCpuSecond: [] }
    for (let round = 0; round < WARM_UP_ROUNDS + rounds; round++) {
      inputs.prepare(round)
      if (before !== undefined) await new Pass(contender, inputs, before).run(round, keys)
      const figures = await timed(pass, { round, keys, millis, repeatable, cpu })
      if (round < WARM_UP_ROUNDS) continue
      const operations = figures.operations * elements
      rates.opsPerSecond.push(Math.round((operations * 1000) / figures.elapsedMs))
      rates.opsPerCpuSecond.push(Math.round((operations * 1000) / figures.cpuMs))
    }
    results.push(rates)
  }
  return { results, checks }
}

interface Round {
  readonly round: number
  readonly keys: number
  readonly millis: number
  readonly repeatable: boolean
  readonly cpu: boolean
}

async function timed(
  pass: Pass,
  { round, keys, millis, repeatable, cpu }: Round,
): Promise<{ operations: number; elapsedMs: number; cpuMs: number }> {
  const cpuStart = process.cpuUsage()
  const start = performance.now()
  const isOver = (): boolean => (cpu ? cpuMsSince(cpuStart) : performance.now() - start) >= millis
  let operations = 0
  do {
    for (let from = 0; from < keys && !isOver(); from += SETTLE_OPERATIONS) {
      const to = Math.min(from + SETTLE_OPERATIONS, keys)
      operations += (await pass.step(round, from, to, isOver)) - from
    }
  } while (repeatable && !isOver())
  return { operations, elapsedMs: performance.now() - start, cpuMs: cpuMsSince(cpuStart) }
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
    for (let from = 0; from < end; from += SETTLE_OPERATIONS) {
      await this.step(round, from, Math.min(from + SETTLE_OPERATIONS, end), () => false)
    }
    return this.#sum
  }

  /** Operations from `from` up to `to`, unless time is up before; settles. Returns where it ended. */
  async step(round: number, from: number, to: number, isOver: () => boolean): Promise<number> {
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
