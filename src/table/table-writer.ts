/**
 * Writes a LevelDB table: entries in, bytes out, in one pass. Where the bytes go is the sink's affair (table-file.ts writes a
 * file). Uncompressed tables are byte for byte what LevelDB 1.20 writes for the same entries.
 *
 * W1 entries arrive in internal-key order: user key ascending, then sequence descending; anything else is a bug and asserted;
 * W2 an index key is at or after the last key of its block and before the first key of the next, as internal keys;
 * W3 nothing of an entry is kept but its hash and, while it is the last, its key.
 */
import { Buffer } from 'node:buffer'
import { assert } from '../common/assert.js'
import { ByteWriter } from '../common/bytes.js'
import { BlockBuilder, copyBytes } from './block.js'
import { bloomHash, FilterBlockBuilder } from './bloom-filter.js'
import {
  compareInternalKeys,
  shortestSeparator,
  shortSuccessor,
  TRAILER_BYTES,
  ValueType,
  writeTrailer,
} from './internal-key.js'
import { encodeMetaindex } from './metaindex.js'
import {
  BLOCK_BYTES_MAX,
  BLOCK_TRAILER_BYTES,
  encodeFooter,
  sealBlock,
  writeHandle,
  type BlockHandle,
  type CompressionName,
} from './table-format.js'

export const DATA_RESTART_INTERVAL = 16
/** Every index entry is a restart point, for binary search. */
export const INDEX_RESTART_INTERVAL = 1
const BLOCK_SIZE_BYTES_DEFAULT = 4096
const BLOCK_SIZE_BYTES_MAX = 2 ** 20
/** So that a block with the largest entry behind an almost full one can still be read. */
const ENTRY_BYTES_MAX = BLOCK_BYTES_MAX - 2 * BLOCK_SIZE_BYTES_MAX

export interface TableWriterOptions {
  /** Default 'none'. */
  compression?: CompressionName
  /** A data block is closed when it reaches this; in [1, 2^20], default 4096. */
  blockSizeBytes?: number
}

export interface TableProperties {
  sizeBytes: number
  entryCount: number
  /** Internal key of the first entry; the receiver's own. */
  smallest: Buffer
  /** Internal key of the last entry; the receiver's own. */
  largest: Buffer
  smallestSequence: number
  largestSequence: number
}

export class TableWriter {
  private readonly sink: (chunk: Buffer) => void
  private readonly compression: CompressionName
  private readonly blockSizeBytes: number
  private readonly dataBlock = new BlockBuilder(DATA_RESTART_INTERVAL)
  private readonly indexBlock = new BlockBuilder(INDEX_RESTART_INTERVAL)
  private readonly filter = new FilterBlockBuilder()
  private readonly handleBytes = new ByteWriter(32)
  /** The closed data block whose index entry waits for the first key of the next one. */
  private pendingHandle: BlockHandle | undefined
  private offset = 0
  private finished = false
  private entryCount = 0
  private smallest: Buffer | undefined
  private smallestSequence = Infinity
  private largestSequence = -1
  /** Scratch of the key being added and of the one before it; they change places after each entry. */
  private key: Buffer = Buffer.allocUnsafeSlow(64)
  private lastKey: Buffer = Buffer.allocUnsafeSlow(64)
  private lastKeyLength = 0

  /** The sink is called synchronously, in file order; the chunk is its own. What it throws, `add` and `finish` throw. */
  constructor(sink: (chunk: Buffer) => void, options: TableWriterOptions = {}) {
    this.sink = sink
    this.compression = options.compression ?? 'none'
    this.blockSizeBytes = options.blockSizeBytes ?? BLOCK_SIZE_BYTES_DEFAULT
    assert(
      this.blockSizeBytes >= 1 && this.blockSizeBytes <= BLOCK_SIZE_BYTES_MAX,
      'the block size of a table lies in [1, 2^20]',
    )
  }

  /** Bytes handed to the sink so far; the block being built is not among them. */
  get writtenBytes(): number {
    return this.offset
  }

