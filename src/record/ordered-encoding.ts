/**
 * Encodings whose bytes sort as the values do. Written to disk, frozen:
 *
 *     string   UTF-8, each 00 as 01 01 and each 01 as 01 02, then 00; order = code point order.
 *              A lone surrogate is encoded as if it were a character (ED A0..BF xx)
 *     bytes    the bytes, escaped and ended in the same way
 *     number   float64, big-endian; negative: all bits flipped, else: the sign bit flipped; -0 as 0; no NaN
 *     bigint   header 80 + n of a positive, 80 - n of a negative value whose magnitude has n bytes, 80 for 0;
 *              then the magnitude, big-endian, without leading zeros; flipped for a negative value
 *     boolean  00 or 01
 *
 * Invariants, for the values of one type: E1 byte order is value order; E2 no encoding is a prefix of another; E3 a value
 * has one encoding, and reading refuses all others with `ByteReaderError`; E4 reading stays within the reader's end.
 */
import { Buffer, isUtf8 } from 'node:buffer'
import { StateBackendError } from '../errors.js'
import { ByteReaderError, type ByteReader, type ByteWriter } from '../common/bytes.js'

/** What the one-byte header of a bigint has room for: 1,016 bits. */
export const BIGINT_MAGNITUDE_BYTES_MAX = 127

const terminator = 0x00
const escape = 0x01
/** Up to here a loop in JavaScript beats the call into Node's encoder (measured on Node 20). */
const shortStringUnitsMax = 64
const utf8BytesPerUnitMax = 3
const float64Bytes = 8
const int64Bytes = 8
const bigintZeroHeader = 0x80
const twoTo32 = 0x1_0000_0000
const loneSurrogate = /\p{Surrogate}/u

const scratch = new DataView(new ArrayBuffer(8))

export function writeString(value: string, out: ByteWriter): void {
  out.reserve(value.length * utf8BytesPerUnitMax + 1)
  if (value.length <= shortStringUnitsMax || !writePlainUtf8(value, out)) {
    writeEscapedUtf8(value, out)
  }
  out.buffer[out.length++] = terminator
}

export function readString(from: ByteReader): string {
  const { bytes, offset: start } = from
  let union = 0
  let escaped = false
  let end = start
  for (; end < from.end; end++) {
    const byte = bytes[end] ?? 0
    if (byte === terminator) break
    union |= byte
    if (byte === escape) escaped = true
  }
  if (end >= from.end) throw endsBeforeTerminator(start)
  from.offset = end + 1
  if (escaped) {
    const plain = unescape(bytes, start, end)
    return decodeGeneralisedUtf8(plain, 0, plain.length, start)
  }
  if (union < 0x80) return bytes.toString('latin1', start, end)
  return decodeGeneralisedUtf8(bytes, start, end, start)
}

export function writeBytes(value: Uint8Array, out: ByteWriter): void {
  out.reserve(value.length * 2 + 1)
  const { buffer } = out
  let at = out.length
  for (const byte of value) {
    if (byte <= escape) {
      buffer[at++] = escape
      buffer[at++] = byte + 1
    } else {
      buffer[at++] = byte
    }
  }
  buffer[at++] = terminator
  out.length = at
}

/** The bytes are the caller's own. */
export function readBytes(from: ByteReader): Uint8Array {
  const { bytes, offset: start } = from
  let end = start
  while (end < from.end && bytes[end] !== terminator) end++
  if (end >= from.end) throw endsBeforeTerminator(start)
  const value = unescape(bytes, start, end)
  from.offset = end + 1
  return value
}

/** @throws StateBackendError `KEY_NOT_ENCODABLE`: NaN. */
export function writeNumber(value: number, out: ByteWriter): void {
  if (Number.isNaN(value)) {
    throw new StateBackendError('KEY_NOT_ENCODABLE', 'NaN has no place in an order; use a number.')
  }
  scratch.setFloat64(0, value + 0)
  const high = scratch.getInt32(0)
  const low = scratch.getInt32(4)
  const negative = high >> 31
  writeEightBytes(high ^ (negative | 0x8000_0000), low ^ negative, out)
}

