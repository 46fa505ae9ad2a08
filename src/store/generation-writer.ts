/**
 * Writes one frozen generation, in one pass over its entries in key order, to local delta tables and to LevelDB. The tables come first:
 * a checkpoint need not wait for LevelDB.
 *
 * Invariants
 * I1 An entry's sequence in a delta table is the one LevelDB gives it: both count up by one from the last sequence, in the order of
 *    the entries, and the two are compared when LevelDB has the last.
 * I2 The event loop is held for one slice at most, and what one large value takes beyond.
 * I3 The tables of a generation follow each other in keys and in sequences, as if each were of a generation of its own.
 */
import { rmSync } from 'node:fs'
import type { Buffer } from 'node:buffer'
import { assert } from '../common/assert.js'
import type { Slicer } from '../common/slicer.js'
import { ValueType } from '../table/internal-key.js'
import { KeySketch } from '../table/key-sketch.js'
import type { TableFile, TableFileWriter } from '../table/table-file.js'
import { cellEntries, type CellEntriesInput } from './cell-entries.js'
import { GenerationBatches } from './generation-batches.js'
import type { LevelDBStore } from './leveldb-store.js'

/**
 * A delta table is ended behind this many bytes, and the generation goes on in another: a base that has its keys leaves it out though it
 * lacks later ones, and a restore at another parallelism cuts one table, not all the generation.
 */
const DELTA_TABLE_BYTES = 16 * 2 ** 20

export interface GenerationTarget {
  /** `undefined` for the in-memory backend, which keeps the cells themselves. */
  readonly store: LevelDBStore | undefined
  /** The generation's entries get the sequences that follow. */
  readonly lastSequence: number
  readonly createTable: () => Promise<TableFileWriter>
  readonly slicer: Slicer
  /** LevelDB gets nothing before `WrittenGeneration.store` is called, unless too much would wait for it. */
  readonly held?: boolean
  /** See `DELTA_TABLE_BYTES`. */
  readonly tableBytes?: number
}

/** A delta table, closed and hashed. */
export interface WrittenTable {
  readonly file: TableFile
  readonly sketch: KeySketch
}

export interface WrittenGeneration {
  /** One or more. */
  readonly tables: readonly WrittenTable[]
  /** Whether it was held back: LevelDB has nothing of it before `store` is called. */
  readonly isHeld: boolean
  /** Sends LevelDB the rest. Resolves when it has all, and rejects when it cannot (S6). To be called any number of times. */
  readonly store: () => Promise<void>
  /** Resolves when LevelDB has all that was sent so far. Never rejects. */
  readonly settled: () => Promise<void>
}

/** On failure the tables' files are removed, nothing is under way any more, and a failed store stays failed (S6). */
export async function writeGeneration(
  entries: CellEntriesInput,
  target: GenerationTarget,
): Promise<WrittenGeneration> {
  const { store, lastSequence, held = false } = target
  const tables = new Tables(target)
  const batches =
    store === undefined ? undefined : new GenerationBatches(store, target.slicer, held)
  try {
    await tables.next()
    const sequence = await writeEntries(entries, target, tables, batches)
    const written = await tables.finish()
    assert(
      written.at(-1)?.file.largestSequence === sequence,
      'I3: sequences end with the last table',
    )
    assert(sequence > lastSequence, 'a frozen generation is never empty')
    let stored: Promise<void> | undefined
    return {
      tables: written,
      isHeld: batches?.isHeld ?? false,
      store: () => {
        stored ??= allStored(batches, store, sequence)
        // Reported to whoever waits for it, which may be later than its rejection.
        stored.catch(() => undefined)
        return stored
      },
      settled: async () => batches?.settled(),
    }
  } catch (error) {
    await batches?.settled()
    await tables.discard()
    throw error
  }
}

async function allStored(
  batches: GenerationBatches | undefined,
  store: LevelDBStore | undefined,
  sequence: number,
): Promise<void> {
  await batches?.finish()
  assert(store === undefined || store.lastSequence === sequence, "I1: our sequences are LevelDB's")
}

/** Returns the last sequence given. */
async function writeEntries(
  entries: CellEntriesInput,
  { lastSequence, slicer }: GenerationTarget,
  tables: Tables,
  batches: GenerationBatches | undefined,
): Promise<number> {
  let sequence = lastSequence
  slicer.restart()
  for (const entry of cellEntries(entries)) {
    if (entry !== undefined) {
      sequence++
      const { key, value } = entry
      batches?.add(key, value)
      tables.add(key, sequence, value)
    }
    if (batches?.isFull === true) await batches.submit()
    if (tables.isFull) await tables.next()
    if (entry === undefined ? slicer.overdue() : slicer.due(entry.value?.length)) {
      await tables.flush()
      await slicer.pause()
    }
  }
  return sequence
}

/** The delta tables of one generation, one after the other. */
class Tables {
  readonly #createTable: () => Promise<TableFileWriter>
  readonly #tableBytes: number
  readonly #written: WrittenTable[] = []
  #sequence: number
  #table: TableFileWriter | undefined
  #sketch = new KeySketch()

  constructor({ createTable, tableBytes = DELTA_TABLE_BYTES, lastSequence }: GenerationTarget) {
    this.#createTable = createTable
    this.#tableBytes = tableBytes
    this.#sequence = lastSequence
  }

  /** Touches memory only. `value` is `undefined` for a deletion. */
  add(key: Buffer, sequence: number, value: Buffer | undefined): void {
    assert(this.#table !== undefined, 'entries are added between next and finish')
    const type = value === undefined ? ValueType.Deletion : ValueType.Value
    const keyHash = this.#table.add(key, sequence, type, value ?? NO_BYTES)
    this.#sketch.add(keyHash, key.length + (value?.length ?? 0))
  }

  get isFull(): boolean {
    return (this.#table?.writtenBytes ?? 0) >= this.#tableBytes
  }

  async flush(): Promise<void> {
    await this.#table?.flushPieces()
  }

  /** Ends the table, if there is one, and begins another. */
  async next(): Promise<void> {
    await this.#end()
    this.#table = await this.#createTable()
  }

  /** Ends the last table, which may be empty: then it is none. */
  async finish(): Promise<readonly WrittenTable[]> {
    await this.#end()
    return this.#written
  }

  async #end(): Promise<void> {
    const file = await this.#table?.finish()
    if (file === undefined) return
    const { smallestSequence, largestSequence, entryCount } = file
    assert(
      smallestSequence === this.#sequence + 1 && largestSequence === this.#sequence + entryCount,
      'I3: a delta table holds exactly the sequences that follow',
    )
    this.#sequence = largestSequence
    this.#written.push({ file, sketch: this.#sketch })
    this.#sketch = new KeySketch()
    this.#table = undefined
  }

  /** Removes the files of all tables. */
  async discard(): Promise<void> {
    await this.#table?.abort()
    for (const { file } of this.#written) rmSync(file.path, { force: true })
  }
}

const NO_BYTES = new Uint8Array(0)