  /** Adds an entry; both byte arrays are copied. A deletion's value is empty. Returns the `bloomHash` of the key. */
  add(userKey: Uint8Array, sequence: number, type: ValueType, value: Uint8Array): number {
    assert(!this.finished, 'no entry is added to a finished table')
    assert(Number.isSafeInteger(sequence) && sequence >= 0, 'a sequence lies in [0, 2^53 - 1]')
    assert(userKey.length + value.length <= ENTRY_BYTES_MAX, 'an entry is below a gigabyte')
    assert(type === ValueType.Value || value.length === 0, 'a deletion has no value')
    const keyLength = this.composeKey(userKey, sequence, type)
    if (this.entryCount === 0) this.smallest = Buffer.from(this.key.subarray(0, keyLength))
    else this.assertAscending(keyLength)
    if (this.pendingHandle !== undefined) {
      const last = this.lastKey.subarray(0, this.lastKeyLength)
      this.addToIndex(shortestSeparator(last, this.key.subarray(0, keyLength)), this.pendingHandle)
    }
    const keyHash = bloomHash(userKey)
    this.filter.addKey(keyHash)
    this.dataBlock.add(this.key, keyLength, value)
    this.entryCount++
    if (sequence < this.smallestSequence) this.smallestSequence = sequence
    if (sequence > this.largestSequence) this.largestSequence = sequence
    const spare = this.lastKey
    this.lastKey = this.key
    this.lastKeyLength = keyLength
    this.key = spare
    if (this.dataBlock.sizeBytes >= this.blockSizeBytes) this.closeDataBlock()
    return keyHash
  }

  /** Hands the rest to the sink. Undefined when nothing was added: then nothing is written. To be called once. */
  finish(): TableProperties | undefined {
    assert(!this.finished, 'a table is finished once')
    this.finished = true
    const smallest = this.smallest
    if (smallest === undefined) return undefined
    if (!this.dataBlock.isEmpty) this.closeDataBlock()
    const largest = Buffer.from(this.lastKey.subarray(0, this.lastKeyLength))
    const filterHandle = this.writeBlock(this.filter.finish(), 'none')
    const metaindexHandle = this.writeBlock(encodeMetaindex(filterHandle), this.compression)
    if (this.pendingHandle !== undefined) {
      this.addToIndex(shortSuccessor(largest), this.pendingHandle)
    }
    const indexHandle = this.writeBlock(this.indexBlock.finish(), this.compression)
    this.write(encodeFooter(metaindexHandle, indexHandle))
    return {
      sizeBytes: this.offset,
      entryCount: this.entryCount,
      smallest,
      largest,
      smallestSequence: this.smallestSequence,
      largestSequence: this.largestSequence,
    }
  }

  private composeKey(userKey: Uint8Array, sequence: number, type: ValueType): number {
    const userKeyLength = userKey.length
    if (userKeyLength + TRAILER_BYTES > this.key.length) {
      this.key = Buffer.allocUnsafeSlow((userKeyLength + TRAILER_BYTES) * 2)
    }
    copyBytes(userKey, 0, userKeyLength, this.key, 0)
    writeTrailer(this.key, userKeyLength, sequence, type)
    return userKeyLength + TRAILER_BYTES
  }

  private assertAscending(keyLength: number): void {
    const { key, lastKey } = this
    const end = Math.min(keyLength, this.lastKeyLength) - TRAILER_BYTES
    let at = 0
    while (at < end && key[at] === lastKey[at]) at++
    const ascending =
      at < end
        ? (key[at] ?? 0) > (lastKey[at] ?? 0)
        : keyLength > this.lastKeyLength ||
          (keyLength === this.lastKeyLength &&
            compareInternalKeys(lastKey.subarray(0, keyLength), key.subarray(0, keyLength)) < 0)
    assert(ascending, 'entries are added in internal-key order', { entryCount: this.entryCount })
  }

  private closeDataBlock(): void {
    this.pendingHandle = this.writeBlock(this.dataBlock.finish(), this.compression)
    this.dataBlock.reset()
    this.filter.startBlock(this.offset)
  }

  private addToIndex(key: Buffer, handle: BlockHandle): void {
    this.indexBlock.add(key, key.length, this.encodeHandle(handle))
    this.pendingHandle = undefined
  }

  private encodeHandle(handle: BlockHandle): Buffer {
    this.handleBytes.reset()
    writeHandle(this.handleBytes, handle)
    return this.handleBytes.view()
  }

  private writeBlock(contents: Buffer, compression: CompressionName): BlockHandle {
    const stored = sealBlock(contents, compression)
    const handle = { offset: this.offset, size: stored.length - BLOCK_TRAILER_BYTES }
    this.write(stored)
    return handle
  }

  private write(chunk: Buffer): void {
    this.offset += chunk.length
    this.sink(chunk)
  }
}