export function readNumber(from: ByteReader): number {
  const start = from.offset
  const high = from.readUint32BigEndian()
  const low = from.readUint32BigEndian()
  const negative = high < 0x8000_0000 ? -1 : 0
  scratch.setInt32(0, high ^ (negative | 0x8000_0000))
  scratch.setInt32(4, low ^ negative)
  const value = scratch.getFloat64(0)
  if (Number.isNaN(value) || Object.is(value, -0)) {
    throw new ByteReaderError('the bytes of NaN or -0, which are never written', start)
  }
  return value
}

export function writeBoolean(value: boolean, out: ByteWriter): void {
  out.writeUint8(value ? 1 : 0)
}

export function readBoolean(from: ByteReader): boolean {
  const start = from.offset
  const byte = from.readUint8()
  if (byte > 1) throw new ByteReaderError(`a boolean is 0 or 1, not ${byte}`, start)
  return byte === 1
}

/** @throws StateBackendError `KEY_NOT_ENCODABLE`: a magnitude of more than 127 bytes. */
export function writeBigint(value: bigint, out: ByteWriter): void {
  const negative = value < 0n
  const magnitude = negative ? -value : value
  if (BigInt.asUintN(64, magnitude) === magnitude) writeSmallBigint(magnitude, negative, out)
  else writeLargeBigint(magnitude, negative, out)
}

export function readBigint(from: ByteReader): bigint {
  const start = from.offset
  const header = from.readUint8()
  const negative = header < bigintZeroHeader
  const length = Math.abs(header - bigintZeroHeader)
  if (length === 0) return 0n
  if (length > BIGINT_MAGNITUDE_BYTES_MAX) {
    throw new ByteReaderError('a bigint header that is never written', start)
  }
  const source = from.readBytes(length)
  if (source[0] === (negative ? 0xff : 0)) {
    throw new ByteReaderError('a bigint with a leading zero', start)
  }
  const magnitude = readMagnitude(negative ? source.map((byte) => byte ^ 0xff) : source)
  return negative ? -magnitude : magnitude
}

/** Escapes as it goes; any string. Room for it is reserved. */
function writeEscapedUtf8(value: string, out: ByteWriter): void {
  const { buffer } = out
  const { length } = value
  let at = out.length
  for (let i = 0; i < length; i++) {
    const unit = value.charCodeAt(i)
    if (unit < 0x80) {
      if (unit <= escape) {
        buffer[at++] = escape
        buffer[at++] = unit + 1
      } else {
        buffer[at++] = unit
      }
    } else if (unit < 0x800) {
      buffer[at++] = 0xc0 | (unit >>> 6)
      buffer[at++] = 0x80 | (unit & 0x3f)
    } else {
      const point = unit < 0xd800 || unit > 0xdbff ? unit : (value.codePointAt(i) ?? unit)
      if (point < 0x1_0000) {
        buffer[at++] = 0xe0 | (point >>> 12)
      } else {
        i++
        buffer[at++] = 0xf0 | (point >>> 18)
        buffer[at++] = 0x80 | ((point >>> 12) & 0x3f)
      }
      buffer[at++] = 0x80 | ((point >>> 6) & 0x3f)
      buffer[at++] = 0x80 | (point & 0x3f)
    }
  }
  out.length = at
}

/** Writes a string that needs no escape and has no lone surrogate; or writes nothing and returns false. */
function writePlainUtf8(value: string, out: ByteWriter): boolean {
  const { buffer, length } = out
  const end = length + buffer.write(value, length, 'utf8')
  const written = buffer.subarray(length, end)
  if (written.includes(terminator) || written.includes(escape)) return false
  if (written.length !== value.length && loneSurrogate.test(value)) return false
  out.length = end
  return true
}

function endsBeforeTerminator(start: number): ByteReaderError {
  return new ByteReaderError('the bytes end before the terminator', start)
}

/** `bytes[end]` is the terminator, which no escape takes for its second byte. */
function unescape(bytes: Uint8Array, start: number, end: number): Uint8Array {
  const plain = new Uint8Array(end - start)
  let length = 0
  for (let at = start; at < end; at++) {
    const byte = bytes[at] ?? 0
    if (byte !== escape) {
      plain[length++] = byte
      continue
    }
    const escaped = bytes[++at] ?? 0
    if (escaped < 1 || escaped > 2) {
      throw new ByteReaderError('an escape that is never written', at - 1)
    }
    plain[length++] = escaped - 1
  }
  return length === plain.length ? plain : plain.slice(0, length)
}

