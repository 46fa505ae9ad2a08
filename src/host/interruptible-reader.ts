/** Reads batches of a source, one at a time, so that waiting for the next one can be given up. */
import type { JsonValue } from '../checkpoint/json-value.js'
import type { SourceBatch, StreamSource } from './stream-source.js'

export class InterruptibleReader<R> {
  readonly #stopping = new AbortController()
  readonly #iterator: AsyncIterator<SourceBatch<R>>
  #resolveNext: ((end: undefined) => void) | undefined
  #rejectNext: ((reason: unknown) => void) | undefined

  constructor(source: StreamSource<R>, position: JsonValue | undefined) {
    this.#iterator = source.read(position, this.#stopping.signal)[Symbol.asyncIterator]()
  }

  /** Whether `next` waits for the source. */
  get waiting(): boolean {
    return this.#rejectNext !== undefined
  }

  /** The next batch; `undefined` at the end. Rejects as the source does, or with the reason of `interrupt`. */
  next(): Promise<SourceBatch<R> | undefined> {
    // Not Promise.race: racing every batch against one long-lived promise would keep a reaction of each.
    return new Promise((resolve, reject) => {
      this.#resolveNext = resolve
      this.#rejectNext = reject
      this.#take().then(resolve, reject)
    })
  }

  async #take(): Promise<SourceBatch<R> | undefined> {
    try {
      const result = await this.#iterator.next()
      return result.done === true ? undefined : result.value
    } finally {
      this.#resolveNext = undefined
      this.#rejectNext = undefined
    }
  }

  /** Makes a waiting `next` see the end. */
  end(): void {
    this.#resolveNext?.(undefined)
  }

  /** Makes a waiting `next` reject with `reason`. */
  interrupt(reason: unknown): void {
    this.#rejectNext?.(reason)
  }

  /** Lets the source clean up; waits for it unless it is still busy with a batch. A failure of its clean-up is not of interest. */
  async close(): Promise<void> {
    this.#stopping.abort()
    const busy = this.waiting
    const closed = this.#cleanUp().catch(() => undefined)
    if (!busy) await closed
  }

  /** Rejects also where an iterator that somebody wrote by hand throws. */
  async #cleanUp(): Promise<void> {
    await this.#iterator.return?.()
  }
}
