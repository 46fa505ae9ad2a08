/**
 * Writes one frozen generation, in one pass over its entries in key order, to LevelDB and to a local delta table.
 *
 * Invariants
 * I1 An entry's sequence in the delta table is the one LevelDB gives it: both count up by one from the last sequence, in the order of
 *    the entries, and the two are compared at the end.
 * I2 The event loop is held for one slice at most: batches are small and each is awaited.
 */
import type { Buffer } from 'node:buffer'
import { assert } from '../common/assert.js'
import type { Slicer } from '../common/slicer.js'
import { ValueType } from '../table/internal-key.js'
import { KeySketch } from '../table/key-sketch.js'
import type { TableFileWriter } from '../table/table-file.js'
import { type TableFile } from '../table/table-file.js'
import { cellEntries, type CellEntriesInput } from './cell-entries.js'
import type { LevelDBStore } from './leveldb-store.js'

/** Measured best between 500 and 5,000 operations. */
const BATCH_OPERATIONS = 2000
/** A batch of large values is cut earlier: LevelDB copies it twice. */
const BATCH_BYTES = 1 << 20

export interface GenerationTarget {
  /** `undefined` for the in-memory backend, which keeps the cells themselves. */
  readonly store: LevelDBStore | undefined
  /** The generation's entries get the sequences that follow. */
  readonly lastSequence: number
  readonly table: TableFileWriter
  readonly slicer: Slicer
}

export interface WrittenGeneration {
  /** The delta table, closed and hashed. */
  readonly file: TableFile
  readonly sketch: KeySketch
}

/** On failure the table file is removed, and a failed store stays failed (S6). */
export async function writeGeneration(
  entries: CellEntriesInput,
  target: GenerationTarget,
): Promise<WrittenGeneration> {
  const { store, table } = target
  const sketch = new KeySketch()
  try {
    const sequence = await writeEntries(entries, target, sketch)
    const file = await table.finish()
    assert(file !== undefined, 'a frozen generation is never empty')
    assert(
      file.smallestSequence === target.lastSequence + 1 && file.largestSequence === sequence,
      'I1: a delta holds exactly the sequences of its generation',
    )
    assert(
      store === undefined || store.lastSequence === sequence,
      "I1: our sequences are LevelDB's",
    )
    return { file, sketch }
  } catch (error) {
    await table.abort()
    throw error
  }
}

/** Returns the last sequence given. */
async function writeEntries(
  entries: CellEntriesInput,
  target: GenerationTarget,
  sketch: KeySketch,
): Promise<number> {
  const { store, table, slicer } = target
  const batches = store === undefined ? undefined : new Batches(store)
  let sequence = target.lastSequence
  slicer.restart()
  for (const entry of cellEntries(entries)) {
    if (entry !== undefined) {
      sequence++
      const { key, value } = entry
      sketch.add(key, key.length + (value?.length ?? 0))
      batches?.add(key, value)
      if (value === undefined) table.add(key, sequence, ValueType.Deletion, NO_BYTES)
      else table.add(key, sequence, ValueType.Value, value)
    }
    if (batches?.isFull === true) await batches.submit()
    if (entry === undefined ? slicer.overdue() : slicer.due()) {
      await table.flush()
      await slicer.pause()
    }
  }
  await batches?.finish()
  return sequence
}

/** The batches of one generation. While one is being written the next is filled; never are two in flight (S1). */
class Batches {
  readonly #store: LevelDBStore
  /** Made with its first operation: one that is never written would be held by the database. */
  #batch: ReturnType<LevelDBStore['batch']> | undefined
  #bytes = 0
  #inFlight: Promise<void> = Promise.resolve()

  constructor(store: LevelDBStore) {
    this.#store = store
  }

  /** `value` is `undefined` for a deletion. */
  add(key: Buffer, value: Buffer | undefined): void {
    this.#batch ??= this.#store.batch()
    if (value === undefined) this.#batch.del(key)
    else this.#batch.put(key, value)
    this.#bytes += key.length + (value?.length ?? 0)
  }

  get isFull(): boolean {
    return (this.#batch?.length ?? 0) >= BATCH_OPERATIONS || this.#bytes >= BATCH_BYTES
  }

  /** Waits for the batch in flight and sends the one that was filled, if any. */
  async submit(): Promise<void> {
    await this.#inFlight
    if (this.#batch === undefined) return
    this.#inFlight = this.#store.commit(this.#batch)
    // Reported by the next `submit` or `finish`, which may come after the rejection.
    this.#inFlight.catch(() => undefined)
    this.#batch = undefined
    this.#bytes = 0
  }

  async finish(): Promise<void> {
    await this.submit()
    await this.#inFlight
  }
}

const NO_BYTES = new Uint8Array(0)
