/**
 * Cuts a table to a range of user keys: whole data blocks are copied as they are stored, only the blocks that the range cuts
 * through, at most two, are decoded and encoded again. The index is written anew; a filter is copied with its blocks, and built
 * for an encoded one. Here blocks are chosen and cut; where they go is clip-layout.ts, writing them is clip-writer.ts.
 *
 * C1 the clip holds exactly the entries of the source with user keys in [gte, lt), all versions and deletions, and nothing
 *    else outside the range but keys that a copied filter remembers;
 * C2 every block that is kept had the right checksum, or the call throws `TABLE_DAMAGED` and leaves no file, unless the caller knows
 *    the file to be right;
 * C3 no filter says no to a key of its block; a copied one also knows keys of its window that were cut off, and rejects others
 *    as often as before;
 * C4 an index key is at or after the last key of its block and before the first key of the next; the last one is the largest
 *    key;
 * C5 a kept block is either as stored in the source or the encoding of those of its entries that are in range. So a block cut
 *    twice is as if it had been cut once, and one that is wholly in range is copied even when it had to be decoded to know that;
 * C6 clipping is closed under itself: by C3 to C5 and L4 of clip-layout.ts a clip of a clip is the clip to the intersection, byte
 *    for byte. Only a compressed block may differ: one that no longer shrinks once it is cut is not compressed at a later cut;
 * C7 before its filter, index and footer, a clip of a table without gaps holds less than 3 filter windows beside its blocks, at
 *    most two of which were encoded again.
 */
import { Buffer } from 'node:buffer'
import { throwIfAborted } from '../common/concurrency.js'
import { BlockBuilder, KeyArena } from './block.js'
import {
  writeClip,
  type ClipOptions,
  type CopiedBlock,
  type EncodedBlock,
  type KeptBlock,
} from './clip-writer.js'
import { compareInternalKeys, compareUserKey, isInternalKey, userKeyOf } from './internal-key.js'
import { TableBlocks, type IndexEntry } from './table-blocks.js'
import { BLOCK_TRAILER_BYTES, sealBlock } from './table-format.js'
import { TableOutput } from './table-output.js'
import { DATA_RESTART_INTERVAL } from './table-writer.js'

/** User keys in [gte, lt); a missing bound does not bound. */
export interface ClipRange {
  gte?: Uint8Array
  lt?: Uint8Array
}

export interface ClippedTable {
  path: string
  sizeBytes: number
  /** Of the bytes written; lower-case hexadecimal. */
  sha256: string
  /** Internal key of the first entry; the receiver's own. */
  smallest: Buffer
  /** Internal key of the last entry; the receiver's own. */
  largest: Buffer
}

/** What is left of a block; its first and last internal keys. */
interface Cut {
  block: KeptBlock
  first: Buffer
  last: Buffer
}

/**
 * Cuts a local table to the entries with user keys in range, into a new file. Undefined, and no file, when nothing is left.
 * Any number of clips may run at once, also of one source, which is only read.
 *
 * Fails with `TABLE_DAMAGED` (`{file, offset}`) when a block in range or the source's structure is damaged, `SNAPSHOT_ABORTED`
 * by the signal (or its reason, when that is a `StateBackendError`), `DISK_FULL`, or `STORE_FAILED`: also when `targetPath`
 * exists, which is then left alone. After any other failure `targetPath` does not exist.
 */
export async function clipTable(
  sourcePath: string,
  targetPath: string,
  range: ClipRange,
  options: ClipOptions,
): Promise<ClippedTable | undefined> {
  throwIfAborted(options.signal)
  const source = TableBlocks.open(sourcePath, options.verifyChecksums ?? true)
  try {
    const kept = selectBlocks(source, range)
    if (kept === undefined) return undefined
    const { blocks, smallest, largest } = kept
    const output = await TableOutput.create(targetPath)
    try {
      await writeClip(source, blocks, output, options)
      const sha256 = await output.finish()
      return { path: targetPath, sizeBytes: output.sizeBytes, sha256, smallest, largest }
    } catch (cause) {
      await output.discard()
      throw cause
    }
  } finally {
    source.close()
  }
}

