/**
 * The cells of one registered state, in layers: the active buffer, the frozen generations, the read cache; below them the store.
 *
 * A layer is one `Map` per key group, keyed by the user's own key where that is a primitive: a read or a write of a buffered key
 * costs one or two `Map` operations and encodes nothing. Owned by the write buffer, which freezes, folds and evicts the layers.
 *
 * Invariants
 * I1 A layer shadows those below it: active, frozen from newest to oldest, young cache, old cache, store.
 * I2 Only the active layer is written by states; a packed or spilled cell that came from below is copied first (`put`).
 */
import type { Buffer } from 'node:buffer'
import { ByteWriter, type ByteReader } from '../common/bytes.js'
import { writeCompositeKeyPrefix, writeVoidNamespace } from '../record/composite-key.js'
import type { KeyIdentity, KeySerializer } from '../record/key-serializer.js'
import type { CellCodec } from './cell-codec.js'
import {
  Spilled,
  TOMBSTONE,
  cellBytes,
  type Buckets,
  type Cell,
  type SpilledEntry,
  type Tombstone,
} from './cell.js'
import { MAP_ENTRY_BYTES, elementBytes, flattened } from './element.js'
import type { CachedCells, ReadCache } from './read-cache.js'

/** What a table needs of the write buffer that owns it. */
export interface StateTableOwner {
  readonly keySerializer: KeySerializer<unknown>
  readonly startKeyGroup: number
  readonly numberOfKeyGroups: number
  readonly readCache: ReadCache
  /** Whether the layers are all there is: what they do not know is absent. */
  readonly resident: boolean
  /** Whether the store held nothing when the owner was made. */
  readonly storeWasEmpty: boolean
  /**
   * Called once at the start of every write operation, before anything changes: throws `WRITE_BUFFER_FULL` or why the backend cannot
   * be used, and freezes an active layer that is full. Until the operation returns nothing else freezes it.
   */
  beginWrite(): void
  /** Accounts for active cells that grew (or shrank) by `bytes`. Never throws. */
  charge(bytes: number): void
  /** A point read below all layers; `undefined` when absent. The bytes are the caller's own. */
  load(key: Buffer): Buffer | undefined
}

/** A number or a tombstone under a number. */
const NUMBER_CELL_BYTES = MAP_ENTRY_BYTES + elementBytes(0) + cellBytes(0)

export class StateTable {
  readonly stateId: number
  readonly name: string
  /** Replaced once by `adoptCodec`, when a restored state is registered. */
  codec: CellCodec
  /**
   * Whether the store may hold anything of this state: false while what the layers do not know is absent, so that a new key costs no read.
   * Wrong would be lost state: it is true from the start after a restore, and from the first freeze of a layer of this table on.
   */
  mayBeStored: boolean
  /** Generations of this table that went to the store: what was read there before may be older than what the layers have let go since. */
  retirements = 0
  active: Buckets = []
  /** Newest first. */
  frozen: readonly Buckets[] = []
  readonly cached: CachedCells
  readonly #owner: StateTableOwner
  readonly #key = new ByteWriter()
  /** Whether the active layer never held anything but numbers and tombstones, which weigh the same. */
  #numbersOnly = true

  constructor(stateId: number, name: string, codec: CellCodec, owner: StateTableOwner) {
    this.stateId = stateId
    this.name = name
    this.codec = codec
    this.#owner = owner
    this.cached = owner.readCache.create()
    this.mayBeStored = !owner.resident && !owner.storeWasEmpty
  }

  /** Makes the active layer the newest frozen one, on its way to the store. `undefined` when it has nothing. */
  freeze(): Buckets | undefined {
    if (this.active.length === 0) return undefined
    const layer = this.active
    this.frozen = [layer, ...this.frozen]
    this.active = []
    this.mayBeStored = !this.#owner.resident
    return layer
  }

  /** The newest cell of a key, read through to the store when no layer knows it. The caller must not change it (see `put`). */
  find(keyGroupOffset: number, identity: KeyIdentity): Cell {
    return (
      this.findInMemory(keyGroupOffset, identity) ?? this.#readThrough(keyGroupOffset, identity)
    )
  }

