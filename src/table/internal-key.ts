/**
 * LevelDB's internal key: a user key with the sequence and the type of one write to it.
 *
 *     | user key | u64 little-endian: sequence * 256 + type |
 *
 * Order: user key ascending (bytes), then that number descending, so the newest write to a key comes first.
 *
 * LevelDB's sequences reach 2^56 - 1. Ours are JavaScript numbers and end at 2^53 - 1 (a write per nanosecond for 104 days); a
 * larger one in a table can only be damage. Separators in an index block are the exception: see `shortestSeparator`.
 */
import { Buffer } from 'node:buffer'
import { StateBackendError } from '../errors.js'

/** Written to disk: never reuse. */
export const ValueType = { Deletion: 0, Value: 1 } as const
export type ValueType = (typeof ValueType)[keyof typeof ValueType]

export const MAX_SEQUENCE: number = Number.MAX_SAFE_INTEGER

/** Bytes that follow the user key. */
export const TRAILER_BYTES = 8

/** The upper half of a trailer is below this when its sequence is at most `MAX_SEQUENCE`. */
export const UPPER_HALF_END = 0x2000_0000

/** Sequence 2^56 - 1 and type 1: the first of a user key's possible internal keys. */
const FIRST_TRAILER = Buffer.from([0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff])

/** Writes the trailer at `offset`. `sequence` lies in [0, MAX_SEQUENCE]; the caller has checked. */
export function writeTrailer(
  target: Uint8Array,
  offset: number,
  sequence: number,
  type: ValueType,
): void {
  const upper = Math.floor(sequence / 0x100_0000)
  target[offset] = type
  target[offset + 1] = sequence
  target[offset + 2] = sequence >>> 8
  target[offset + 3] = sequence >>> 16
  target[offset + 4] = upper
  target[offset + 5] = upper >>> 8
  target[offset + 6] = upper >>> 16
  target[offset + 7] = upper >>> 24
}

/** The internal key, the caller's own. */
export function encodeInternalKey(userKey: Uint8Array, sequence: number, type: ValueType): Buffer {
  const key = Buffer.allocUnsafe(userKey.length + TRAILER_BYTES)
  key.set(userKey)
  writeTrailer(key, userKey.length, sequence, type)
  return key
}

/** The user key, shared with `internalKey`. */
export function userKeyOf(internalKey: Buffer): Buffer {
  return internalKey.subarray(0, internalKey.length - TRAILER_BYTES)
}

/** Whether these bytes can be the internal key of a write: long enough, a known type, a sequence up to `MAX_SEQUENCE`. */
export function isInternalKey(bytes: Buffer): boolean {
  if (bytes.length < TRAILER_BYTES) return false
  const at = bytes.length - TRAILER_BYTES
  const type = bytes[at]
  return (
    (type === ValueType.Value || type === ValueType.Deletion) &&
    bytes.readUInt32LE(at + 4) < UPPER_HALF_END
  )
}

function assertInternalKey(bytes: Buffer): void {
  if (isInternalKey(bytes)) return
  throw new StateBackendError(
    'TABLE_DAMAGED',
    'These bytes are no internal key of a LevelDB table. Restore from another checkpoint.',
    { details: { sizeBytes: bytes.length } },
  )
}

/** The sequence, in [0, MAX_SEQUENCE]. Throws `TABLE_DAMAGED` for bytes that are no internal key. */
export function sequenceOf(internalKey: Buffer): number {
  assertInternalKey(internalKey)
  const at = internalKey.length - TRAILER_BYTES
  return internalKey.readUInt32LE(at + 4) * 0x100_0000 + (internalKey.readUInt32LE(at) >>> 8)
}

/** Throws `TABLE_DAMAGED` for bytes that are no internal key. */
export function typeOf(internalKey: Buffer): ValueType {
  assertInternalKey(internalKey)
  const type = internalKey[internalKey.length - TRAILER_BYTES]
  return type === ValueType.Value ? ValueType.Value : ValueType.Deletion
}

/** Negative when `a` comes first. Both are at least 8 bytes long; separators of an index block are welcome. */
export function compareInternalKeys(a: Buffer, b: Buffer): number {
  const aEnd = a.length - TRAILER_BYTES
  const bEnd = b.length - TRAILER_BYTES
  const order = a.compare(b, 0, bEnd, 0, aEnd)
  if (order !== 0) return order
  const upper = b.readUInt32LE(bEnd + 4) - a.readUInt32LE(aEnd + 4)
  return upper !== 0 ? upper : b.readUInt32LE(bEnd) - a.readUInt32LE(aEnd)
}

/** Order of an internal key's user key against `userKey`. */
export function compareUserKey(internalKey: Buffer, userKey: Uint8Array): number {
  return internalKey.compare(userKey, 0, userKey.length, 0, internalKey.length - TRAILER_BYTES)
}

/**
 * A short internal key at or after `last` and before `next`, for an index block; `last` comes before `next`. A shortened one
 * carries sequence 2^56 - 1, as LevelDB's do: it stands for no write, so `sequenceOf` refuses it.
 */
export function shortestSeparator(last: Buffer, next: Buffer): Buffer {
  const lastEnd = last.length - TRAILER_BYTES
  const commonEnd = Math.min(lastEnd, next.length - TRAILER_BYTES)
  let at = 0
  while (at < commonEnd && last[at] === next[at]) at++
  if (at >= commonEnd || at + 1 >= lastEnd) return Buffer.from(last)
  const raised = last.readUInt8(at) + 1
  if (raised >= next.readUInt8(at)) return Buffer.from(last)
  return raisedAt(last, at)
}

/** A short internal key at or after `last`, for the last entry of an index block. */
export function shortSuccessor(last: Buffer): Buffer {
  const lastEnd = last.length - TRAILER_BYTES
  let at = 0
  while (at < lastEnd && last[at] === 0xff) at++
  return at + 1 >= lastEnd ? Buffer.from(last) : raisedAt(last, at)
}

function raisedAt(key: Buffer, at: number): Buffer {
  const userKey = Buffer.from(key.subarray(0, at + 1))
  userKey.writeUInt8(key.readUInt8(at) + 1, at)
  return Buffer.concat([userKey, FIRST_TRAILER])
}
