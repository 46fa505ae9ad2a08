/** How long a snapshot of many dirty keys holds the caller, and how long its flush and its table hold the event loop. */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { valueState } from '../../src/index.js'
import { withTemporaryDirectory } from '../harness/command-line.js'
import { BenchBackend, nextTurn } from './harness.js'

/** One number a snapshot. */
export interface PauseSamples {
  /** For how long the call holds its caller. */
  readonly syncMs: number[]
  /** The longest that the event loop is held until the snapshot is complete. */
  readonly loopHeldMs: number[]
}

const MEMORY_MIB = 512
/** `monitorEventLoopDelay` reports the time between its own ticks. */
const TICK_MS = 1

export function runPauses(dirtyKeys: number, rounds: number): Promise<PauseSamples> {
  return withTemporaryDirectory(async (directory) => {
    const bench = await BenchBackend.open(directory, MEMORY_MIB)
    const { backend } = bench
    const counter = backend.getState(valueState<number>('counter'))
    const syncMs: number[] = []
    const loopHeldMs: number[] = []
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
      loopHeldMs.push(delay.max / 1e6 - TICK_MS)
    }
    await backend.close()
    return { syncMs, loopHeldMs }
  })
}
