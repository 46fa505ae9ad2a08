/**
 * Cells of a restored state that nobody has registered yet: kept as bytes, written as the same bytes, so that an unregistered state
 * survives further snapshots of an in-memory backend. `adoptCells` gives them their types when the state is registered.
 */
import { Buffer } from 'node:buffer'
import { ByteReader, type ByteWriter } from '../common/bytes.js'
import { assert } from '../common/assert.js'
import type { KeyIdentity } from '../record/key-serializer.js'
import type { CellCodec, SubkeyCodec } from '../store/cell-codec.js'
import { SPILLED_TAG, decodeSpilledHeader, encodeSpilledHeader } from './cell-codecs.js'
import {
  Spilled,
  TOMBSTONE,
  spilledEntryBytes,
  CONTAINER_BYTES,
  type Cell,
  type SpilledEntry,
  type Tombstone,
} from '../store/cell.js'
import { Encoded, MAP_ENTRY_BYTES, elementBytes } from '../store/element.js'
import type { StateTable } from '../store/state-table.js'

function byCodeUnits(a: KeyIdentity, b: KeyIdentity): number {
  return a < b ? -1 : a > b ? 1 : 0
}

/** Subkeys as their bytes in latin1, whose natural order is the order of the bytes. */
const rawSubkeys: SubkeyCodec = {
  write: (subkey, out) => out.writeBytes(Buffer.from(subkey as string, 'latin1')),
  read: (from) => from.readBytes(from.remaining).toString('latin1'),
  compare: byCodeUnits,
  sort: (subkeys) => subkeys.sort(byCodeUnits),
}

export const rawCellCodec: CellCodec = {
  subkeys: rawSubkeys,
  encode: (cell, out) => {
    if (cell instanceof Spilled) {
      encodeSpilledHeader(cell, out)
    } else {
      writeText(cell, out)
    }
  },
  decode: (bytes) => new Encoded(bytes),
  encodeEntry: writeText,
  decodeEntry: (bytes) => new Encoded(bytes),
}

/** The header in a restored list's or map's value; `undefined` when it is packed. */
export function rawSpilledHeader(value: Buffer): Spilled | undefined {
  return value[0] === SPILLED_TAG ? decodeSpilledHeader(value) : undefined
}

function writeText(cell: Cell | SpilledEntry, out: ByteWriter): void {
  assert(cell instanceof Encoded, 'an unregistered state holds bytes')
  out.writeBytes(Buffer.from(cell.text, 'latin1'))
}

/** Decodes all cells of a table that was restored raw, and lets it use `codec` from now on. When one cannot be decoded, all stay raw. */
export function adoptCells(table: StateTable, codec: CellCodec): void {
  const decoded = table.cached.young.map((bucket) =>
    Array.from(bucket ?? [], ([identity, cell]) => [identity, adopted(cell, codec)] as const),
  )
  table.cached.clear()
  table.codec = codec
  for (const [offset, cells] of decoded.entries()) {
    for (const [identity, cell] of cells ?? []) table.cached.put(offset, identity, cell)
  }
}

function adopted(cell: Cell, codec: CellCodec): Cell {
  if (cell instanceof Encoded) return codec.decode(Buffer.from(cell.text, 'latin1'))
  assert(cell instanceof Spilled && codec.subkeys !== undefined, 'a raw cell is bytes or spilled')
  const entries = new Map<KeyIdentity, SpilledEntry | Tombstone>()
  let bytes = CONTAINER_BYTES
  for (const [text, raw] of cell.entries) {
    if (raw === TOMBSTONE || !(raw instanceof Encoded)) continue
    const subkey = codec.subkeys.read(new ByteReader(Buffer.from(text as string, 'latin1')))
    const entry = codec.decodeEntry(Buffer.from(raw.text, 'latin1'))
    entries.set(subkey, entry)
    bytes += MAP_ENTRY_BYTES + elementBytes(subkey) + spilledEntryBytes(entry)
  }
  return new Spilled(cell.epoch, cell.chunkCount, entries, bytes)
}
