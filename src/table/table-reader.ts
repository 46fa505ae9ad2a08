/**
 * Reads the entries of a LevelDB table, of LevelDB or of ours: in order, or one by its key. Bytes and their checks are
 * table-blocks.ts.
 *
 * E1 what is returned is what was written, or the call throws `TABLE_DAMAGED` with `{file, offset}`, the offset of the block;
 * E2 an entry's bytes are never reused: it stays valid for as long as it is held, and keeps its block alive;
 * E3 `get` and `mayContain` never miss a key that `entries` shows.
 */
import type { Buffer } from 'node:buffer'
import { type BlockCursor, KeyArena } from './block.js'
import { bloomHash, FilterBlockReader } from './bloom-filter.js'
import {
  compareInternalKeys,
  compareUserKey,
  TRAILER_BYTES,
  UPPER_HALF_END,
  ValueType,
} from './internal-key.js'
import { TableBlocks, type IndexEntry } from './table-blocks.js'
import type { BlockHandle } from './table-format.js'

/** Valid for as long as it is held; not to be modified. */
export interface TableEntry {
  userKey: Buffer
  /** In [0, 2^53 - 1]. */
  sequence: number
  type: ValueType
  /** Empty for a deletion. */
  value: Buffer
}

export interface TableReaderOptions {
  /** Default true. Without it damage may be returned as data. */
  verifyChecksums?: boolean
}

/** All calls are synchronous; any number of `entries` may be under way. */
export class TableReader {
  readonly path: string
  readonly sizeBytes: number
  private readonly blocks: TableBlocks
  private readonly arena = new KeyArena()
  /** Null when the table has none; undefined before the first look. */
  private filter: FilterBlockReader | null | undefined

  /**
   * Reads footer and index, whose size is about a hundredth of the table's. Throws `TABLE_DAMAGED` for a file that is no table,
   * `STORE_FAILED` for one that cannot be read or is not there.
   */
  static open(path: string, options: TableReaderOptions = {}): TableReader {
    return new TableReader(TableBlocks.open(path, options.verifyChecksums ?? true))
  }

  private constructor(blocks: TableBlocks) {
    this.blocks = blocks
    this.path = blocks.path
    this.sizeBytes = blocks.sizeBytes
  }

  /**
   * Entries in internal-key order with user keys in [gte, lt), all versions and deletions included. A block is read when it is
   * reached. Not to be advanced after `close`.
   */
  *entries(range: { gte?: Uint8Array; lt?: Uint8Array } = {}): Generator<TableEntry> {
    const { gte, lt } = range
    const arena = new KeyArena()
    const blockCount = this.blocks.index.length
    for (let block = this.blocks.firstBlock(gte); block < blockCount; block++) {
      const entry = this.blocks.indexEntry(block)
      const cursor = this.blocks.openCursor(entry, arena)
      let valid = gte === undefined ? this.advance(cursor, entry) : this.seek(cursor, gte, entry)
      if (valid && block > 0) this.checkFirstKey(cursor, block)
      const mayReachEnd = lt !== undefined && compareUserKey(entry.key, lt) >= 0
      while (valid) {
        if (mayReachEnd && this.compare(cursor, lt, entry) >= 0) return
        yield this.currentEntry(cursor, entry)
        valid = this.advance(cursor, entry)
      }
      this.checkLastKey(cursor, entry)
    }
  }

  /** The newest entry of the key in this table, a deletion included; undefined when it has none. */
  get(userKey: Uint8Array): TableEntry | undefined {
    for (const entry of this.blocksThatMayHold(userKey)) {
      const cursor = this.blocks.openCursor(entry, this.arena)
      if (!this.seek(cursor, userKey, entry)) continue
      return this.compare(cursor, userKey, entry) === 0
        ? this.currentEntry(cursor, entry)
        : undefined
    }
    return undefined
  }

  /** False only when no block can hold the key, by the index and the filter. */
  mayContain(userKey: Uint8Array): boolean {
    return this.blocksThatMayHold(userKey).next().done !== true
  }

  /** Closes the file. Idempotent. Entries that are held stay valid. */
  close(): void {
    this.blocks.close()
  }

  /** Blocks whose range has the key and whose filter does not rule it out, in order. Nearly always at most one. */
  private *blocksThatMayHold(userKey: Uint8Array): Generator<IndexEntry, undefined> {
    const hash = bloomHash(userKey)
    const blockCount = this.blocks.index.length
    for (let block = this.blocks.firstBlock(userKey); block < blockCount; block++) {
      const entry = this.blocks.indexEntry(block)
      if (this.filterAllows(entry, hash)) yield entry
      // The next block can only start with this key if the index key, which separates the two, has it as well.
      if (compareUserKey(entry.key, userKey) !== 0) return
    }
  }

  private filterAllows(block: BlockHandle, hash: number): boolean {
    this.filter ??= this.blocks.readFilter((contents) => new FilterBlockReader(contents)) ?? null
    return this.filter === null || this.filter.mayContain(block.offset, hash)
  }

  private advance(cursor: BlockCursor, block: BlockHandle): boolean {
    try {
      return cursor.next()
    } catch (cause) {
      throw this.blocks.explain(cause, block.offset)
    }
  }

  private seek(cursor: BlockCursor, userKey: Uint8Array, block: BlockHandle): boolean {
    return this.blocks.parse(block.offset, () => cursor.seek(userKey))
  }

  private compare(cursor: BlockCursor, userKey: Uint8Array, block: BlockHandle): number {
    return this.blocks.parse(block.offset, () => cursor.compareUserKey(userKey))
  }

  private currentEntry(cursor: BlockCursor, block: BlockHandle): TableEntry {
    const { keyBuffer, keyStart, keyLength } = cursor
    if (keyLength < TRAILER_BYTES) throw this.blocks.damaged('a key has no sequence', block.offset)
    const userKeyEnd = keyStart + keyLength - TRAILER_BYTES
    const type = keyBuffer[userKeyEnd]
    const upper = keyBuffer.readUInt32LE(userKeyEnd + 4)
    if (upper >= UPPER_HALF_END || (type !== ValueType.Value && type !== ValueType.Deletion)) {
      throw this.blocks.damaged('a key has an impossible sequence or type', block.offset)
    }
    return {
      userKey: keyBuffer.subarray(keyStart, userKeyEnd),
      sequence: upper * 0x100_0000 + (keyBuffer.readUInt32LE(userKeyEnd) >>> 8),
      type,
      value: cursor.value(),
    }
  }

  /** With its pair below: a block that is not the one the index means is found out although its own checksum is right. */
  private checkFirstKey(cursor: BlockCursor, block: number): void {
    const previous = this.blocks.indexEntry(block - 1).key
    if (cursor.keyLength < TRAILER_BYTES || compareInternalKeys(previous, cursor.key()) >= 0) {
      throw this.blocks.damaged(
        'a block starts before its place',
        this.blocks.indexEntry(block).offset,
      )
    }
  }

  private checkLastKey(cursor: BlockCursor, entry: IndexEntry): void {
    if (cursor.keyLength < TRAILER_BYTES || compareInternalKeys(cursor.key(), entry.key) > 0) {
      throw this.blocks.damaged('a block is empty or ends after its place', entry.offset)
    }
  }
}
