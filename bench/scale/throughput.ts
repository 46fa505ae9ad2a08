/** How fast counters are incremented, and what memory that takes: on one store, or on the subtasks of one process. */
import { uniformKeys } from '../smoke/harness.js'
import { isPromise } from '../state/contender.js'
import { countersOf, firstCount, openCounters, STEP_OPERATIONS, type Counters } from './counters.js'
import { MemoryProbe, type MemoryFigures } from './memory.js'
import type { CounterContender } from './names.js'
import { Subtasks } from './subtasks.js'

export interface ThroughputOptions {
  readonly keyCount: number
  readonly memoryBytes: number
  /** Of the measurement; before it half as long, to warm up. */
  readonly millis: number
}

export interface ThroughputFigures {
  readonly opsPerSecond: number
  readonly memory: MemoryFigures
}

export interface ParallelFigures extends ThroughputFigures {
  /** A checkpoint of all subtasks, from the barrier until the last handle is there. */
  readonly checkpointMs: number
}

/** Gone through again when they are all used. */
const INPUT_KEYS = 2_000_000
const STEPS_PER_LOOK = 16
/** Whose counters are looked at in the end. */
const CHECKED_KEYS = 1000

/** One store, which `fillCounters` left in `filled`. */
export async function measureThroughput(
  contender: CounterContender,
  filled: string,
  directory: string,
  options: ThroughputOptions,
): Promise<ThroughputFigures> {
  const keys = uniformKeys(options.keyCount, INPUT_KEYS)
  const probe = new MemoryProbe()
  const counters = await openCounters(contender, filled, directory, options.memoryBytes)
  const figures = await new Run([{ counters, keys }], probe).measure(options.millis)
  await counters.close()
  return figures
}

/** The same state divided between several subtasks, restored from what `fillCounters` left of one. */
export async function measureParallel(
  parallelism: number,
  filled: string,
  directory: string,
  options: ThroughputOptions,
): Promise<ParallelFigures> {
  const all = uniformKeys(options.keyCount, INPUT_KEYS)
  const probe = new MemoryProbe()
  const { memoryBytes } = options
  const subtasks = await Subtasks.open({ directory, memoryBytes, parallelism, restoreFrom: filled })
  const indexes = Uint8Array.from(all, (key) => subtasks.indexOf(key))
  const partitions = subtasks.backends.map((backend, index) => ({
    counters: countersOf(backend),
    keys: all.filter((_, i) => indexes[i] === index),
  }))
  const figures = await new Run(partitions, probe).measure(options.millis)
  const startMs = performance.now()
  await subtasks.checkpoint()
  const checkpointMs = performance.now() - startMs
  await subtasks.close()
  return { ...figures, checkpointMs }
}

/** A store and the keys it is given. */
interface Partition {
  readonly counters: Counters
  readonly keys: Int32Array
}

class Run {
  readonly #partitions: readonly Partition[]
  readonly #probe: MemoryProbe
  readonly #stepOperations: number
  #steps = 0

  constructor(partitions: readonly Partition[], probe: MemoryProbe) {
    this.#partitions = partitions
    this.#probe = probe
    this.#stepOperations = Math.ceil(STEP_OPERATIONS / partitions.length)
  }

  async measure(millis: number): Promise<ThroughputFigures> {
    await this.#increment(millis / 2)
    const opsPerSecond = await this.#increment(millis)
    const memory = this.#probe.finish()
    for (const partition of this.#partitions) await this.#check(partition)
    return { opsPerSecond, memory }
  }

  /** Returns operations per second. */
  async #increment(millis: number): Promise<number> {
    const startMs = performance.now()
    let operations = 0
    let elapsedMs = 0
    while (elapsedMs < millis) {
      for (const partition of this.#partitions) await this.#step(partition)
      operations += this.#stepOperations * this.#partitions.length
      if (++this.#steps % STEPS_PER_LOOK === 0) this.#probe.look()
      elapsedMs = performance.now() - startMs
    }
    return (operations * 1000) / elapsedMs
  }

  async #step({ counters, keys }: Partition): Promise<void> {
    const from = this.#steps * this.#stepOperations
    for (let i = from; i < from + this.#stepOperations; i++) {
      const answer = counters.increment(keys[i % keys.length] ?? 0)
      if (isPromise(answer)) await answer
    }
    const settling = counters.settle()
    if (settling !== undefined) await settling
  }

  /** That the counters of the first keys are what they must be, for as many as were checked. */
  async #check({ counters, keys }: Partition): Promise<void> {
    const expected = new Map<number, number>()
    for (const key of keys.subarray(0, CHECKED_KEYS)) expected.set(key, firstCount(key))
    const operations = this.#steps * this.#stepOperations
    for (let i = 0; i < operations; i++) {
      const key = keys[i % keys.length] ?? 0
      const count = expected.get(key)
      if (count !== undefined) expected.set(key, count + 1)
    }
    for (const [key, count] of expected) {
      const found = await counters.read(key)
      if (found !== count) throw new Error(`the counter of ${key} is ${found}, not ${count}`)
    }
  }
}