  /**
   * The active layer's own cell, which may be changed in place (and charged with `grew`), within an operation. Where the layer has none,
   * or a tombstone, `own` makes one of the newest cell below.
   */
  ownCell<C extends Cell>(
    keyGroupOffset: number,
    identity: KeyIdentity,
    own: (below: Cell) => C,
  ): C {
    const written = this.active[keyGroupOffset]?.get(identity)
    // The cells of a state are of the kinds that its `own` makes.
    if (written !== undefined && written !== TOMBSTONE) return written as C
    // Not cached: the cell that is written now shadows it.
    const cell = own(
      written ?? this.#findBelow(keyGroupOffset, identity) ?? this.#load(keyGroupOffset, identity),
    )
    this.#numbersOnly = false
    // Not before: what is below may turn out to be damaged, and a layer that exists has a cell.
    const bucket = (this.active[keyGroupOffset] ??= new Map<KeyIdentity, Cell>())
    this.#replace(bucket, identity, written, cell)
    return cell
  }

  /** As `find`, but `undefined` where only the store knows. */
  findInMemory(keyGroupOffset: number, identity: KeyIdentity): Cell | undefined {
    const written = this.active[keyGroupOffset]?.get(identity)
    return written === undefined ? this.#findBelow(keyGroupOffset, identity) : written
  }

