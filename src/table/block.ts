/**
 * The inside of a table's data, index and metaindex blocks: entries in key order, each key cut by what it shares with the one
 * before it, and restart points where a whole key stands, for binary search.
 *
 *     block = entry* | u32 offset of each restart point | u32 their count
 *     entry = varint shared | varint unshared | varint value length | key from `shared` on | value
 *
 * Keys here are bytes; that those of a table are internal keys only matters to `BlockCursor.seek`.
 *
 * B1 a cursor consumes at least 3 bytes per step and reads no byte outside its block, whatever the bytes say.
 * What does not parse throws `ByteReaderError` with an offset inside the block.
 */
import { Buffer } from 'node:buffer'
import { assert } from '../common/assert.js'
import { ByteReaderError } from '../common/bytes.js'
import { BLOCK_BYTES_MAX } from './table-format.js'
import { TRAILER_BYTES } from './internal-key.js'

/** Three varints of 32 bits. */
const ENTRY_HEADER_BYTES_MAX = 15
/** Below this length a byte loop beats a call into the runtime. */
const COPY_LOOP_BYTES_MAX = 48
const ARENA_CHUNK_BYTES = 8192

/** Copies `source[start, end)` to `target` from `at` on. */
export function copyBytes(
  source: Uint8Array,
  start: number,
  end: number,
  target: Uint8Array,
  at: number,
): void {
  if (end - start > COPY_LOOP_BYTES_MAX) {
    const whole = start === 0 && end === source.length
    target.set(whole ? source : source.subarray(start, end), at)
    return
  }
  for (let index = start; index < end; index++) target[at + index - start] = source[index] ?? 0
}

/** Builds one block after the other in the same memory. */
export class BlockBuilder {
  private readonly restartInterval: number
  private buffer: Buffer = Buffer.allocUnsafeSlow(8192)
  private length = 0
  private restarts: number[] = [0]
  private entriesSinceRestart = 0
  private lastKey: Buffer = Buffer.allocUnsafeSlow(64)
  private lastKeyLength = 0

  constructor(restartInterval: number) {
    this.restartInterval = restartInterval
  }

  get isEmpty(): boolean {
    return this.length === 0
  }

  /** Size of the block if it were finished now. */
  get sizeBytes(): number {
    return this.length + this.restarts.length * 4 + 4
  }

  /** Adds `key[0, keyLength)`, which comes after the keys added before: the caller's invariant. Bytes are copied. */
  add(key: Uint8Array, keyLength: number, value: Uint8Array): void {
    let shared = 0
    if (this.entriesSinceRestart < this.restartInterval) {
      const sharedMax = Math.min(keyLength, this.lastKeyLength)
      while (shared < sharedMax && key[shared] === this.lastKey[shared]) shared++
    } else {
      this.restarts.push(this.length)
      this.entriesSinceRestart = 0
    }
    this.reserve(ENTRY_HEADER_BYTES_MAX + keyLength - shared + value.length)
    this.writeVarint(shared)
    this.writeVarint(keyLength - shared)
    this.writeVarint(value.length)
    copyBytes(key, shared, keyLength, this.buffer, this.length)
    this.length += keyLength - shared
    copyBytes(value, 0, value.length, this.buffer, this.length)
    this.length += value.length
    this.rememberKey(key, keyLength, shared)
    this.entriesSinceRestart++
  }

  /** The finished contents, shared with this builder: valid until `reset`. */
  finish(): Buffer {
    this.reserve(this.restarts.length * 4 + 4)
    for (const restart of this.restarts) {
      this.length = this.buffer.writeUInt32LE(restart, this.length)
    }
    this.length = this.buffer.writeUInt32LE(this.restarts.length, this.length)
    return this.buffer.subarray(0, this.length)
  }

  /** Starts the next block. */
  reset(): void {
    this.length = 0
    this.restarts = [0]
    this.entriesSinceRestart = 0
    this.lastKeyLength = 0
  }

  private rememberKey(key: Uint8Array, keyLength: number, shared: number): void {
    if (keyLength > this.lastKey.length) {
      this.lastKey = Buffer.allocUnsafeSlow(keyLength * 2)
      copyBytes(key, 0, shared, this.lastKey, 0)
    }
    copyBytes(key, shared, keyLength, this.lastKey, shared)
    this.lastKeyLength = keyLength
  }

  private reserve(bytes: number): void {
    const needed = this.length + bytes
    if (needed <= this.buffer.length) return
    assert(needed <= 2 * BLOCK_BYTES_MAX, 'a block stays below its limit', { sizeBytes: needed })
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.buffer.length * 2))
    grown.set(this.buffer.subarray(0, this.length))
    this.buffer = grown
  }

  private writeVarint(value: number): void {
    let rest = value
    while (rest >= 0x80) {
      this.buffer[this.length++] = (rest & 0x7f) | 0x80
      rest >>>= 7
    }
    this.buffer[this.length++] = rest
  }
}

