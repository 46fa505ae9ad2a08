/**
 * The read cache of a write buffer: clean cells, by state and key group.
 *
 * Cells age as under the hand of a clock, which goes from key group to key group of all states: where it passes, the young cells become
 * the old ones, and the old ones are dropped. A read makes an old cell young again. The hand moves only to make room, so what fits
 * stays as it is and costs nothing, and what does not fit is dropped a key group of a state at a time.
 *
 * Invariants
 * C1 A cell is young or old, never both; only a young one changes (a spilled one, which grows by the entries that are read).
 * C2 What is cached weighs no more than the limit; while a cell is put in, that one more.
 */
import { assert } from '../common/assert.js'
import type { KeyIdentity } from '../record/key-serializer.js'
import {
  CONTAINER_BYTES,
  Spilled,
  cellBytes,
  spilledMappingBytes,
  type Buckets,
  type Cell,
  type SpilledEntry,
  type Tombstone,
} from './cell.js'
import { MAP_ENTRY_BYTES, elementBytes, flattened } from './element.js'

export class ReadCache {
  readonly #keyGroups: number
  readonly #states: CachedCells[] = []
  #limitBytes: number
  #bytes = 0
  #youngBytes = 0
  /** At least of the young cells of each key group of a state; exact whenever the hand has been round. */
  #largestBytes = 0
  /** The next key group of a state, counted over all states. */
  #hand = 0

  /** Nothing is dropped while all cells are within `limitBytes`, which may be infinite. */
  constructor(numberOfKeyGroups: number, limitBytes: number) {
    this.#keyGroups = numberOfKeyGroups
    this.#limitBytes = limitBytes
  }

  get bytes(): number {
    return this.#bytes
  }

  /** The cells of one state more. */
  create(): CachedCells {
    const cells = new CachedCells(this)
    this.#states.push(cells)
    return cells
  }

