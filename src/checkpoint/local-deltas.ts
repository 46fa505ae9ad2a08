/**
 * The delta tables on local disk, and who still needs them.
 *
 * Invariant: a delta's file stays while the last completed chain, a pending checkpoint or a running snapshot names it, and while its
 * writes are in no completed checkpoint; so an aborted checkpoint loses nothing.
 */
import { rmSync } from 'node:fs'
import type { DeltaTable } from './delta-table.js'

export class LocalDeltas {
  /** Deltas whose writes no completed checkpoint has, oldest first. */
  #unconfirmed: DeltaTable[] = []
  readonly #files = new Set<string>()

  /** Deltas that the next checkpoint must add to its chain. */
  get unconfirmed(): readonly DeltaTable[] {
    return this.#unconfirmed
  }

  get unconfirmedBytes(): number {
    return this.#unconfirmed.reduce((bytes, delta) => bytes + delta.sizeBytes, 0)
  }

  /** One of a generation's deltas, in their order. */
  add(delta: DeltaTable): void {
    this.#unconfirmed.push(delta)
    this.#files.add(delta.path)
  }

  /** A table made of others, or restored: on disk, but in no queue. */
  track(path: string): void {
    this.#files.add(path)
  }

  /** Lets go of deltas whose writes are all at or below `sequence`: in a completed checkpoint, or dropped on purpose. */
  forgetThrough(sequence: number): void {
    this.#unconfirmed = this.#unconfirmed.filter((delta) => delta.toSequence > sequence)
  }

  /** Takes back deltas, oldest first, whose checkpoint cannot be built on: older than all that are unconfirmed. */
  unconfirm(deltas: readonly DeltaTable[]): void {
    this.#unconfirmed = [...deltas, ...this.#unconfirmed]
  }

  /** Removes the files that nobody needs. */
  sweep(needed: Iterable<{ readonly path: string }>): void {
    const keep = new Set<string>()
    for (const { path } of this.#unconfirmed) keep.add(path)
    for (const { path } of needed) keep.add(path)
    for (const path of this.#files) {
      if (keep.has(path)) continue
      rmSync(path, { force: true })
      this.#files.delete(path)
    }
  }
}
