/**
 * LevelDB's bloom filters (`leveldb.BuiltinBloomFilter2`, 10 bits a key) and the filter block that holds them.
 *
 *     bloom filter = bits | u8 probes
 *     filter block = filter* | u32 offset of each filter | u32 offset of that array | u8 base-2 log of the window (11)
 *
 * There is one filter per window of 2,048 bytes of the table; it covers the keys of the data blocks that *start* in its window,
 * and is empty when none does. Bytes are those LevelDB writes for the same keys.
 *
 * F1 a filter never says no to a key it was built from; whatever cannot be understood says "maybe".
 */
import { Buffer } from 'node:buffer'
import { assert } from '../common/assert.js'
import { ByteReaderError, ByteWriter } from '../common/bytes.js'

const BITS_PER_KEY = 10
/** 10 bits a key times ln 2, rounded down. */
const PROBES = 6
/** More probes than this are reserved for other encodings, which match every key. */
const PROBES_MAX = 30
const FILTER_BITS_MIN = 64
const WINDOW_LOG = 11
/** Of the table; a data block's filter is that of the window it starts in. */
export const FILTER_WINDOW_BYTES: number = 1 << WINDOW_LOG
/** No bits, and more probes than any filter has. */
const MAYBE_FILTER = Buffer.from([0, PROBES_MAX + 1])
const HASH_SEED = 0xbc9f_1d34
const HASH_MULTIPLIER = 0xc6a4_a793

/** LevelDB's hash of a user key, an unsigned 32-bit integer. */
export function bloomHash(key: Uint8Array): number {
  const length = key.length
  const wordsEnd = length & ~3
  let hash = HASH_SEED ^ Math.imul(length, HASH_MULTIPLIER)
  let at = 0
  for (; at < wordsEnd; at += 4) {
    const word =
      byteAt(key, at) |
      (byteAt(key, at + 1) << 8) |
      (byteAt(key, at + 2) << 16) |
      (byteAt(key, at + 3) << 24)
    hash = Math.imul(hash + word, HASH_MULTIPLIER)
    hash ^= hash >>> 16
  }
  if (at === length) return hash >>> 0
  for (let shift = 0; at < length; at++, shift += 8) hash += byteAt(key, at) << shift
  hash = Math.imul(hash, HASH_MULTIPLIER)
  return (hash ^ (hash >>> 24)) >>> 0
}

function byteAt(bytes: Uint8Array, at: number): number {
  return bytes[at] ?? 0
}

/** Sets or tests `PROBES` bits from one hash by double hashing, so the two sides share the step. */
function probeStep(hash: number): number {
  return ((hash >>> 17) | (hash << 15)) >>> 0
}

/** Builds a filter block while the table is written: memory is a filter's bytes per closed window, not its keys. */
export class FilterBlockBuilder {
  private readonly filters = new ByteWriter(1024)
  private readonly offsets = new ByteWriter(256)
  private windows = 0
  private hashes = new Uint32Array(256)
  private hashCount = 0
  private copiedFilter: Buffer | undefined

  /** Adds a user key, by its hash, of the data block that is being built. */
  addKey(keyHash: number): void {
    if (this.hashCount === this.hashes.length) {
      const grown = new Uint32Array(this.hashCount * 2)
      grown.set(this.hashes)
      this.hashes = grown
    }
    this.hashes[this.hashCount++] = keyHash
  }

  /** Instead of its keys: the filter, made by LevelDB or by us, of all data blocks of the window that is being built. */
  addFilter(filter: Buffer): void {
    assert(this.hashCount === 0, 'a window has either keys or a filter')
    this.copiedFilter = filter
  }

  /** To be called after each data block: the next one starts at `offset` of the table. */
  startBlock(offset: number): void {
    const window = Math.floor(offset / FILTER_WINDOW_BYTES)
    assert(window >= this.windows, 'data blocks are started in file order')
    while (this.windows < window) this.closeWindow()
  }

