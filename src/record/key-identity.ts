/**
 * From a key to the primitive that stands for it in a `Map`, and the hash codes of those primitives.
 *
 * The only place where a key is validated. A number, string, bigint or boolean is its own identity; the identity of bytes
 * is their encoding, one Latin-1 character a byte, and so is that of a tuple.
 */
import { Buffer } from 'node:buffer'
import { ByteReader, ByteWriter } from '../common/bytes.js'
import { StateBackendError } from '../errors.js'
import { hashBigInteger, hashDouble, hashLong, hashSafeInteger } from './java-hash.js'
import { BIGINT_MAGNITUDE_BYTES_MAX, readBytes, writeBytes } from './ordered-encoding.js'

/** A primitive that is equal (SameValueZero, in one Map) exactly when the keys are equal. */
export type KeyIdentity = string | number | bigint | boolean

/** The largest string (in UTF-16 code units) and byte array (in bytes) that is a key: keys are held in memory. */
const KEY_LENGTH_MAX: number = 1 << 20

/** Up to here a loop beats the call into Node's encoder (measured on Node 20). */
const shortLatin1Max = 32
const bigintBound = 1n << BigInt(BIGINT_MAGNITUDE_BYTES_MAX * 8)
const scratch = new ByteWriter()

export function stringIdentityOf(key: string): string {
  if (typeof key !== 'string') throw notEncodable('a string', key)
  if (key.length > KEY_LENGTH_MAX) throw tooLong('string', key.length)
  return key
}

export function numberIdentityOf(key: number): number {
  if (typeof key !== 'number' || Number.isNaN(key)) throw notEncodable('a number', key)
  return key + 0
}

export function bigintIdentityOf(key: bigint): bigint {
  if (typeof key !== 'bigint') throw notEncodable('a bigint', key)
  if (key >= bigintBound || key <= -bigintBound) {
    throw new StateBackendError(
      'KEY_NOT_ENCODABLE',
      `A bigint key has at most ${BIGINT_MAGNITUDE_BYTES_MAX} bytes; use a smaller one, or its digits as a string.`,
      { details: { magnitudeBytesMax: BIGINT_MAGNITUDE_BYTES_MAX } },
    )
  }
  return key
}

export function booleanIdentityOf(key: boolean): boolean {
  if (typeof key !== 'boolean') throw notEncodable('a boolean', key)
  return key
}

export function bytesIdentityOf(key: Uint8Array): string {
  if (!(key instanceof Uint8Array)) throw notEncodable('a Uint8Array', key)
  if (key.length > KEY_LENGTH_MAX) throw tooLong('Uint8Array', key.length)
  scratch.reset()
  writeBytes(key, scratch)
  return latin1Of(scratch)
}

/** An integer hashes as Java's `Long`, any other number as its `Double`. */
export function hashNumber(identity: number): number {
  return Number.isSafeInteger(identity) ? hashSafeInteger(identity) : hashDouble(identity)
}

/** What fits 64 bits hashes as Java's `Long`, any other bigint as its `BigInteger`. */
export function hashBigint(identity: bigint): number {
  return BigInt.asIntN(64, identity) === identity ? hashLong(identity) : hashBigInteger(identity)
}

/** Java's `Arrays.hashCode` of the bytes that `identity`, from `start` on, encodes. */
export function hashEncodedBytes(identity: string, start = 0): number {
  let hash = 1
  const terminatorAt = identity.length - 1
  for (let i = start; i < terminatorAt; i++) {
    let byte = identity.charCodeAt(i)
    if (byte === 1) byte = identity.charCodeAt(++i) - 1
    hash = (Math.imul(hash, 31) + ((byte << 24) >> 24)) | 0
  }
  return hash
}

/** What `out` holds, one character a byte. */
export function latin1Of(out: ByteWriter): string {
  return out.buffer.toString('latin1', 0, out.length)
}

/** The inverse of `latin1Of`, of the characters from `start` on. */
export function writeLatin1(latin1: string, out: ByteWriter, start = 0): void {
  const length = latin1.length - start
  out.reserve(length)
  if (length > shortLatin1Max) {
    out.length += out.buffer.write(start === 0 ? latin1 : latin1.slice(start), out.length, 'latin1')
    return
  }
  for (let i = start; i < latin1.length; i++) out.buffer[out.length++] = latin1.charCodeAt(i)
}

/** Over the bytes that `latin1`, from `start` on, stands for. */
export function readerOf(latin1: string, start = 0): ByteReader {
  return new ByteReader(Buffer.from(latin1, 'latin1'), start)
}

/** The identity of the bytes that come next in `from`. */
export function readEncodedBytes(from: ByteReader): string {
  const start = from.offset
  readBytes(from)
  return from.bytes.toString('latin1', start, from.offset)
}

export function notEncodable(expected: string, given: unknown): StateBackendError {
  return new StateBackendError(
    'KEY_NOT_ENCODABLE',
    `This key must be ${expected}, not ${describe(given)}.`,
    { details: { given: describe(given) } },
  )
}

function tooLong(type: string, length: number): StateBackendError {
  return new StateBackendError(
    'KEY_NOT_ENCODABLE',
    `A key has a length of at most ${KEY_LENGTH_MAX}, this ${type} has ${length}; use a digest of it as the key.`,
    { details: { length, lengthMax: KEY_LENGTH_MAX } },
  )
}

function describe(given: unknown): string {
  if (given === null || given === undefined || Number.isNaN(given)) return String(given)
  if (Array.isArray(given)) return `an array of length ${given.length}`
  return `${typeof given === 'object' ? 'an' : 'a'} ${typeof given}`
}
