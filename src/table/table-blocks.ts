/**
 * A LevelDB table as blocks: the file, its footer, its index, and any block of it, each checked before it is believed. What
 * entries are in them is table-reader.ts.
 *
 * R1 bytes handed out are those that were written, or the call throws `TABLE_DAMAGED` with `{file, offset}`;
 * R2 nothing is allocated or read on the word of an unchecked length: blocks lie inside the file, in ascending order, apart.
 * All calls are synchronous, one pread per block.
 */
import { Buffer } from 'node:buffer'
import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { assert } from '../common/assert.js'
import { ByteReaderError } from '../common/bytes.js'
import { StateBackendError } from '../errors.js'
import { BlockCursor, KeyArena } from './block.js'
import { diskError } from './disk-error.js'
import { compareInternalKeys, compareUserKey, TRAILER_BYTES } from './internal-key.js'
import {
  BLOCK_BYTES_MAX,
  BLOCK_TRAILER_BYTES,
  compressionOf,
  decodeFooter,
  decodeHandle,
  FILTER_META_KEY,
  FOOTER_BYTES,
  endOf,
  openBlock,
  type BlockHandle,
  type CompressionName,
} from './table-format.js'

/** A data block as the index describes it. */
export interface IndexEntry extends BlockHandle {
  /** Internal key, at or after the last key of the block and before the first key of the next. May be no key's (separator). */
  key: Buffer
}

export class TableBlocks {
  readonly path: string
  readonly sizeBytes: number
  /** Data blocks in key order. */
  readonly index: readonly IndexEntry[]
  private readonly indexHandle: BlockHandle
  private readonly filterHandle: BlockHandle | undefined
  private readonly verifyChecksums: boolean
  private descriptor: number | undefined

  /** Throws `TABLE_DAMAGED` for a file that is no table, `STORE_FAILED` for one that cannot be read or is not there. */
  static open(path: string, verifyChecksums: boolean): TableBlocks {
    let descriptor: number
    try {
      descriptor = openSync(path, 'r')
    } catch (cause) {
      throw diskError(cause, path)
    }
    try {
      return new TableBlocks(path, descriptor, verifyChecksums)
    } catch (cause) {
      closeSync(descriptor)
      throw cause
    }
  }

  private constructor(path: string, descriptor: number, verifyChecksums: boolean) {
    this.path = path
    this.descriptor = descriptor
    this.verifyChecksums = verifyChecksums
    this.sizeBytes = this.fileSize(descriptor)
    const footerOffset = this.sizeBytes - FOOTER_BYTES
    if (footerOffset < 0) throw this.damaged('the file is shorter than a footer', 0)
    const footer = this.read(footerOffset, FOOTER_BYTES)
    const { metaindex, index } = this.parse(footerOffset, () => decodeFooter(footer))
    // The footer has no checksum; that its blocks lie end to end before it proves its handles.
    if (endOf(index) !== footerOffset || endOf(metaindex) !== index.offset) {
      throw this.damaged('the footer does not lead to the index', footerOffset)
    }
    this.indexHandle = index
    this.filterHandle = this.readMetaindex(metaindex)
    this.index = this.readIndex(index, metaindex.offset)
  }

  /** A block's contents, uncompressed, in memory of their own. */
  readBlock(handle: BlockHandle): Buffer {
    const stored = this.readStored([handle])
    return this.parse(handle.offset, () => openBlock(stored, this.verifyChecksums))
  }

  /**
   * Blocks that lie end to end, as stored, trailers included: at the beginning of `target` when they fit in it, or else in memory
   * of their own. Not checked: `checkBlock` is to be called on each.
   */
  readStored(run: readonly BlockHandle[], target?: Buffer): Buffer {
    const start = run[0]?.offset ?? 0
    let end = start
    for (const handle of run) {
      assert(handle.offset === end, 'blocks read at once lie end to end')
      end = endOf(handle)
      if (handle.size > BLOCK_BYTES_MAX || end > this.sizeBytes) {
        throw this.damaged('a block lies outside the file', handle.offset)
      }
    }
    return this.read(start, end - start, target)
  }

  /** How a block is stored, by its word. */
  compressionOf({ offset, size }: BlockHandle): CompressionName {
    const trailer = this.read(offset + size, BLOCK_TRAILER_BYTES)
    return this.parse(offset, () => compressionOf(trailer))
  }

  /** How the index block is stored. */
  indexCompression(): CompressionName {
    return this.compressionOf(this.indexHandle)
  }

