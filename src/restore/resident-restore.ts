/**
 * Brings restored tables into memory, for the in-memory backend: every entry becomes a cell of a table that nobody has registered
 * yet (`rawCellCodec`). Entries that a cleared cell left behind, and sweep records, are dropped: their work is done by not loading them.
 */
import type { Buffer } from 'node:buffer'
import { assert } from '../common/assert.js'
import { ByteReader } from '../common/bytes.js'
import type { Slicer } from '../common/slicer.js'
import {
  COMPOSITE_KEY_PREFIX_BYTES,
  keyGroupOf,
  readVoidNamespace,
  stateIdOfKey,
} from '../record/composite-key.js'
import type { KeyIdentity } from '../record/key-serializer.js'
import { rawCellCodec, rawSpilledHeader } from '../state/raw-cell-codec.js'
import type { StateMetaInformation } from '../state/state-registry.js'
import type { Spilled } from '../store/cell.js'
import { Encoded, MAP_ENTRY_BYTES, elementBytes } from '../store/element.js'
import { readEpoch, type StateTable } from '../store/state-table.js'
import type { WriteBuffer } from '../store/write-buffer.js'
import { ValueType } from '../table/internal-key.js'
import { mergeEntries } from '../table/merging-iterator.js'
import { TableReader, type TableEntry } from '../table/table-reader.js'

export async function loadResident(
  paths: readonly string[],
  states: readonly StateMetaInformation[],
  buffer: WriteBuffer,
  slicer: Slicer,
): Promise<void> {
  const loader = new ResidentLoader(states, buffer)
  const readers: TableReader[] = []
  try {
    for (const path of paths) readers.push(TableReader.open(path))
    slicer.restart()
    for (const entry of mergeEntries(readers.map((reader) => reader.entries()))) {
      if (entry.type === ValueType.Value) loader.load(entry)
      if (slicer.due()) await slicer.pause()
    }
  } finally {
    for (const reader of readers) reader.close()
  }
}

class ResidentLoader {
  readonly #buffer: WriteBuffer
  readonly #metas = new Map<number, StateMetaInformation>()
  /** The cell whose entries come next: entries follow their header in key order. */
  #spilled: { offset: number; identity: KeyIdentity; cell: Spilled; table: StateTable } | undefined

  constructor(states: readonly StateMetaInformation[], buffer: WriteBuffer) {
    this.#buffer = buffer
    for (const meta of states) this.#metas.set(meta.stateId, meta)
  }

  load({ userKey, value }: TableEntry): void {
    const meta = this.#metas.get(stateIdOfKey(userKey))
    if (meta === undefined) return
    const offset = keyGroupOf(userKey) - this.#buffer.startKeyGroup
    const from = new ByteReader(userKey, COMPOSITE_KEY_PREFIX_BYTES)
    const identity = this.#buffer.keySerializer.read(from)
    readVoidNamespace(from)
    const table = this.#table(meta)
    if (from.remaining > 0) {
      this.#loadEntry(table, offset, identity, from, value)
      return
    }
    const header = meta.kind === 'list' || meta.kind === 'map' ? rawSpilledHeader(value) : undefined
    const cell = header ?? new Encoded(value)
    table.cached.put(offset, identity, cell)
    this.#spilled = header === undefined ? undefined : { offset, identity, cell: header, table }
  }

  #loadEntry(
    table: StateTable,
    offset: number,
    identity: KeyIdentity,
    from: ByteReader,
    value: Buffer,
  ): void {
    const owner = this.#spilled
    if (owner?.table !== table || owner.offset !== offset || owner.identity !== identity) return
    if (readEpoch(from) !== owner.cell.epoch) return
    const subkey = from.readBytes(from.remaining).toString('latin1')
    const entry = new Encoded(value)
    owner.cell.entries.set(subkey, entry)
    owner.cell.bytes += MAP_ENTRY_BYTES + elementBytes(subkey) + elementBytes(entry)
  }

  #table(meta: StateMetaInformation): StateTable {
    const table = this.#buffer.tables.get(meta.stateId)
    if (table !== undefined) return table
    assert(meta.stateId !== 0, 'state id 0 is reserved')
    return this.#buffer.createTable(meta.stateId, meta.name, rawCellCodec)
  }
}
