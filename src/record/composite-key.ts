/**
 * How a key of the store is laid out. Written to disk, frozen:
 *
 *     | key group: 2 bytes, big-endian | state id: 4 bytes, big-endian | key | namespace | user key |
 *
 * Owns the prefix and the namespace; the key and the user key are written by a `KeySerializer`. Invariants: K1 every part
 * but the last is self-delimiting, so the bytes before any part are a prefix that nothing else shares; K2 the key group
 * leads, so a key-group range is one contiguous byte range; K3 the top bit of the first byte is clear.
 */
import { Buffer } from 'node:buffer'
import { ByteReaderError, type ByteReader, type ByteWriter } from '../common/bytes.js'
import type { KeyGroupRange } from './key-group-range.js'
import type { KeyGroup } from './key-group.js'

export const COMPOSITE_KEY_PREFIX_BYTES = 6

/** The one namespace there is so far. Written to disk, never reuse. */
export const VOID_NAMESPACE = 0x00

const keyGroupBytes = 2
const fnvOffsetBasis = 0x811c9dc5
const fnvPrime = 0x01000193

/**
 * The id of the state called `name`, in [1, 2^32 - 1]: FNV-1a, 32 bits, over the name's UTF-8 bytes; a name whose hash
 * is 0, the reserved id, gets the offset basis instead. Two names may have one id: whoever registers states looks.
 */
export function stateIdOf(name: string): number {
  let hash = fnvOffsetBasis
  for (const byte of Buffer.from(name, 'utf8')) hash = Math.imul(hash ^ byte, fnvPrime)
  return hash === 0 ? fnvOffsetBasis : hash >>> 0
}

/** Trusts its arguments: a key group in [0, 32767], a state id in [0, 2^32 - 1]. */
export function writeCompositeKeyPrefix(
  out: ByteWriter,
  keyGroup: KeyGroup,
  stateId: number,
): void {
  out.reserve(COMPOSITE_KEY_PREFIX_BYTES)
  const { buffer, length } = out
  buffer[length] = keyGroup >>> 8
  buffer[length + 1] = keyGroup
  buffer[length + 2] = stateId >>> 24
  buffer[length + 3] = stateId >>> 16
  buffer[length + 4] = stateId >>> 8
  buffer[length + 5] = stateId
  out.length = length + COMPOSITE_KEY_PREFIX_BYTES
}

/** @throws ByteReaderError when `key` is shorter than a key group. */
export function keyGroupOf(key: Uint8Array): KeyGroup {
  if (key.length < keyGroupBytes) throw tooShort('a key group', keyGroupBytes, key)
  return (byteAt(key, 0) << 8) | byteAt(key, 1)
}

/** @throws ByteReaderError when `key` is shorter than the prefix. */
export function stateIdOfKey(key: Uint8Array): number {
  if (key.length < COMPOSITE_KEY_PREFIX_BYTES) {
    throw tooShort('its prefix', COMPOSITE_KEY_PREFIX_BYTES, key)
  }
  const id = (byteAt(key, 2) << 24) | (byteAt(key, 3) << 16) | (byteAt(key, 4) << 8)
  return (id | byteAt(key, 5)) >>> 0
}

/**
 * The byte range `[gte, lt)` of every key of the range; `gte` equals `lt` for the empty range. The bounds are the caller's
 * own.
 */
export function keyGroupRangeBounds(range: KeyGroupRange): {
  gte: Buffer
  lt: Buffer
} {
  return { gte: twoBytes(range.startKeyGroup), lt: twoBytes(range.endKeyGroup + 1) }
}

export function writeVoidNamespace(out: ByteWriter): void {
  out.writeUint8(VOID_NAMESPACE)
}

/** @throws ByteReaderError at the end of the bytes, or at any other namespace. */
export function readVoidNamespace(reader: ByteReader): void {
  const at = reader.offset
  const namespace = reader.readUint8()
  if (namespace !== VOID_NAMESPACE) {
    throw new ByteReaderError(`namespace ${namespace} is not known`, at)
  }
}

function twoBytes(value: number): Buffer {
  return Buffer.from([value >>> 8, value & 0xff])
}

function byteAt(bytes: Uint8Array, index: number): number {
  return bytes[index] ?? 0
}

function tooShort(what: string, needed: number, key: Uint8Array): ByteReaderError {
  return new ByteReaderError(`${what} needs ${needed} bytes, the key has ${key.length}`, key.length)
}