/** UTF-8 in which lone surrogates, and nothing else, break the rules. `offset` is for the error. */
function decodeGeneralisedUtf8(
  bytes: Uint8Array,
  start: number,
  end: number,
  offset: number,
): string {
  const source = Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start)
  if (isUtf8(source)) return source.toString('utf8')
  let value = ''
  let plainStart = 0
  let afterHigh = false
  for (let at = 0; at < source.length; at++) {
    // ED A0..BF never occurs in UTF-8, and ED is never a continuation byte.
    if (source[at] !== 0xed || (source[at + 1] ?? 0) < 0xa0) continue
    const low = source[at + 2] ?? 0
    const unit = 0xd000 | (((source[at + 1] ?? 0) & 0x3f) << 6) | (low & 0x3f)
    const isPair = afterHigh && plainStart === at && unit >= 0xdc00
    const plain = source.subarray(plainStart, at)
    if ((source[at + 1] ?? 0) > 0xbf || (low & 0xc0) !== 0x80 || isPair || !isUtf8(plain)) {
      throw new ByteReaderError('bytes that are not those of a string', offset)
    }
    value += plain.toString('utf8') + String.fromCharCode(unit)
    plainStart = at + 3
    afterHigh = unit < 0xdc00
  }
  const rest = source.subarray(plainStart)
  if (!isUtf8(rest)) throw new ByteReaderError('bytes that are not those of a string', offset)
  return value + rest.toString('utf8')
}

function writeEightBytes(high: number, low: number, out: ByteWriter): void {
  out.reserve(float64Bytes)
  const { buffer, length } = out
  buffer[length] = high >>> 24
  buffer[length + 1] = high >>> 16
  buffer[length + 2] = high >>> 8
  buffer[length + 3] = high
  buffer[length + 4] = low >>> 24
  buffer[length + 5] = low >>> 16
  buffer[length + 6] = low >>> 8
  buffer[length + 7] = low
  out.length = length + float64Bytes
}

/** Of a magnitude that fits 64 bits. */
function writeSmallBigint(magnitude: bigint, negative: boolean, out: ByteWriter): void {
  scratch.setBigUint64(0, magnitude)
  const high = scratch.getUint32(0)
  const low = scratch.getUint32(4)
  const bits = high === 0 ? 32 - Math.clz32(low) : 64 - Math.clz32(high)
  const length = (bits + 7) >>> 3
  const flip = negative ? 0xff : 0
  out.writeUint8(negative ? bigintZeroHeader - length : bigintZeroHeader + length)
  out.reserve(length)
  for (let at = int64Bytes - length; at < int64Bytes; at++) {
    out.buffer[out.length++] = scratch.getUint8(at) ^ flip
  }
}

function writeLargeBigint(magnitude: bigint, negative: boolean, out: ByteWriter): void {
  const hex = magnitude.toString(16)
  const length = (hex.length + 1) >>> 1
  if (length > BIGINT_MAGNITUDE_BYTES_MAX) {
    throw new StateBackendError(
      'KEY_NOT_ENCODABLE',
      `A bigint key has at most ${BIGINT_MAGNITUDE_BYTES_MAX} bytes, this one has ${length}.`,
      { details: { magnitudeBytes: length } },
    )
  }
  const flip = negative ? 0xff : 0
  out.writeUint8(negative ? bigintZeroHeader - length : bigintZeroHeader + length)
  out.reserve(length)
  for (const byte of Buffer.from(hex.padStart(length * 2, '0'), 'hex')) {
    out.buffer[out.length++] = byte ^ flip
  }
}

function readMagnitude(bytes: Uint8Array): bigint {
  if (bytes.length > int64Bytes) {
    return BigInt(`0x${Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex')}`)
  }
  let high = 0
  let low = 0
  for (const byte of bytes) {
    high = ((high << 8) | (low >>> 24)) >>> 0
    low = ((low << 8) | byte) >>> 0
  }
  if (high < 0x20_0000) return BigInt(high * twoTo32 + low)
  return (BigInt(high) << 32n) | BigInt(low)
}
