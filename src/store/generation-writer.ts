/**
 * Writes one frozen generation, in one pass over its entries in key order, to LevelDB and to a local delta table.
 *
 * Invariants
 * I1 An entry's sequence in the delta table is the one LevelDB gives it: both count up by one from the last sequence, in the order of
 *    the entries, and the two are compared at the end.
 * I2 The event loop is held for one slice at most: batches are small and each is awaited.
 */
import { assert } from '../common/assert.js'
import type { Slicer } from '../common/slicer.js'
import { ValueType } from '../table/internal-key.js'
import { KeySketch } from '../table/key-sketch.js'
import { TableFileWriter, type TableFile } from '../table/table-file.js'
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
  let sequence = target.lastSequence
  let batch = store?.batch()
  let batchBytes = 0
  slicer.restart()
  for (const entry of cellEntries(entries)) {
    if (entry !== undefined) {
      sequence++
      sketch.add(entry.key)
      if (entry.value === undefined) {
        batch?.del(entry.key)
        table.add(entry.key, sequence, ValueType.Deletion, EMPTY)
      } else {
        batch?.put(entry.key, entry.value)
        table.add(entry.key, sequence, ValueType.Value, entry.value)
        batchBytes += entry.value.length
      }
      batchBytes += entry.key.length
    }
    const operations = batch?.length ?? 0
    if (slicer.due() || operations >= BATCH_OPERATIONS || batchBytes >= BATCH_BYTES) {
      const written = store !== undefined && operations > 0
      await Promise.all([written ? batch && store.commit(batch) : slicer.pause(), table.flush()])
      if (written) batch = store.batch()
      batchBytes = 0
      slicer.restart()
    }
  }
  if (store !== undefined && batch !== undefined && batch.length > 0) await store.commit(batch)
  return sequence
}

const EMPTY = new Uint8Array(0)