function selectBlocks(
  source: TableBlocks,
  range: ClipRange,
): { blocks: KeptBlock[]; smallest: Buffer; largest: Buffer } | undefined {
  let last = source.index.length - 1
  if (range.lt !== undefined) last = Math.min(last, source.firstBlock(range.lt))
  let first = source.firstBlock(range.gte)
  let left: Cut | undefined
  // An index key may lie beyond its block's last key, so the outermost blocks may turn out to have nothing in range.
  while (first <= last && (left = cutBlock(source, first, range)) === undefined) first++
  if (left === undefined) return undefined
  let right: Cut | undefined
  while (last > first && (right = cutBlock(source, last, range)) === undefined) last--
  const largest = Buffer.from((right ?? left).last)
  const blocks: KeptBlock[] = []
  if (right !== undefined) blocks.push(left.block)
  for (let block = first + 1; block < last; block++) blocks.push(copied(source.indexEntry(block)))
  blocks.push({ ...(right ?? left).block, key: largest })
  return { blocks, smallest: Buffer.from(left.first), largest }
}

function copied({ key, offset, size }: IndexEntry): CopiedBlock {
  return { kind: 'copied', key, offset, size, sizeBytes: size + BLOCK_TRAILER_BYTES }
}

/** What the range leaves of a block; undefined when that is nothing. */
function cutBlock(source: TableBlocks, number: number, range: ClipRange): Cut | undefined {
  const entry = source.indexEntry(number)
  const all = readBlockEntries(source, number)
  const left = all.filter(({ key }) => isInRange(key, range))
  const first = left[0]?.key
  const last = left.at(-1)?.key
  if (first === undefined || last === undefined) return undefined
  const block = left.length === all.length ? copied(entry) : encodeBlock(source, entry, left)
  return { block, first, last }
}

interface BlockEntry {
  key: Buffer
  value: Buffer
}

/** The entries of a block, which are in order and in the block's place, or the table is damaged. */
function readBlockEntries(source: TableBlocks, number: number): BlockEntry[] {
  const entry = source.indexEntry(number)
  const cursor = source.openCursor(entry, new KeyArena())
  const entries: BlockEntry[] = []
  let previous = number === 0 ? undefined : source.indexEntry(number - 1).key
  while (source.parse(entry.offset, () => cursor.next())) {
    const key = cursor.key()
    if (!isInternalKey(key) || !comesAfter(previous, key)) {
      throw source.damaged('a key of a block is impossible or out of order', entry.offset)
    }
    entries.push({ key, value: cursor.value() })
    previous = key
  }
  const last = entries.at(-1)?.key
  if (last === undefined || compareInternalKeys(last, entry.key) > 0) {
    throw source.damaged('a block is empty or ends after its place', entry.offset)
  }
  return entries
}

function comesAfter(previous: Buffer | undefined, key: Buffer): boolean {
  return previous === undefined || compareInternalKeys(previous, key) < 0
}

function isInRange(internalKey: Buffer, { gte, lt }: ClipRange): boolean {
  if (gte !== undefined && compareUserKey(internalKey, gte) < 0) return false
  return lt === undefined || compareUserKey(internalKey, lt) < 0
}

/** Compressed if the block that the entries come from was. */
function encodeBlock(
  source: TableBlocks,
  { key, offset, size }: IndexEntry,
  entries: readonly BlockEntry[],
): EncodedBlock {
  const builder = new BlockBuilder(DATA_RESTART_INTERVAL)
  for (const entry of entries) builder.add(entry.key, entry.key.length, entry.value)
  const stored = sealBlock(builder.finish(), source.compressionOf({ offset, size }))
  const userKeys = entries.map((entry) => userKeyOf(entry.key))
  return { kind: 'encoded', key, sizeBytes: stored.length, stored, userKeys }
}