  /** Number of the first block that may hold `userKey` or a later key. */
  firstBlock(userKey: Uint8Array | undefined): number {
    if (userKey === undefined) return 0
    let low = 0
    let high = this.index.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (compareUserKey(this.indexEntry(middle).key, userKey) < 0) low = middle + 1
      else high = middle
    }
    return low
  }

  indexEntry(block: number): IndexEntry {
    const entry = this.index[block]
    assert(entry !== undefined, 'a block number lies inside the index')
    return entry
  }

  /** A cursor before the first entry of a block; its keys go to `arena`. */
  openCursor(handle: BlockHandle, arena: KeyArena): BlockCursor {
    const contents = this.readBlock(handle)
    return this.parse(handle.offset, () => new BlockCursor(contents, arena))
  }

  /** What `use` makes of the filter block's contents; undefined when the table has no filter. */
  readFilter<T>(use: (contents: Buffer) => T): T | undefined {
    const handle = this.filterHandle
    if (handle === undefined) return undefined
    const contents = this.readBlock(handle)
    return this.parse(handle.offset, () => use(contents))
  }

  /** Runs `read` on bytes of the block at `blockOffset`; what does not parse becomes `TABLE_DAMAGED` there. */
  parse<T>(blockOffset: number, read: () => T): T {
    try {
      return read()
    } catch (cause) {
      throw this.explain(cause, blockOffset)
    }
  }

  /** `parse` without a function, for loops over entries: what to throw instead of `cause`. */
  explain(cause: unknown, blockOffset: number): unknown {
    return cause instanceof ByteReaderError ? this.damaged(cause.message, blockOffset) : cause
  }

  damaged(reason: string, offset: number): StateBackendError {
    return new StateBackendError(
      'TABLE_DAMAGED',
      `The table ${this.path} is damaged at byte ${offset}: ${reason}. Restore from another copy or checkpoint.`,
      { details: { file: this.path, offset } },
    )
  }

  /** Idempotent. */
  close(): void {
    if (this.descriptor === undefined) return
    closeSync(this.descriptor)
    this.descriptor = undefined
  }

  private readMetaindex(handle: BlockHandle): BlockHandle | undefined {
    const cursor = this.openCursor(handle, new KeyArena())
    return this.parse(handle.offset, () => {
      let filter: BlockHandle | undefined
      while (cursor.next()) {
        const isFilter = cursor.key().toString('latin1') === FILTER_META_KEY
        if (isFilter) filter = decodeHandle(cursor.value())
      }
      if (filter !== undefined && endOf(filter) > handle.offset) {
        throw new ByteReaderError('filter block out of bounds', 0)
      }
      return filter
    })
  }

  private readIndex(handle: BlockHandle, dataEnd: number): IndexEntry[] {
    const cursor = this.openCursor(handle, new KeyArena())
    return this.parse(handle.offset, () => {
      const index: IndexEntry[] = []
      let previous: IndexEntry | undefined
      while (cursor.next()) {
        const { offset, size } = decodeHandle(cursor.value())
        const entry = { key: cursor.key(), offset, size }
        if (!follows(previous, entry) || endOf(entry) > dataEnd) {
          throw new ByteReaderError('index entry out of order or out of bounds', 0)
        }
        index.push(entry)
        previous = entry
      }
      return index
    })
  }

  private read(offset: number, bytes: number, target?: Buffer): Buffer {
    assert(this.descriptor !== undefined, 'a table is not read after it was closed')
    const fits = target !== undefined && bytes <= target.length
    const buffer = fits ? target.subarray(0, bytes) : Buffer.allocUnsafeSlow(bytes)
    let filled = 0
    while (filled < bytes) {
      const count = this.readInto(this.descriptor, buffer, filled, offset + filled)
      if (count === 0) throw this.damaged('the file became shorter', offset + filled)
      filled += count
    }
    return buffer
  }

  private readInto(descriptor: number, buffer: Buffer, at: number, offset: number): number {
    try {
      return readSync(descriptor, buffer, at, buffer.length - at, offset)
    } catch (cause) {
      throw diskError(cause, this.path)
    }
  }

  private fileSize(descriptor: number): number {
    try {
      return fstatSync(descriptor).size
    } catch (cause) {
      throw diskError(cause, this.path)
    }
  }
}

function follows(previous: IndexEntry | undefined, next: IndexEntry): boolean {
  if (next.key.length < TRAILER_BYTES) return false
  if (previous === undefined) return true
  return next.offset >= endOf(previous) && compareInternalKeys(previous.key, next.key) < 0
}
