/** How long a snapshot of many dirty keys holds the caller, and how long its flush and its table hold the event loop. */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { valueState } from '../../src/index.js'
import { BenchBackend, nextTurn, withTemporaryDirectory } from './harness.js'

export interface PauseFigures {
  readonly dirtyKeys: number
  readonly rounds: number
  readonly syncP99Ms: number
  readonly syncMedianMs: number
  readonly loopHeldMaxMs: number
  readonly loopHeldMaxMedianMs: number
}

const MEMORY_MIB = 512
/** `monitorEventLoopDelay` reports the time between its own ticks. */
const TICK_MS = 1

export function runPauses(dirtyKeys: number, rounds: number): Promise<PauseFigures> {
  return withTemporaryDirectory(async (directory) => {
    const bench = await BenchBackend.open(directory, MEMORY_MIB)
    const { backend } = bench
    const counter = backend.getState(valueState<number>('counter'))
    const syncMs: number[] = []
    const heldMs: number[] = []
    for (let round = 0; round < rounds; round++) {
      for (let key = 0; key < dirtyKeys; key++) {
        backend.setCurrentKey(key)
        counter.update(round + key)
      }
      const delay = monitorEventLoopDelay({ resolution: TICK_MS })
      const checkpoint = bench.checkpoint()
      // What came before the snapshot is the caller's own time.
      await nextTurn()
      delay.enable()
      syncMs.push((await checkpoint).syncMs)
      delay.disable()
      heldMs.push(delay.max / 1e6 - TICK_MS)
    }
    await backend.close()
    return {
      dirtyKeys,
      rounds,
      syncP99Ms: quantile(syncMs, 0.99),
      syncMedianMs: quantile(syncMs, 0.5),
      loopHeldMaxMs: Math.max(...heldMs),
      loopHeldMaxMedianMs: quantile(heldMs, 0.5),
    }
  })
}

function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? Number.NaN
}
