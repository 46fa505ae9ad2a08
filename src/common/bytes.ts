/**
 * Growable byte sink and bounds-checked byte source, the two halves of every format of this package.
 *
 * A `ByteWriter` is meant to be kept and `reset()` between uses: after warm-up it allocates nothing.
 */
import { Buffer } from 'node:buffer'
import { assert } from './assert.js'

/** Views longer than this are made anew each time. */
const KEPT_VIEW_BYTES_MAX = 1024

export class ByteWriter {
  /** Backing memory; only `[0, length)` is written. Replaced when it grows, so never keep a reference across a write. */
  buffer: Buffer
  length = 0
  /** Of `buffer`, by their length: most of what encoding an entry allocated was views of the same few lengths. */
  #views: (Buffer | undefined)[] = []

  constructor(initialCapacityBytes = 256) {
    this.buffer = Buffer.allocUnsafeSlow(initialCapacityBytes)
  }

  reset(): void {
    this.length = 0
  }

  /** Makes room for `bytes` more bytes. */
  reserve(bytes: number): void {
    const needed = this.length + bytes
    if (needed <= this.buffer.length) return
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.buffer.length * 2))
    grown.set(this.buffer.subarray(0, this.length))
    this.buffer = grown
    this.#views = []
  }

  writeUint8(value: number): void {
    this.reserve(1)
    this.buffer[this.length++] = value
  }

  writeUint16BigEndian(value: number): void {
    this.reserve(2)
    this.buffer[this.length++] = value >>> 8
    this.buffer[this.length++] = value & 0xff
  }

  writeUint32BigEndian(value: number): void {
    this.reserve(4)
    this.length = this.buffer.writeUInt32BE(value >>> 0, this.length)
  }

  writeUint32LittleEndian(value: number): void {
    this.reserve(4)
    this.length = this.buffer.writeUInt32LE(value >>> 0, this.length)
  }

  /** Base-128 varint, low group first, of an integer in [0, 2^53 - 1]. */
  writeVarint(value: number): void {
    this.reserve(8)
    const buffer = this.buffer
    let rest = value
    while (rest >= 0x80) {
      buffer[this.length++] = (rest % 0x80) | 0x80
      rest = rest < 0x8000_0000 ? rest >>> 7 : Math.floor(rest / 0x80)
    }
    buffer[this.length++] = rest
  }

  writeBytes(bytes: Uint8Array): void {
    this.reserve(bytes.length)
    this.buffer.set(bytes, this.length)
    this.length += bytes.length
  }

  writeLengthPrefixed(bytes: Uint8Array): void {
    this.writeVarint(bytes.length)
    this.writeBytes(bytes)
  }

  /** Begins bytes whose length stands before them, and is known when they are written. To be given to `endLengthPrefixed`. */
  beginLengthPrefixed(): number {
    this.writeUint8(0)
    return this.length
  }

  /** `bias` is added to the length that is written. */
  endLengthPrefixed(start: number, bias = 0): void {
    const bytes = this.length - start
    if (bytes + bias < 0x80) {
      this.buffer[start - 1] = bytes + bias
      return
    }
    // Rare: the length takes more than the byte that was left for it.
    const content = Buffer.from(this.buffer.subarray(start, this.length))
    this.length = start - 1
    this.writeVarint(bytes + bias)
    this.writeBytes(content)
  }

  /** The bytes written so far, shared with this writer: valid until the next write or reset. */
  view(): Buffer {
    if (this.length > KEPT_VIEW_BYTES_MAX) return this.buffer.subarray(0, this.length)
    return (this.#views[this.length] ??= this.buffer.subarray(0, this.length))
  }

  /** The bytes written so far, the caller's own. */
  copy(): Buffer {
    return Buffer.from(this.view())
  }
}

/** Thrown by `ByteReader` at a read past the end or at a varint beyond 2^53 - 1; callers turn it into their own error. */
export class ByteReaderError extends Error {
  readonly offset: number
  constructor(message: string, offset: number) {
    super(message)
    this.offset = offset
  }
}

export class ByteReader {
  readonly bytes: Buffer
  offset: number
  readonly end: number

  constructor(bytes: Uint8Array, offset = 0, end: number = bytes.length) {
    assert(offset >= 0 && offset <= end && end <= bytes.length, 'a reader lies inside its bytes')
    this.bytes = Buffer.isBuffer(bytes)
      ? bytes
      : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.offset = offset
    this.end = end
  }

  get remaining(): number {
    return this.end - this.offset
  }

  private take(bytes: number): number {
    if (this.remaining < bytes) {
      throw new ByteReaderError(`needs ${bytes} bytes, has ${this.remaining}`, this.offset)
    }
    const at = this.offset
    this.offset += bytes
    return at
  }

  readUint8(): number {
    return this.bytes.readUInt8(this.take(1))
  }

  readUint16BigEndian(): number {
    return this.bytes.readUInt16BE(this.take(2))
  }

  readUint32BigEndian(): number {
    return this.bytes.readUInt32BE(this.take(4))
  }

  readUint32LittleEndian(): number {
    return this.bytes.readUInt32LE(this.take(4))
  }

  readVarint(): number {
    let value = 0
    let scale = 1
    const start = this.offset
    for (let group = 0; group < 8; group++) {
      const byte = this.readUint8()
      value += (byte & 0x7f) * scale
      if (byte < 0x80) {
        if (value > Number.MAX_SAFE_INTEGER) break
        return value
      }
      scale *= 0x80
    }
    throw new ByteReaderError('varint beyond 2^53 - 1', start)
  }

  /** The next `length` bytes, shared with the source. */
  readBytes(length: number): Buffer {
    const at = this.take(length)
    return this.bytes.subarray(at, at + length)
  }

  readLengthPrefixed(): Buffer {
    return this.readBytes(this.readVarint())
  }
}
