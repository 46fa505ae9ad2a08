/** Writes that a store by hand collects until it has a batch, and reads from here until then. */
import type { Buffer } from 'node:buffer'

/** Of writes: about the best for each of the stores. */
const BATCH = 1000

export class CollectedWrites {
  readonly #values = new Map<number, Buffer>()

  get(key: number): Buffer | undefined {
    return this.#values.size === 0 ? undefined : this.#values.get(key)
  }

  set(key: number, value: Buffer): void {
    this.#values.set(key, value)
  }

  get isFull(): boolean {
    return this.#values.size >= BATCH
  }

  /** Hands out what was collected and forgets it. */
  take(): [number, Buffer][] {
    const entries = [...this.#values]
    this.#values.clear()
    return entries
  }
}
