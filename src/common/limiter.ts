/** At most so many at a time, over any number of callers that know nothing of each other; first come, first served. */
import { assert } from './assert.js'
import { throwIfAborted } from './concurrency.js'

export class Limiter {
  readonly #max: number
  #running = 0
  readonly #waiting = new Set<() => void>()

  constructor(max: number) {
    assert(Number.isSafeInteger(max) && max >= 1, 'a limit is a positive integer')
    this.#max = max
  }

  /**
   * Calls `fn` as soon as fewer than `max` are running. An abort ends the waiting, not `fn`. An `fn`
   * must not wait for a place of the same limiter: all places could be held by such.
   */
  async run<Result>(fn: () => Promise<Result>, signal: AbortSignal | undefined): Promise<Result> {
    throwIfAborted(signal)
    if (this.#running < this.#max) this.#running++
    else await this.#place(signal)
    try {
      return await fn()
    } finally {
      this.#leave()
    }
  }

  /** Resolves when a place was handed over; a place is never free while somebody waits. */
  async #place(signal: AbortSignal | undefined): Promise<void> {
    let wake: () => void = () => undefined
    const woken = new Promise<void>((resolve) => {
      wake = resolve
    })
    const enter = (): void => {
      signal?.removeEventListener('abort', wake)
      wake()
    }
    this.#waiting.add(enter)
    signal?.addEventListener('abort', wake, { once: true })
    await woken
    // Still waiting: it was the abort that woke us, and no place was handed over.
    if (this.#waiting.delete(enter)) throwIfAborted(signal)
  }

  #leave(): void {
    const [next] = this.#waiting
    if (next === undefined) {
      this.#running--
      return
    }
    this.#waiting.delete(next)
    next()
  }
}
