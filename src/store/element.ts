/**
 * Elements: what values are while they are held in memory, alone in a cell or among others in a list or a map, and what they weigh.
 *
 * An immutable primitive is its own element. Everything else is kept encoded, so that nobody outside can change it (isolation), in a
 * one-byte string: a quarter of the memory of a small `Uint8Array`, and cheap for the garbage collector.
 */
import { Buffer } from 'node:buffer'
import type { KeyIdentity } from '../record/key-serializer.js'

/** A value that was encoded by a `TypeSerializer`. */
export class Encoded {
  /** The bytes as latin1: one character per byte. */
  readonly text: string

  constructor(bytes: Uint8Array) {
    this.text = (
      Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    ).toString('latin1')
  }
}

/**
 * A flat object or array of primitives, kept as a private copy: copying it out again costs a fiftieth of decoding it, and it is encoded
 * once per flush instead of once per write.
 */
export class Held {
  /** Never given out and never changed. */
  readonly value: object
  /** Estimated memory of the copy. */
  readonly bytes: number

  constructor(value: object, bytes: number) {
    this.value = value
    this.bytes = bytes
  }
}

/** One value, as the buffer keeps it. `null` is a value: a map may hold it. */
export type Element = string | number | bigint | boolean | null | Encoded | Held

/** A JavaScript `Map` entry with two pointers, at the table's usual load. Measured: 46 to 62 bytes over 10^5 to 10^7 entries. */
export const MAP_ENTRY_BYTES = 56
const STRING_HEADER_BYTES = 24
const ENCODED_BYTES = 56
export const BOXED_NUMBER_BYTES = 16

function stringBytes(text: string): number {
  return STRING_HEADER_BYTES + (text.length > 64 ? Buffer.byteLength(text) : text.length * 2)
}

/** Estimated memory of an element or a key, without the map entry that holds it. */
export function elementBytes(element: Element | KeyIdentity): number {
  switch (typeof element) {
    case 'string':
      return stringBytes(element)
    case 'number':
    case 'boolean':
      return BOXED_NUMBER_BYTES
    case 'bigint':
      return 32
    default:
      if (element === null) return 0
      return element instanceof Held ? element.bytes : ENCODED_BYTES + element.text.length
  }
}

/** The shortest string that V8 may represent as a slice of another. */
const SLICED_STRING_MIN_LENGTH = 13

/**
 * A string with memory of its own. A string cut from a larger message is a view in V8 and keeps the whole message alive; what a
 * state keeps must not.
 */
export function flattened<T>(value: T): T | string {
  if (typeof value !== 'string' || value.length < SLICED_STRING_MIN_LENGTH) return value
  const encoding = value.isWellFormed() ? 'utf8' : 'utf16le'
  return Buffer.from(value, encoding).toString(encoding)
}
