/** Delta tables on local disk: one or more per frozen generation, or several merged into one. */
import { assert } from '../common/assert.js'
import { throwIfAborted } from '../common/concurrency.js'
import type { Slicer } from '../common/slicer.js'
import { KeySketch } from '../table/key-sketch.js'
import { mergeEntries } from '../table/merging-iterator.js'
import { TableFileWriter, type TableFile } from '../table/table-file.js'
import { TableReader } from '../table/table-reader.js'
import type { TableWriterOptions } from '../table/table-writer.js'

export interface DeltaTable {
  readonly path: string
  readonly sizeBytes: number
  readonly sha256: string
  /** Internal keys. */
  readonly smallest: Buffer
  readonly largest: Buffer
  /** The delta stands for all writes with sequences in `[fromSequence, toSequence]`. */
  readonly fromSequence: number
  readonly toSequence: number
  readonly entryCount: number
  /** Of its keys; `undefined` for a restored delta, whose keys nobody has counted. */
  readonly sketch: KeySketch | undefined
}

/** `range` is that of its own entries where it is not given. */
export function deltaTable(
  file: TableFile,
  sketch: KeySketch,
  range: { readonly fromSequence: number; readonly toSequence: number } = {
    fromSequence: file.smallestSequence,
    toSequence: file.largestSequence,
  },
): DeltaTable {
  const { path, sizeBytes, sha256, smallest, largest, entryCount } = file
  return { path, sizeBytes, sha256, smallest, largest, entryCount, sketch, ...range }
}

/** Bytes of the deltas, from oldest to newest, merged into one, estimated; those whose keys were not counted are taken for whole. */
export function estimateMergedBytes(deltas: readonly DeltaTable[]): number {
  let countedBytes = 0
  let otherBytes = 0
  const sketches: KeySketch[] = []
  for (const { sizeBytes, sketch } of deltas) {
    if (sketch === undefined) {
      otherBytes += sizeBytes
    } else {
      countedBytes += sizeBytes
      sketches.push(sketch)
    }
  }
  return otherBytes + countedBytes * KeySketch.remainingFraction(sketches)
}

/**
 * Merges neighbouring deltas, from oldest to newest, into the new file `path`: the newest entry of every key, deletions included,
 * because the base may hold what they delete. In slices. On failure or abort the file is removed.
 */
export async function mergeDeltas(
  deltas: readonly DeltaTable[],
  path: string,
  options: { slicer: Slicer; signal: AbortSignal; table: TableWriterOptions },
): Promise<DeltaTable> {
  assert(deltas.length > 0, 'a merge has deltas')
  const table = await TableFileWriter.create(path, options.table)
  const readers: TableReader[] = []
  const sketch = new KeySketch()
  try {
    for (const delta of deltas) readers.push(TableReader.open(delta.path))
    options.slicer.restart()
    for (const entry of mergeEntries(readers.map((reader) => reader.entries()))) {
      const keyHash = table.add(entry.userKey, entry.sequence, entry.type, entry.value)
      sketch.add(keyHash, entry.userKey.length + entry.value.length)
      if (!options.slicer.due(entry.value.length)) continue
      throwIfAborted(options.signal)
      await table.flushPieces()
      await options.slicer.pause()
    }
    const file = await table.finish()
    assert(file !== undefined, 'merged deltas are never empty')
    // Deltas of united sources are not in the order of their sequences.
    const range = {
      fromSequence: Math.min(...deltas.map((delta) => delta.fromSequence)),
      toSequence: Math.max(...deltas.map((delta) => delta.toSequence)),
    }
    return deltaTable(file, sketch, range)
  } catch (error) {
    await table.abort()
    throw error
  } finally {
    for (const reader of readers) reader.close()
  }
}