  /** The filter block's contents, the caller's own. The builder is spent. */
  finish(): Buffer {
    if (this.hashCount > 0 || this.copiedFilter !== undefined) this.closeWindow()
    const offsetsStart = this.filters.length
    this.filters.writeBytes(this.offsets.view())
    this.filters.writeUint32LittleEndian(offsetsStart)
    this.filters.writeUint8(WINDOW_LOG)
    return this.filters.copy()
  }

  private closeWindow(): void {
    this.offsets.writeUint32LittleEndian(this.filters.length)
    this.windows++
    if (this.copiedFilter !== undefined) {
      this.filters.writeBytes(this.copiedFilter)
      this.copiedFilter = undefined
      return
    }
    if (this.hashCount === 0) return
    const bytes = Math.ceil(Math.max(FILTER_BITS_MIN, this.hashCount * BITS_PER_KEY) / 8)
    const start = this.filters.length
    this.filters.reserve(bytes + 1)
    const filter = this.filters.buffer.subarray(start, start + bytes)
    filter.fill(0)
    for (let index = 0; index < this.hashCount; index++) {
      setBits(filter, bytes * 8, this.hashes[index] ?? 0)
    }
    this.filters.length += bytes
    this.filters.writeUint8(PROBES)
    this.hashCount = 0
  }
}

function setBits(filter: Buffer, bits: number, keyHash: number): void {
  const step = probeStep(keyHash)
  let hash = keyHash
  for (let probe = 0; probe < PROBES; probe++) {
    const bit = hash % bits
    filter[bit >>> 3] = byteAt(filter, bit >>> 3) | (1 << (bit & 7))
    hash = (hash + step) >>> 0
  }
}

function hasBits(filter: Buffer, keyHash: number): boolean {
  if (filter.length < 2) return false
  const probes = filter.readUInt8(filter.length - 1)
  if (probes > PROBES_MAX) return true
  const bits = (filter.length - 1) * 8
  const step = probeStep(keyHash)
  let hash = keyHash
  for (let probe = 0; probe < probes; probe++) {
    const bit = hash % bits
    if ((byteAt(filter, bit >>> 3) & (1 << (bit & 7))) === 0) return false
    hash = (hash + step) >>> 0
  }
  return true
}

/** Answers from a filter block's contents, which it keeps. */
export class FilterBlockReader {
  private readonly contents: Buffer
  private readonly offsetsStart: number
  private readonly windows: number
  private readonly windowLog: number

  /** Throws `ByteReaderError` for contents that are no filter block. */
  constructor(contents: Buffer) {
    const tail = contents.length - 5
    if (tail < 0) throw new ByteReaderError('filter block too short', 0)
    this.contents = contents
    this.offsetsStart = contents.readUInt32LE(tail)
    this.windowLog = contents.readUInt8(tail + 4)
    if (this.offsetsStart > tail) throw new ByteReaderError('filter offsets out of bounds', tail)
    this.windows = Math.floor((tail - this.offsetsStart) / 4)
  }

  /** Whether the data block that starts at `blockOffset` may hold the key of this hash. */
  mayContain(blockOffset: number, keyHash: number): boolean {
    const filter = this.storedFilter(blockOffset)
    return filter === undefined || hasBits(filter, keyHash)
  }

  /**
   * The filter of the data block that starts at `blockOffset`, shared with the contents. Where there is none to be copied to
   * another table, one that says "maybe" to every key.
   */
  filterOf(blockOffset: number): Buffer {
    if (this.windowLog !== WINDOW_LOG) return MAYBE_FILTER
    return this.storedFilter(blockOffset) ?? MAYBE_FILTER
  }

  private storedFilter(blockOffset: number): Buffer | undefined {
    const window = Math.floor(blockOffset / 2 ** this.windowLog)
    if (window >= this.windows) return undefined
    const at = this.offsetsStart + window * 4
    const start = this.contents.readUInt32LE(at)
    // The word after the last window's is the offset of the array itself, which is where the last filter ends.
    const end = this.contents.readUInt32LE(at + 4)
    if (start > end || end > this.offsetsStart) return undefined
    return this.contents.subarray(start, end)
  }
}
