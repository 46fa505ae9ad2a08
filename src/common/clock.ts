/** The one door to time: everything that measures or waits takes a `Clock`, so that tests can hold it. */
import { setImmediate as immediate, setTimeout as timeout } from 'node:timers/promises'

export interface Clock {
  /** Milliseconds that never run backwards, for durations. */
  monotonicMs(): number
  /** Milliseconds since the epoch, for people. */
  wallClockMs(): number
  /** Resolves in a later turn of the event loop, after waiting input and output was served. */
  nextTurn(): Promise<void>
  /** Resolves after `durationMs`; rejects with the signal's reason when it is aborted. Does not keep the process alive. */
  sleep(durationMs: number, signal?: AbortSignal): Promise<void>
}

export const systemClock: Clock = {
  monotonicMs: () => performance.now(),
  wallClockMs: () => Date.now(),
  nextTurn: () => immediate(),
  sleep: (durationMs, signal) =>
    timeout(durationMs, undefined, { ref: false, ...(signal === undefined ? {} : { signal }) }),
}
