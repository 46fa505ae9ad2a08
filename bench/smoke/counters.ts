/**
 * Read-modify-write counters: read a key's number, write it back plus one. The contenders do the same work on the same keys, each in a
 * process of its own; only ours takes checkpoints meanwhile.
 */
import { join } from 'node:path'
import { Buffer } from 'node:buffer'
import { ClassicLevel } from 'classic-level'
import { open } from 'lmdb'
import { valueState } from '../../src/index.js'
import { withTemporaryDirectory } from '../harness/command-line.js'
import { BenchBackend, nextTurn, uniformKeys } from './harness.js'

export interface CounterOptions {
  readonly keyCount: number
  readonly memoryMiB: number
  readonly seconds: number
  readonly prefill: boolean
}

/** One contender, open: `increment` adds one to each counter in `keys[from, to)`. */
interface Counters {
  increment(keys: Int32Array, from: number, to: number): Promise<void>
  /** Called between steps, with the milliseconds since the start. */
  tick?(elapsedMs: number): void
  close(): Promise<void>
}

type Contender = (directory: string, options: CounterOptions) => Promise<Counters>

const STEP = 5000
const INPUT_KEYS = 4_000_000
const BATCH = 500
const CHECKPOINT_INTERVAL_MS = 2000

const contenders = { ours, raw, lmdb, map } as const satisfies Record<string, Contender>
export type CounterContender = keyof typeof contenders

/** Thousand operations per second. */
export function runCounters(name: CounterContender, options: CounterOptions): Promise<number> {
  const contender: Contender = contenders[name]
  return withTemporaryDirectory(async (directory) => {
    const counters = await contender(directory, options)
    if (options.prefill) await prefill(counters, options.keyCount)
    const keys = uniformKeys(options.keyCount, INPUT_KEYS)
    const start = performance.now()
    let operations = 0
    let elapsedMs = 0
    while (elapsedMs < options.seconds * 1000) {
      const from = operations % INPUT_KEYS
      await counters.increment(keys, from, from + STEP)
      operations += STEP
      elapsedMs = performance.now() - start
      counters.tick?.(elapsedMs)
    }
    await counters.close()
    return operations / elapsedMs
  })
}

async function prefill(counters: Counters, keyCount: number): Promise<void> {
  const keys = Int32Array.from({ length: keyCount }, (_, key) => key)
  for (let from = 0; from < keyCount; from += STEP) {
    await counters.increment(keys, from, Math.min(from + STEP, keyCount))
  }
}

async function ours(directory: string, options: CounterOptions): Promise<Counters> {
  const bench = await BenchBackend.open(directory, options.memoryMiB)
  const { backend } = bench
  const counter = backend.getState(valueState<number>('counter'))
  let checkpoint: Promise<unknown> | undefined
  let lastMs = 0
  return {
    async increment(keys, from, to) {
      for (let i = from; i < to; i++) {
        backend.setCurrentKey(keys[i] ?? 0)
        counter.update((counter.value() ?? 0) + 1)
        if (backend.needsDrain) await backend.drain()
      }
      await nextTurn()
    },
    tick(elapsedMs) {
      if (checkpoint !== undefined || elapsedMs - lastMs < CHECKPOINT_INTERVAL_MS) return
      lastMs = elapsedMs
      checkpoint = bench.checkpoint().finally(() => {
        checkpoint = undefined
      })
    },
    async close() {
      await checkpoint
      await backend.close()
    },
  }
}

/** classic-level as it is best used by hand: `getSync`, and chained batches, one in flight. */
async function raw(directory: string, options: CounterOptions): Promise<Counters> {
  const bytes = options.memoryMiB * 2 ** 20
  const db = new ClassicLevel<Buffer, Buffer>(join(directory, 'db'), {
    keyEncoding: 'buffer',
    valueEncoding: 'buffer',
    compression: false,
    cacheSize: bytes / 2,
    writeBufferSize: Math.min(bytes / 8, 16 * 2 ** 20),
  })
  await db.open()
  const key = Buffer.alloc(8)
  const value = Buffer.alloc(8)
  return {
    async increment(keys, from, to) {
      for (let start = from; start < to; start += BATCH) {
        const batch = db.batch()
        // A key that occurs twice in a batch is read from here: LevelDB does not have it yet.
        const written = new Map<number, number>()
        for (let i = start; i < Math.min(start + BATCH, to); i++) {
          const number = keys[i] ?? 0
          key.writeDoubleBE(number)
          const count = (written.get(number) ?? db.getSync(key)?.readDoubleBE() ?? 0) + 1
          written.set(number, count)
          value.writeDoubleBE(count)
          batch.put(key, value)
        }
        await batch.write()
      }
    },
    close: () => db.close(),
  }
}

/** lmdb as it is best used by hand: asynchronous puts, which it batches, with its cache; no sync, as with the others. */
async function lmdb(directory: string): Promise<Counters> {
  const db = open<number, number>({ path: join(directory, 'db'), cache: true, noSync: true })
  return {
    async increment(keys, from, to) {
      let last: Promise<boolean> | undefined
      for (let i = from; i < to; i++) {
        const key = keys[i] ?? 0
        last = db.put(key, (db.get(key) ?? 0) + 1)
      }
      await last
    },
    close: () => db.close(),
  }
}

/** The ceiling: no persistence at all. */
function map(): Promise<Counters> {
  const counts = new Map<number, number>()
  return Promise.resolve({
    async increment(keys: Int32Array, from: number, to: number) {
      for (let i = from; i < to; i++) {
        const key = keys[i] ?? 0
        counts.set(key, (counts.get(key) ?? 0) + 1)
      }
      await nextTurn()
    },
    close: () => Promise.resolve(),
  })
}