/**
 * Memory for the keys that cursors put together. Nothing in it is ever reused, so a key stays valid as long as somebody holds
 * it; holding one keeps up to 8 KB alive.
 */
export class KeyArena {
  buffer: Buffer = Buffer.alloc(0)
  private used = 0

  /** The start, in the then current `buffer`, of `bytes` bytes that are the caller's. */
  allocate(bytes: number): number {
    if (this.used + bytes > this.buffer.length) {
      this.buffer = Buffer.allocUnsafeSlow(Math.max(bytes, ARENA_CHUNK_BYTES))
      this.used = 0
    }
    const start = this.used
    this.used += bytes
    return start
  }
}

/**
 * Walks one block's entries. Before the first `next()`, and after one that returned false, there is no current entry.
 * The current key is `keyBuffer[keyStart, keyStart + keyLength)`, in the arena; the value is `contents[valueStart, position)`.
 */
export class BlockCursor {
  readonly contents: Buffer
  private readonly arena: KeyArena
  private readonly restartsStart: number
  private readonly restartCount: number
  keyBuffer: Buffer
  keyStart = 0
  keyLength = 0
  valueStart = 0
  /** Where the next entry starts. */
  position = 0

  constructor(contents: Buffer, arena: KeyArena) {
    const countAt = contents.length - 4
    if (countAt < 0) throw new ByteReaderError('block too short', 0)
    this.restartCount = contents.readUInt32LE(countAt)
    this.restartsStart = countAt - this.restartCount * 4
    if (this.restartsStart < 0 || this.restartCount === 0) {
      throw new ByteReaderError('impossible number of restart points', countAt)
    }
    this.contents = contents
    this.arena = arena
    this.keyBuffer = arena.buffer
  }

  /** The current key, in memory of its own. */
  key(): Buffer {
    return this.keyBuffer.subarray(this.keyStart, this.keyStart + this.keyLength)
  }

  /** The current value, shared with the block. */
  value(): Buffer {
    return this.contents.subarray(this.valueStart, this.position)
  }

  next(): boolean {
    const start = this.position
    if (start >= this.restartsStart) return false
    const shared = this.readVarint32()
    const unshared = this.readVarint32()
    const valueLength = this.readVarint32()
    const keyAt = this.position
    if (shared > this.keyLength) throw new ByteReaderError('key shares more than there is', start)
    if (keyAt + unshared + valueLength > this.restartsStart) {
      throw new ByteReaderError('entry reaches beyond its block', start)
    }
    const previous = this.keyBuffer
    const previousStart = this.keyStart
    const keyStart = this.arena.allocate(shared + unshared)
    const keyBuffer = this.arena.buffer
    copyBytes(previous, previousStart, previousStart + shared, keyBuffer, keyStart)
    copyBytes(this.contents, keyAt, keyAt + unshared, keyBuffer, keyStart + shared)
    this.keyBuffer = keyBuffer
    this.keyStart = keyStart
    this.keyLength = shared + unshared
    this.valueStart = keyAt + unshared
    this.position = this.valueStart + valueLength
    return true
  }

  /** Goes to the first entry whose user key is at or after `userKey`; false when there is none. Keys are internal keys. */
  seek(userKey: Uint8Array): boolean {
    let low = 0
    let high = this.restartCount - 1
    while (low < high) {
      const middle = (low + high + 1) >>> 1
      this.toRestart(middle)
      if (this.next() && this.compareUserKey(userKey) < 0) low = middle
      else high = middle - 1
    }
    this.toRestart(low)
    while (this.next()) {
      if (this.compareUserKey(userKey) >= 0) return true
    }
    return false
  }

  /** Order of the current entry's user key against `userKey`. Throws when the current key is no internal key. */
  compareUserKey(userKey: Uint8Array): number {
    if (this.keyLength < TRAILER_BYTES) {
      throw new ByteReaderError('key shorter than an internal key', this.valueStart)
    }
    const end = this.keyStart + this.keyLength - TRAILER_BYTES
    return this.keyBuffer.compare(userKey, 0, userKey.length, this.keyStart, end)
  }

  private toRestart(index: number): void {
    const offset = this.contents.readUInt32LE(this.restartsStart + index * 4)
    if (offset > this.restartsStart)
      throw new ByteReaderError('restart point out of bounds', offset)
    this.position = offset
    this.keyLength = 0
  }

  private readVarint32(): number {
    const contents = this.contents
    let value = 0
    for (let shift = 0; shift <= 28; shift += 7) {
      if (this.position >= this.restartsStart) break
      const byte = contents[this.position++] ?? 0
      value |= (byte & 0x7f) << shift
      if (byte < 0x80) return value >>> 0
    }
    throw new ByteReaderError('length that does not end', this.position)
  }
}
