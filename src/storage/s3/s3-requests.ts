/**
 * Every request to S3 goes through here: sent, timed, and sent again when that may help.
 *
 * R1 A request is sent at most `attemptsMax` times, and each attempt has an end: the server's
 *    silence is a failure like any other.
 * R2 Between attempts lies a pause drawn evenly from 0 to a bound that doubles (full jitter), so
 *    that clients slowed down together do not come back together. Who is told to slow down starts
 *    from a higher bound.
 * R3 An abort ends a pause and an attempt at once.
 * R4 Only `StateBackendError`s leave: one that the attempt itself threw as it is, others by
 *    `storageError`.
 *
 * A request whose answer was lost may have been carried out, so attempts must bear repetition; how
 * each does is written where it is made.
 */
import type { S3Client } from '@aws-sdk/client-s3'
import type { Clock } from '../../common/clock.js'
import { throwIfAborted } from '../../common/concurrency.js'
import { Limiter } from '../../common/limiter.js'
import type { Random } from '../../common/random.js'
import { StateBackendError } from '../../errors.js'
import { failureOf, storageError, type S3FailureKind, type S3RequestName } from './s3-failure.js'

/** With the bounds below: given up after pauses of at most 3 s together, of 31 s when throttled. */
const attemptsMax = 6
const pauseFirstMaxMs = 100
const pauseFirstThrottledMaxMs = 1000
const pauseMaxMs = 20_000
/** For an answer, whatever the request carries. */
const attemptTimeoutMs = 30_000
/** The slowest transfer that is waited for: 128 kB/s. */
const transferBytesPerMsMin = 128
/** Of one store, under the connections that the SDK's own client opens; the others wait untimed. */
const requestsInFlightMax = 32

export interface S3Request extends S3RequestName {
  /** Of what it sends or receives, for how long to wait; nothing by default. */
  readonly sizeBytes?: number | undefined
}

export class S3Requests {
  readonly client: S3Client
  readonly bucket: string
  /** As in `ObjectStore.description`. */
  readonly description: string
  readonly #clock: Clock
  readonly #random: Random
  readonly #inFlight = new Limiter(requestsInFlightMax)

  constructor(options: {
    readonly client: S3Client
    readonly bucket: string
    readonly description: string
    readonly clock: Clock
    readonly random: Random
  }) {
    this.client = options.client
    this.bucket = options.bucket
    this.description = options.description
    this.#clock = options.clock
    this.#random = options.random
  }

  /**
   * Resolves to what `attempt` does. It is called once per attempt, with a signal that ends it, and
   * has nothing running when it has settled.
   */
  async run<Result>(
    request: S3Request,
    attempt: (signal: AbortSignal) => Promise<Result>,
    signal: AbortSignal | undefined,
  ): Promise<Result> {
    const timeoutMs = attemptTimeoutMs + (request.sizeBytes ?? 0) / transferBytesPerMsMin
    for (let attempts = 1; ; attempts++) {
      throwIfAborted(signal)
      try {
        return await this.#inFlight.run(() => this.#timed(attempt, timeoutMs, signal), signal)
      } catch (error) {
        throwIfAborted(signal)
        if (error instanceof StateBackendError) throw error
        const failure = failureOf(error)
        if (failure.kind === 'final' || attempts === attemptsMax) {
          throw storageError(failure, request, this, attempts)
        }
        await this.#pause(failure.kind, attempts, signal)
      }
    }
  }

  async #timed<Result>(
    attempt: (signal: AbortSignal) => Promise<Result>,
    timeoutMs: number,
    signal: AbortSignal | undefined,
  ): Promise<Result> {
    // It may have come while a place was handed over, when nobody was listening.
    throwIfAborted(signal)
    const running = new AbortController()
    const settled = new AbortController()
    const stop = (): void => running.abort(signal?.reason)
    let timedOut = false
    const timeOut = (): void => {
      timedOut = true
      running.abort()
    }
    signal?.addEventListener('abort', stop, { once: true })
    this.#clock.sleep(timeoutMs, settled.signal).then(timeOut, () => undefined)
    try {
      return await attempt(running.signal)
    } catch (error) {
      throw timedOut ? new AttemptTimedOut(timeoutMs, error) : error
    } finally {
      settled.abort()
      signal?.removeEventListener('abort', stop)
    }
  }

  async #pause(
    kind: S3FailureKind,
    attempts: number,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const first = kind === 'throttled' ? pauseFirstThrottledMaxMs : pauseFirstMaxMs
    const bound = Math.min(pauseMaxMs, first * 2 ** (attempts - 1))
    // An abort ends it early, and is thrown before the next attempt.
    await this.#clock.sleep(this.#random.next() * bound, signal).catch(() => undefined)
  }
}

class AttemptTimedOut extends Error {
  override readonly name = 'TimeoutError'

  constructor(timeoutMs: number, cause: unknown) {
    super(`no answer within ${Math.ceil(timeoutMs)} ms`, { cause })
  }
}
