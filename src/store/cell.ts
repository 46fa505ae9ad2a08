/**
 * Cells: what one (state, key) holds in memory, in the write buffer and in the read cache.
 *
 * An immutable primitive is its own cell. Everything else is kept encoded, so that nobody outside can change it (isolation), in a
 * one-byte string: a quarter of the memory of a small `Uint8Array`, and cheap for the garbage collector. Maps and lists are packed
 * in one cell while small, and spill to entries of their own beyond a limit.
 *
 * Invariants
 * I1 A cell in a frozen generation never changes again; a writer copies a packed or spilled cell into the active generation first.
 * I2 `undefined` is no cell: it means "look in the layer below". `TOMBSTONE` means "known to be absent".
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

export const TOMBSTONE: unique symbol = Symbol('tombstone')
export type Tombstone = typeof TOMBSTONE

/** One value, as the buffer keeps it. `null` is a value: a map may hold it. */
export type Element = string | number | bigint | boolean | null | Encoded | Held

/** A whole list in one cell. */
export class PackedList {
  readonly elements: Element[]
  /** Estimated memory, maintained by the writer. */
  bytes: number

  constructor(elements: Element[], bytes: number) {
    this.elements = elements
    this.bytes = bytes
  }
}

/** A whole map in one cell, by user-key identity. */
export class PackedMap {
  readonly entries: Map<KeyIdentity, Element>
  bytes: number

  constructor(entries: Map<KeyIdentity, Element>, bytes: number) {
    this.entries = entries
    this.bytes = bytes
  }
}

/** An entry of a spilled cell: a map's value, or one chunk of a list. */
export type SpilledEntry = Element | readonly Element[]

/**
 * The header of a spilled map or list, with those of its entries that this layer knows. In a generation they are the ones written
 * during it; in the read cache, the ones written or read since the cell came in.
 */
export class Spilled {
  /** Part of every entry's key; never used twice within one backend's history, so entries of a cleared cell cannot come back. */
  readonly epoch: number
  /** Lists only: the number of chunks, densely numbered from 0; 0 for maps. */
  chunkCount: number
  /** By user-key identity (maps) or chunk number (lists). */
  readonly entries: Map<KeyIdentity, SpilledEntry | Tombstone>
  bytes: number

  constructor(
    epoch: number,
    chunkCount: number,
    entries: Map<KeyIdentity, SpilledEntry | Tombstone>,
    bytes: number,
  ) {
    this.epoch = epoch
    this.chunkCount = chunkCount
    this.entries = entries
    this.bytes = bytes
  }
}

export type Cell = Element | PackedList | PackedMap | Spilled | Tombstone

/** A JavaScript `Map` entry with two pointers, at the table's usual load. Measured: 46 to 62 bytes over 10^5 to 10^7 entries. */
export const MAP_ENTRY_BYTES = 56
/** An object with a few fields and its own `Map`: a packed or spilled cell without entries. */
export const CONTAINER_BYTES = 200
const STRING_HEADER_BYTES = 24
const ENCODED_BYTES = 56
const BOXED_NUMBER_BYTES = 16

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

/** Estimated memory of a cell, without the map entry that holds it. */
export function cellBytes(cell: Cell): number {
  // As much as a number, so that a number and a tombstone replace each other without a look at what was there (`StateTable.set`).
  if (cell === TOMBSTONE) return BOXED_NUMBER_BYTES
  if (cell instanceof PackedList || cell instanceof PackedMap || cell instanceof Spilled) {
    return cell.bytes
  }
  return elementBytes(cell)
}

export function spilledEntryBytes(entry: SpilledEntry | Tombstone): number {
  if (entry === TOMBSTONE) return 0
  if (!Array.isArray(entry)) return elementBytes(entry as Element)
  return listBytes(entry as readonly Element[])
}

/** Estimated memory of an entry of a spilled cell, with its subkey and its place in the cell. */
export function spilledMappingBytes(subkey: KeyIdentity, entry: SpilledEntry | Tombstone): number {
  return MAP_ENTRY_BYTES + elementBytes(subkey) + spilledEntryBytes(entry)
}

/** Eight bytes for the slot and the element itself. */
export const LIST_SLOT_BYTES = 8

export function listBytes(elements: readonly Element[]): number {
  let bytes = CONTAINER_BYTES
  for (const element of elements) bytes += LIST_SLOT_BYTES + elementBytes(element)
  return bytes
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
