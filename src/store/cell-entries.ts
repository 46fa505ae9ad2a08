/**
 * Turns layers of cells into table entries in the order of their bytes: what a flush writes, to LevelDB and to a delta table.
 *
 * Keys are sorted as the user's own values (numbers as numbers) and encoded in sorted order, bucket by bucket, so nothing the size of
 * a generation is ever held encoded.
 */
import { Buffer } from 'node:buffer'
import { ByteWriter } from '../common/bytes.js'
import { slicedSort, type Sorting } from '../common/sliced-sort.js'
import { writeCompositeKeyPrefix, writeVoidNamespace } from '../record/composite-key.js'
import type { KeyGroup } from '../record/key-group.js'
import type { KeyIdentity, KeySerializer } from '../record/key-serializer.js'
import type { CellCodec } from './cell-codec.js'
import { Spilled, TOMBSTONE, type Buckets, type Cell } from './cell.js'
import { writeEpoch, type StateTable } from './state-table.js'
import type { RawValue } from './write-buffer.js'

/** Keys collected from one map between two places to pause: about a millisecond. */
const KEYS_PER_PAUSE = 16_384

/** One entry; both views are valid until the next step. `value` is `undefined` for a deletion. */
export interface FlushEntry {
  key: Buffer
  value: Buffer | undefined
}

export interface CellEntriesInput {
  readonly keySerializer: KeySerializer<unknown>
  readonly startKeyGroup: number
  readonly numberOfKeyGroups: number
  readonly layers: ReadonlyMap<StateTable, Buckets>
  readonly raw: ReadonlyMap<string, RawValue>
}

/** All entries, ascending by key bytes. A step without a value (`undefined`) is a place to pause. */
export function cellEntries(input: CellEntriesInput): Generator<FlushEntry | undefined, void> {
  const cells = orderedCells(input)
  return input.raw.size === 0 ? cells : withRawEntries(cells, input)
}

function* withRawEntries(
  cells: Iterable<FlushEntry | undefined>,
  input: CellEntriesInput,
): Generator<FlushEntry | undefined, void> {
  const raw = [...input.raw].map(([text, value]) => rawEntry(text, value))
  raw.sort((a, b) => Buffer.compare(a.key, b.key))
  let next = 0
  for (const entry of cells) {
    while (entry !== undefined && next < raw.length) {
      const candidate = raw[next] as FlushEntry
      if (Buffer.compare(candidate.key, entry.key) > 0) break
      yield candidate
      next++
    }
    yield entry
  }
  yield* raw.slice(next)
}

function rawEntry(text: string, value: RawValue): FlushEntry {
  const key = Buffer.from(text, 'latin1')
  return { key, value: value === TOMBSTONE ? undefined : Buffer.from(value) }
}

function* orderedCells(input: CellEntriesInput): Generator<FlushEntry | undefined, void> {
  // The codec as it is now: a restored state may be registered, and get another, while this is suspended.
  const tables = [...input.layers]
    .map(([{ stateId, codec }, buckets]) => ({ stateId, codec, buckets }))
    .sort((a, b) => a.stateId - b.stateId)
  const encoder = new CellEncoder(input.keySerializer)
  for (let offset = 0; offset < input.numberOfKeyGroups; offset++) {
    for (const { stateId, codec, buckets } of tables) {
      const bucket = buckets[offset]
      if (bucket === undefined) continue
      const identities = yield* sortedKeys(bucket, input.keySerializer)
      for (const identity of identities) {
        const cell = bucket.get(identity) as Cell
        encoder.key(stateId, input.startKeyGroup + offset, identity)
        yield encoder.cell(codec, cell)
        if (cell instanceof Spilled) yield* encoder.spilled(codec, cell)
      }
    }
  }
}

/** A map's keys in order, with pauses. */
function* sortedKeys(
  map: ReadonlyMap<KeyIdentity, unknown>,
  order: Sorting<KeyIdentity>,
): Generator<undefined, KeyIdentity[]> {
  const keys: KeyIdentity[] = []
  for (const key of map.keys()) {
    keys.push(key)
    if (keys.length % KEYS_PER_PAUSE === 0) yield undefined
  }
  const sorting = slicedSort(keys, order)
  for (;;) {
    const step = sorting.next()
    if (step.done === true) return step.value
    yield undefined
  }
}

class CellEncoder {
  readonly #keySerializer: KeySerializer<unknown>
  readonly #key = new ByteWriter()
  readonly #value = new ByteWriter(1024)
  /** Reused from step to step: an entry is read before the next one is made. */
  readonly #entry: FlushEntry = { key: Buffer.alloc(0), value: undefined }

  constructor(keySerializer: KeySerializer<unknown>) {
    this.#keySerializer = keySerializer
  }

  /** Sets the key of what follows. */
  key(stateId: number, keyGroup: KeyGroup, identity: KeyIdentity): void {
    this.#key.reset()
    writeCompositeKeyPrefix(this.#key, keyGroup, stateId)
    this.#keySerializer.write(identity, this.#key)
    writeVoidNamespace(this.#key)
  }

  cell(codec: CellCodec, cell: Cell): FlushEntry {
    this.#entry.key = this.#key.view()
    if (cell === TOMBSTONE) {
      this.#entry.value = undefined
      return this.#entry
    }
    this.#value.reset()
    codec.encode(cell, this.#value)
    this.#entry.value = this.#value.view()
    return this.#entry
  }

  /** The entries of the spilled cell whose header was just made. */
  *spilled(codec: CellCodec, cell: Spilled): Generator<FlushEntry | undefined, void> {
    const subkeyCodec = codec.subkeys
    if (subkeyCodec === undefined) return
    writeEpoch(this.#key, cell.epoch)
    const prefixBytes = this.#key.length
    const subkeys = yield* sortedKeys(cell.entries, subkeyCodec)
    for (const subkey of subkeys) {
      const entry = cell.entries.get(subkey)
      this.#key.length = prefixBytes
      subkeyCodec.write(subkey, this.#key)
      this.#entry.key = this.#key.view()
      this.#entry.value = undefined
      if (entry !== TOMBSTONE && entry !== undefined) {
        this.#value.reset()
        codec.encodeEntry(entry, this.#value)
        this.#entry.value = this.#value.view()
      }
      yield this.#entry
    }
  }
}
