/** One line on a terminal that tells how far a command is, and is gone when it ends. Elsewhere nothing. */
import type { Clock } from '../common/clock.js'
import type { Output } from './command.js'

/** Often enough to be seen moving. */
const refreshMs = 100
/** To the start of the line, and clear it. */
const clearLine = '\r\u001b[K'

export class Progress {
  readonly #output: Output
  readonly #clock: Clock
  #shownAtMs = -Infinity

  constructor({ stderr, clock }: { stderr: Output; clock: Clock }) {
    this.#output = stderr
    this.#clock = clock
  }

  show(text: string): void {
    if (this.#output.isTTY !== true) return
    const nowMs = this.#clock.monotonicMs()
    if (nowMs - this.#shownAtMs < refreshMs) return
    this.#shownAtMs = nowMs
    this.#output.write(clearLine + text)
  }

  clear(): void {
    if (this.#shownAtMs === -Infinity) return
    this.#shownAtMs = -Infinity
    this.#output.write(clearLine)
  }
}