  /** In the layers below the active one. */
  #findBelow(keyGroupOffset: number, identity: KeyIdentity): Cell | undefined {
    // An indexed loop: nearly always over nothing or one layer, on the hottest path there is.
    for (let i = 0; i < this.frozen.length; i++) {
      const cell = this.frozen[i]?.[keyGroupOffset]?.get(identity)
      if (cell !== undefined) return cell
    }
    return this.cached.find(keyGroupOffset, identity)
  }

  /** A whole write operation: `beginWrite` and `set`. */
  put(keyGroupOffset: number, identity: KeyIdentity, cell: Cell): void {
    this.#owner.beginWrite()
    this.set(keyGroupOffset, identity, cell)
  }

  /** Writes a cell into the active layer, within an operation. The table owns `cell` from here on. */
  set(keyGroupOffset: number, identity: KeyIdentity, cell: Cell): void {
    const bucket = (this.active[keyGroupOffset] ??= new Map<KeyIdentity, Cell>())
    if (typeof cell === 'number' && typeof identity === 'number' && this.#numbersOnly) {
      const before = bucket.size
      bucket.set(identity, cell)
      if (bucket.size !== before) this.#owner.charge(NUMBER_CELL_BYTES)
      return
    }
    if (typeof cell !== 'number' && cell !== TOMBSTONE) this.#numbersOnly = false
    this.#replace(bucket, identity, bucket.get(identity), cell)
  }

  #replace(
    bucket: Map<KeyIdentity, Cell>,
    identity: KeyIdentity,
    replaced: Cell | undefined,
    cell: Cell,
  ): void {
    if (replaced === undefined) {
      const kept = flattened(identity)
      bucket.set(kept, cell)
      this.#owner.charge(MAP_ENTRY_BYTES + elementBytes(kept) + cellBytes(cell))
    } else {
      bucket.set(identity, cell)
      this.#owner.charge(cellBytes(cell) - cellBytes(replaced))
    }
  }

  /** Opens a write operation; only then may a cell of the active layer be looked up to be changed in place. */
  beginWrite(): void {
    this.#owner.beginWrite()
  }

  /** To be called after a cell of the active layer was changed in place. */
  grew(bytes: number): void {
    this.#owner.charge(bytes)
  }

  /** One entry of a spilled cell whose newest header has `epoch`. */
  findEntry(
    keyGroupOffset: number,
    identity: KeyIdentity,
    header: Spilled,
    subkey: KeyIdentity,
  ): SpilledEntry | Tombstone {
    const known = this.findEntryInMemory(keyGroupOffset, identity, header.epoch, subkey)
    if (known !== undefined) return known
    if (!this.mayBeStored) return TOMBSTONE
    const bytes = this.#owner.load(this.#entryKey(keyGroupOffset, identity, header.epoch, subkey))
    const entry = bytes === undefined ? TOMBSTONE : this.codec.decodeEntry(bytes)
    // A suspended scan may hold the header of a cell that was cleared since, and must not bring it back.
    const current = this.findInMemory(keyGroupOffset, identity)
    if (current instanceof Spilled && current.epoch === header.epoch) {
      this.cached.putEntry(keyGroupOffset, identity, current, subkey, entry)
    }
    return entry
  }

  findEntryInMemory(
    keyGroupOffset: number,
    identity: KeyIdentity,
    epoch: number,
    subkey: KeyIdentity,
  ): SpilledEntry | Tombstone | undefined {
    // Spelled out, without the generator of `layers`: every access to a spilled map comes through here.
    let cell = this.active[keyGroupOffset]?.get(identity)
    let entry = cell === undefined ? undefined : entryOf(cell, epoch, subkey)
    for (let i = 0; entry === undefined && i < this.frozen.length; i++) {
      cell = this.frozen[i]?.[keyGroupOffset]?.get(identity)
      if (cell !== undefined) entry = entryOf(cell, epoch, subkey)
    }
    if (entry !== undefined) return entry
    cell = this.cached.young[keyGroupOffset]?.get(identity)
    if (cell !== undefined) entry = entryOf(cell, epoch, subkey)
    if (entry !== undefined) return entry
    cell = this.cached.old[keyGroupOffset]?.get(identity)
    return cell === undefined ? undefined : entryOf(cell, epoch, subkey)
  }

  /** All layers in memory, newest first. */
  *layers(): Generator<Buckets> {
    yield this.active
    yield* this.frozen
    yield this.cached.young
    yield this.cached.old
  }

  /** The layers that the store does not have yet, newest first. */
  *bufferedLayers(): Generator<Buckets> {
    yield this.active
    yield* this.frozen
  }

  /** `| key group | state id | key | namespace |` of a key; valid until the next call. */
  cellKey(keyGroupOffset: number, identity: KeyIdentity): Buffer {
    this.#writeCellKey(keyGroupOffset, identity)
    return this.#key.view()
  }

  /** `| cell key | epoch |`: the prefix of all entries of one spilled cell. The caller's own. */
  entryPrefix(keyGroupOffset: number, identity: KeyIdentity, epoch: number): Buffer {
    this.#writeCellKey(keyGroupOffset, identity)
    writeEpoch(this.#key, epoch)
    return this.#key.copy()
  }

  #entryKey(offset: number, identity: KeyIdentity, epoch: number, subkey: KeyIdentity): Buffer {
    this.#writeCellKey(offset, identity)
    writeEpoch(this.#key, epoch)
    this.codec.subkeys?.write(subkey, this.#key)
    return this.#key.view()
  }

  #writeCellKey(keyGroupOffset: number, identity: KeyIdentity): void {
    const { keySerializer, startKeyGroup } = this.#owner
    this.#key.reset()
    writeCompositeKeyPrefix(this.#key, startKeyGroup + keyGroupOffset, this.stateId)
    keySerializer.write(identity, this.#key)
    writeVoidNamespace(this.#key)
  }

  #readThrough(keyGroupOffset: number, identity: KeyIdentity): Cell {
    if (!this.mayBeStored) return TOMBSTONE
    const cell = this.#load(keyGroupOffset, identity)
    this.cached.put(keyGroupOffset, identity, cell)
    return cell
  }

  #load(keyGroupOffset: number, identity: KeyIdentity): Cell {
    if (!this.mayBeStored) return TOMBSTONE
    const bytes = this.#owner.load(this.cellKey(keyGroupOffset, identity))
    return bytes === undefined ? TOMBSTONE : this.codec.decode(bytes)
  }
}

/** What one layer's cell knows of an entry; `undefined` when it knows nothing. */
function entryOf(
  cell: Cell,
  epoch: number,
  subkey: KeyIdentity,
): SpilledEntry | Tombstone | undefined {
  // A layer that knows the key under another epoch is older than the spill, and so are all below it, store included.
  if (!(cell instanceof Spilled) || cell.epoch !== epoch) return TOMBSTONE
  return cell.entries.get(subkey)
}

const EPOCH_HIGH_UNIT = 2 ** 32

/** Eight bytes, big-endian, so that entries of one epoch are contiguous. */
export function writeEpoch(out: ByteWriter, epoch: number): void {
  out.writeUint32BigEndian(Math.floor(epoch / EPOCH_HIGH_UNIT))
  out.writeUint32BigEndian(epoch % EPOCH_HIGH_UNIT)
}

export function readEpoch(from: ByteReader): number {
  return from.readUint32BigEndian() * EPOCH_HIGH_UNIT + from.readUint32BigEndian()
}
