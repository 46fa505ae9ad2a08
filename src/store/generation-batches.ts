/**
 * The entries of one generation on their way to LevelDB, in batches. While one is written the next is filled; never are two in flight
 * (S1). Those of a generation that is held back are kept as bytes until it is released: filling batches is a sixth of the work.
 */
import type { Buffer } from 'node:buffer'
import { ByteWriter } from '../common/bytes.js'
import type { Slicer } from '../common/slicer.js'
import type { LevelDBStore, StoreBatch } from './leveldb-store.js'

/** Measured best between 500 and 5,000 operations. */
const BATCH_OPERATIONS = 2000
/** A batch of large values is cut earlier: LevelDB copies it twice. */
const BATCH_BYTES = 1 << 20
/** Filled before LevelDB has the one before; beyond, filling waits. */
const WAITING_BATCHES_MAX = 16
/** Beyond, a generation goes to LevelDB as it is encoded. So many that a checkpoint of 1 % of 200 MB does not. */
const HELD_ENTRIES_MAX = WAITING_BATCHES_MAX * BATCH_OPERATIONS
const HELD_BYTES_MAX = 8 * BATCH_BYTES
/** Doubles as often as it must. */
const HELD_BYTES_START = 1 << 16

export class GenerationBatches {
  readonly #store: LevelDBStore
  readonly #slicer: Slicer
  /** Until they are released, or too many. */
  #held: HeldEntries | undefined
  /** Made with its first operation: one that is never written would be held by the database. */
  #batch: StoreBatch | undefined
  #bytes = 0
  /** Of all batches sent so far, one after the other. */
  #written: Promise<void> = Promise.resolve()
  /** Of the latest, oldest first. */
  readonly #waiting: Promise<void>[] = []

  constructor(store: LevelDBStore, slicer: Slicer, held: boolean) {
    this.#store = store
    this.#slicer = slicer
    if (held) this.#held = new HeldEntries()
  }

  /** Copies both. `value` is `undefined` for a deletion. */
  add(key: Buffer, value: Buffer | undefined): void {
    if (this.#held === undefined) this.#put(key, value)
    else this.#held.add(key, value)
  }

  /** Whether it is time to `submit`. */
  get isFull(): boolean {
    return this.#held === undefined ? this.#isBatchFull : this.#held.isFull
  }

  /** Whether the entries are kept back still. */
  get isHeld(): boolean {
    return this.#held !== undefined
  }

  /** Sends what is full, and waits while too much waits. */
  async submit(): Promise<void> {
    if (this.#held === undefined) await this.#send()
    else await this.#release()
  }

  /** Sends the rest, and waits for all. */
  async finish(): Promise<void> {
    this.#slicer.restart()
    await this.#release()
    await this.#send()
    await this.#written
  }

  /** Resolves when nothing is under way any more. Never rejects. */
  async settled(): Promise<void> {
    await this.#written.catch(() => undefined)
  }

  async #release(): Promise<void> {
    const held = this.#held
    this.#held = undefined
    for (const { key, value } of held?.entries() ?? []) {
      this.#put(key, value)
      if (this.#isBatchFull) await this.#send()
      if (this.#slicer.due(value?.length)) await this.#slicer.pause()
    }
  }

  #put(key: Buffer, value: Buffer | undefined): void {
    this.#batch ??= this.#store.batch()
    if (value === undefined) this.#batch.del(key)
    else this.#batch.put(key, value)
    this.#bytes += key.length + (value?.length ?? 0)
  }

  get #isBatchFull(): boolean {
    return (this.#batch?.length ?? 0) >= BATCH_OPERATIONS || this.#bytes >= BATCH_BYTES
  }

  async #send(): Promise<void> {
    const batch = this.#batch
    if (batch === undefined) return
    this.#batch = undefined
    this.#bytes = 0
    // Each asks for its turn when its predecessor is done, so that a scan waits for one at most.
    this.#written = this.#written.then(() => this.#store.commit(batch))
    // Reported by `finish`, or by whoever waits.
    this.#written.catch(() => undefined)
    this.#waiting.push(this.#written)
    if (this.#waiting.length > WAITING_BATCHES_MAX) await this.#waiting.shift()
  }
}

/** Keys and values, one behind the other. */
class HeldEntries {
  readonly #bytes = new ByteWriter(HELD_BYTES_START)
  /** Where each key ends, and its value; -1 for a deletion. */
  readonly #ends: number[] = []

  get isFull(): boolean {
    return this.#ends.length / 2 >= HELD_ENTRIES_MAX || this.#bytes.length >= HELD_BYTES_MAX
  }

  add(key: Buffer, value: Buffer | undefined): void {
    this.#bytes.writeBytes(key)
    this.#ends.push(this.#bytes.length)
    if (value !== undefined) this.#bytes.writeBytes(value)
    this.#ends.push(value === undefined ? -1 : this.#bytes.length)
  }

  /** In the order they were added; the bytes are shared. */
  *entries(): Generator<{ readonly key: Buffer; readonly value: Buffer | undefined }, void> {
    const { buffer } = this.#bytes
    let start = 0
    for (let i = 0; i < this.#ends.length; i += 2) {
      const keyEnd = this.#ends[i] ?? start
      const valueEnd = this.#ends[i + 1] ?? -1
      const value = valueEnd < 0 ? undefined : buffer.subarray(keyEnd, valueEnd)
      yield { key: buffer.subarray(start, keyEnd), value }
      start = valueEnd < 0 ? keyEnd : valueEnd
    }
  }
}
