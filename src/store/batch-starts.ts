/**
 * The sequences that the latest batches began with, to hold LevelDB's logs against: a log begins with a batch, or our count of
 * sequences is not LevelDB's.
 */

/** With deltas only, nothing asks for a log; so the oldest half is let go. */
const BATCH_STARTS_MAX = 100_000

export class BatchStarts {
  readonly #max: number
  #starts: number[] = []

  constructor(max: number = BATCH_STARTS_MAX) {
    this.#max = max
  }

  /** A batch began with `sequence`, above all before. */
  add(sequence: number): void {
    if (this.#starts.length >= this.#max)
      this.#starts = this.#starts.slice(-Math.floor(this.#max / 2))
    this.#starts.push(sequence)
  }

  /** Whether a batch may have begun with `sequence`: true as well when it is older than what is remembered. */
  mayHave(sequence: number): boolean {
    const oldest = this.#starts[0]
    return oldest === undefined || sequence < oldest || this.#starts.includes(sequence)
  }

  /** No log from now on begins before `sequence`. */
  forgetBefore(sequence: number): void {
    this.#starts = this.#starts.filter((start) => start >= sequence)
  }
}
