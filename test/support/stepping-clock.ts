/** Time that stands still but for what is read: a test decides how often sliced work pauses, and acts where it does. */
import { setImmediate as turn } from 'node:timers/promises'
import type { Clock } from '../../src/common/clock.js'

export class SteppingClock implements Clock {
  /** Added at every reading. */
  stepMs: number
  /** Called at every pause, before the event loop turns. */
  onTurn: (() => void | Promise<void>) | undefined
  turns = 0
  #nowMs = 0

  constructor(stepMs = 0) {
    this.stepMs = stepMs
  }

  monotonicMs(): number {
    this.#nowMs += this.stepMs
    return this.#nowMs
  }

  wallClockMs(): number {
    return this.#nowMs
  }

  async nextTurn(): Promise<void> {
    this.turns++
    await this.onTurn?.()
    await turn()
  }

  sleep(): Promise<void> {
    return Promise.reject(new Error('no test sleeps'))
  }
}
