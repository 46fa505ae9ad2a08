/** Runs asynchronous work strictly one after the other, each whether or not the one before failed. */
export class SerialQueue {
  #tail: Promise<void> = Promise.resolve()

  /** Runs `work` after everything pushed before. The promise is the work's own; a caller that ignores a failure must say so. */
  push<T>(work: () => T | Promise<T>): Promise<T> {
    const result = this.#tail.then(work)
    this.#tail = result.then(
      () => undefined,
      () => undefined,
    )
    return result
  }

  /** Resolves when everything pushed so far has settled; never rejects. */
  async idle(): Promise<void> {
    await this.#tail
  }
}
