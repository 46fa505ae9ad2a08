/**
 * Cells: what one (state, key) holds in memory, in the write buffer and in the read cache.
 *
 * A value is an element; maps and lists are packed in one cell while small, and spill to entries of their own beyond a limit.
 *
 * Invariants
 * I1 A cell in a frozen generation never changes again; a writer copies a packed or spilled cell into the active generation first.
 * I2 `undefined` is no cell: it means "look in the layer below". `TOMBSTONE` means "known to be absent".
 */
import type { KeyIdentity } from '../record/key-serializer.js'
import { BOXED_NUMBER_BYTES, MAP_ENTRY_BYTES, elementBytes, type Element } from './element.js'
import { PackedMap } from './packed-map.js'

export const TOMBSTONE: unique symbol = Symbol('tombstone')
export type Tombstone = typeof TOMBSTONE

/** A whole list in one cell. */
export class PackedList {
  elements: Element[]
  /** Estimated memory, maintained by the writer. */
  bytes: number

  constructor(elements: Element[], bytes: number) {
    this.elements = elements
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

/** An object with a few fields and an array or a `Map` of its own: a packed list or a spilled cell without entries. */
export const CONTAINER_BYTES = 200

export type Cell = Element | PackedList | PackedMap | Spilled | Tombstone

/** One layer of cells: by key group, counted from the first of the backend's range. A key group without cells has no map. */
export type Buckets = (Map<KeyIdentity, Cell> | undefined)[]

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
  // An indexed loop: an iterator's results were most of what adding a hundred elements allocated.
  for (let i = 0; i < elements.length; i++) {
    bytes += LIST_SLOT_BYTES + elementBytes(elements[i] as Element)
  }
  return bytes
}
