/** Time that only a test moves: sleepers wake when `advance` passes their time, and nothing ever waits for real. */
import { setImmediate as turn } from 'node:timers/promises'
import type { Clock } from '../../src/common/clock.js'

interface Sleeper {
  readonly wakeMs: number
  readonly wake: () => void
}

export class ManualClock implements Clock {
  #nowMs = 0
  readonly #sleepers = new Set<Sleeper>()

  monotonicMs(): number {
    return this.#nowMs
  }

  wallClockMs(): number {
    return this.#nowMs
  }

  async nextTurn(): Promise<void> {
    await turn()
  }

  sleep(durationMs: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const sleeper = { wakeMs: this.#nowMs + durationMs, wake: resolve }
      this.#sleepers.add(sleeper)
      signal?.addEventListener(
        'abort',
        () => {
          this.#sleepers.delete(sleeper)
          reject(signal.reason as Error)
        },
        { once: true },
      )
    })
  }

  get sleepers(): number {
    return this.#sleepers.size
  }

  /** Moves time, wakes who is due, and lets them run. */
  async advance(durationMs: number): Promise<void> {
    this.#nowMs += durationMs
    for (const sleeper of this.#sleepers) {
      if (sleeper.wakeMs > this.#nowMs) continue
      this.#sleepers.delete(sleeper)
      sleeper.wake()
    }
    await turn()
  }
}