  /** Drops at once what is beyond the new limit. */
  limitTo(bytes: number): void {
    this.#limitBytes = bytes
    if (this.#bytes > bytes) this.#makeRoom()
  }

  /** For `CachedCells`: its cells grew by `bytes`, the young ones by `youngBytes`, those of one key group thereby to `groupBytes`. */
  grew(bytes: number, youngBytes: number, groupBytes: number): void {
    this.#bytes += bytes
    this.#youngBytes += youngBytes
    if (groupBytes > this.#largestBytes) this.#largestBytes = groupBytes
  }

  /** For `CachedCells`, when it is done with a cell, which may be dropped here. */
  settle(): void {
    if (this.#bytes > this.#limitBytes) this.#makeRoom()
    // In time, so that when room is to be made there are old cells, half of the largest key group at least: all others are in use.
    else if (this.#youngBytes > this.#limitBytes - this.#largestBytes / 2) this.#turn(false)
  }

  #makeRoom(): void {
    // Twice round is over all cells.
    let turns = 2 * this.#states.length * this.#keyGroups
    while (this.#bytes > this.#limitBytes && turns-- > 0) this.#turn(true)
  }

  /** Moves the hand by one. Unless `mayDrop`, a key group with old cells is left as it is. */
  #turn(mayDrop: boolean): void {
    const cells = this.#states[Math.floor(this.#hand / this.#keyGroups)]
    assert(cells !== undefined, 'the hand points to a state')
    const aged = cells.age(this.#hand % this.#keyGroups, mayDrop)
    this.#bytes -= aged.droppedBytes
    this.#youngBytes -= aged.agedBytes
    this.#hand++
    if (this.#hand < this.#states.length * this.#keyGroups) return
    this.#hand = 0
    this.#largestBytes = this.#states.reduce((most, each) => Math.max(most, each.largestBytes), 0)
  }
}

/** What is cached of one state. The layers are to be changed by these methods alone. */
export class CachedCells {
  young: Buckets = []
  old: Buckets = []
  readonly #cache: ReadCache
  /** By key group, as the layers are; where nothing was ever cached there may be none. */
  #youngBytes: number[] = []
  #oldBytes: number[] = []

  constructor(cache: ReadCache) {
    this.#cache = cache
  }

  /** The caller must not change the cell. */
  find(offset: number, identity: KeyIdentity): Cell | undefined {
    const young = this.young[offset]?.get(identity)
    if (young !== undefined) return young
    const renewed = this.#renewed(offset, identity)
    if (renewed !== undefined) this.#cache.settle()
    return renewed
  }

  /** Puts a clean cell in, or replaces the one there. */
  put(offset: number, identity: KeyIdentity, cell: Cell): void {
    this.#put(offset, identity, cell)
    this.#cache.settle()
  }

  #put(offset: number, identity: KeyIdentity, cell: Cell): void {
    const replaced = this.young[offset]?.get(identity)
    if (replaced === undefined) {
      this.#takeOld(offset, identity)
      this.#add(offset, identity, cell)
    } else {
      this.young[offset]?.set(identity, cell)
      this.#grewYoung(offset, cellBytes(cell) - cellBytes(replaced))
    }
  }

  /** Puts a clean spilled cell in, without its entries; those that are there of its epoch stay. */
  putHeader(offset: number, identity: KeyIdentity, header: Spilled): void {
    const cached = this.#spilled(offset, identity, header)
    if (cached !== undefined) cached.chunkCount = header.chunkCount
    else this.#put(offset, identity, emptied(header))
    this.#cache.settle()
  }

  /** Puts one clean entry of a spilled cell in, or replaces the one there. */
  putEntry(
    offset: number,
    identity: KeyIdentity,
    header: Spilled,
    subkey: KeyIdentity,
    entry: SpilledEntry | Tombstone,
  ): void {
    let cached = this.#spilled(offset, identity, header)
    if (cached === undefined) {
      cached = emptied(header)
      this.#put(offset, identity, cached)
    }
    const replaced = cached.entries.get(subkey)
    const replacedBytes = replaced === undefined ? 0 : spilledMappingBytes(subkey, replaced)
    cached.entries.set(replaced === undefined ? flattened(subkey) : subkey, entry)
    this.#entriesGrew(offset, cached, spilledMappingBytes(subkey, entry) - replacedBytes)
    this.#cache.settle()
  }

  /** Takes a cell out. */
  remove(offset: number, identity: KeyIdentity): void {
    this.#takeOld(offset, identity)
    const cell = this.young[offset]?.get(identity)
    if (cell === undefined) return
    this.young[offset]?.delete(identity)
    this.#grewYoung(offset, -mappingBytes(identity, cell))
  }

  /** Takes one entry of a spilled cell out. */
  removeEntry(offset: number, identity: KeyIdentity, header: Spilled, subkey: KeyIdentity): void {
    const cached = this.#spilled(offset, identity, header)
    const entry = cached?.entries.get(subkey)
    if (cached === undefined || entry === undefined) return
    cached.entries.delete(subkey)
    this.#entriesGrew(offset, cached, -spilledMappingBytes(subkey, entry))
  }

  /** Empties the layers; those who still read the former ones are not disturbed. */
  clear(): void {
    const youngBytes = sum(this.#youngBytes)
    const oldBytes = sum(this.#oldBytes)
    this.young = []
    this.old = []
    this.#youngBytes = []
    this.#oldBytes = []
    this.#cache.grew(-youngBytes - oldBytes, -youngBytes, 0)
  }

  /** Of the young cells of a key group, the most. */
  get largestBytes(): number {
    return this.#youngBytes.reduce((most, bytes) => Math.max(most, bytes), 0)
  }

  /**
   * For `ReadCache`: drops the old cells of a key group and makes the young ones the old ones. Nothing where it has old ones and may not
   * drop them.
   */
  age(
    offset: number,
    mayDrop: boolean,
  ): { readonly droppedBytes: number; readonly agedBytes: number } {
    const droppedBytes = this.#oldBytes[offset] ?? 0
    if (droppedBytes > 0 && !mayDrop) return NOTHING_AGED
    const bucket = this.young[offset]
    if (bucket === undefined && droppedBytes === 0) return NOTHING_AGED
    const agedBytes = this.#youngBytes[offset] ?? 0
    this.old[offset] = bucket
    this.#oldBytes[offset] = agedBytes
    this.young[offset] = undefined
    this.#youngBytes[offset] = 0
    return { droppedBytes, agedBytes }
  }

  /** An old cell, made young. */
  #renewed(offset: number, identity: KeyIdentity): Cell | undefined {
    const cell = this.#takeOld(offset, identity)
    if (cell !== undefined) this.#add(offset, identity, cell)
    return cell
  }

  #takeOld(offset: number, identity: KeyIdentity): Cell | undefined {
    const bucket = this.old[offset]
    const cell = bucket?.get(identity)
    if (bucket === undefined || cell === undefined) return undefined
    bucket.delete(identity)
    const bytes = mappingBytes(identity, cell)
    this.#oldBytes[offset] = (this.#oldBytes[offset] ?? 0) - bytes
    this.#cache.grew(-bytes, 0, 0)
    return cell
  }

  #add(offset: number, identity: KeyIdentity, cell: Cell): void {
    const kept = flattened(identity)
    const bucket = (this.young[offset] ??= new Map<KeyIdentity, Cell>())
    bucket.set(kept, cell)
    this.#grewYoung(offset, mappingBytes(kept, cell))
  }

  /** That of the header's epoch; young from here on. */
  #spilled(offset: number, identity: KeyIdentity, { epoch }: Spilled): Spilled | undefined {
    const cell = this.young[offset]?.get(identity) ?? this.#renewed(offset, identity)
    return cell instanceof Spilled && cell.epoch === epoch ? cell : undefined
  }

  #entriesGrew(offset: number, cell: Spilled, bytes: number): void {
    cell.bytes += bytes
    this.#grewYoung(offset, bytes)
  }

  #grewYoung(offset: number, bytes: number): void {
    const groupBytes = (this.#youngBytes[offset] ?? 0) + bytes
    this.#youngBytes[offset] = groupBytes
    this.#cache.grew(bytes, bytes, groupBytes)
  }
}

const NOTHING_AGED = { droppedBytes: 0, agedBytes: 0 }

function mappingBytes(identity: KeyIdentity, cell: Cell): number {
  return MAP_ENTRY_BYTES + elementBytes(identity) + cellBytes(cell)
}

function emptied({ epoch, chunkCount }: Spilled): Spilled {
  return new Spilled(epoch, chunkCount, new Map(), CONTAINER_BYTES)
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0)
}
