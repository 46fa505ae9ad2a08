/**
 * Cuts long work on the event loop into slices, so that a stream goes on while a table is built.
 *
 * The worker calls `due()` every few entries and, when it says so, awaits `pause()`.
 */
import type { Clock } from './clock.js'

/**
 * A quarter of the 20 ms that nothing of ours may hold the event loop for: a slice overshoots by what runs between two `due()`, and by
 * the garbage collector's pauses.
 */
const SLICE_MS = 5
/** Of work beside a stream, which has the loop for a slice of its own in between: it keeps more than two thirds of the thread. */
export const BACKGROUND_SLICE_MS = 2

/** `due()` looks at the clock once in so many steps. */
const STEPS_PER_CLOCK_READ = 64
/** So many bytes count as a step more: a few large values take as long as many small ones. */
const STEP_BYTES = 1024

export class Slicer {
  readonly #clock: Clock
  readonly #sliceMs: number
  #sliceStartMs: number
  #steps = 0

  constructor(clock: Clock, sliceMs: number = SLICE_MS) {
    this.#clock = clock
    this.#sliceMs = sliceMs
    this.#sliceStartMs = clock.monotonicMs()
  }

  /** Whether the slice is used up, after one step that handled `bytes`. */
  due(bytes = 0): boolean {
    this.#steps += 1 + Math.floor(bytes / STEP_BYTES)
    if (this.#steps < STEPS_PER_CLOCK_READ) return false
    this.#steps = 0
    return this.overdue()
  }

  /** As `due`, but looks at the clock at every call: for steps that take milliseconds each. */
  overdue(): boolean {
    return this.#clock.monotonicMs() - this.#sliceStartMs >= this.#sliceMs
  }

  /** Gives the event loop a turn. */
  async pause(): Promise<void> {
    await this.#clock.nextTurn()
    this.restart()
  }

  /** Starts a new slice; call it after any other `await` that let the event loop turn. */
  restart(): void {
    this.#sliceStartMs = this.#clock.monotonicMs()
    this.#steps = 0
  }
}
