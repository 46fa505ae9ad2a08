/**
 * How the cells of one state become the bytes of table entries, and back. The state kinds implement it; the store only calls it.
 */
import type { Buffer } from 'node:buffer'
import type { ByteReader, ByteWriter } from '../common/bytes.js'
import type { KeyIdentity } from '../record/key-serializer.js'
import type { Cell, SpilledEntry, Tombstone } from './cell.js'

/** The part of an entry's key that follows the epoch: a map's user key, a list's chunk number. */
export interface SubkeyCodec {
  write(subkey: KeyIdentity, out: ByteWriter): void
  read(from: ByteReader): KeyIdentity
  compare(a: KeyIdentity, b: KeyIdentity): number
  /** In byte order; may sort in place. */
  sort(subkeys: KeyIdentity[]): KeyIdentity[]
}

export interface CellCodec {
  /** `undefined` for states that never spill. */
  readonly subkeys: SubkeyCodec | undefined
  /** Appends the value bytes of a cell; of a spilled cell, its header only. */
  encode(cell: Exclude<Cell, Tombstone>, out: ByteWriter): void
  /** A cell of the caller's own. Damaged bytes throw `VALUE_DAMAGED`. */
  decode(bytes: Buffer): Exclude<Cell, Tombstone>
  encodeEntry(entry: SpilledEntry, out: ByteWriter): void
  decodeEntry(bytes: Buffer): SpilledEntry
}
