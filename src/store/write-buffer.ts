/**
 * The write buffer: every write of a keyed backend lands here and stays until its generation is in the store.
 *
 * The active generation is frozen by a snapshot, or when it is full; a frozen one is written by the `GenerationWriter` and then
 * folded into the read cache. This file owns the layers of all state tables and the accounting; it does no input or output.
 *
 * Invariants
 * I1 A frozen generation never changes. A write after a freeze is never in it.
 * I2 Generations are retired in the order they were frozen.
 * I3 The read cache never holds anything newer or older than the store: entries come in when they were read or written there.
 * I4 Buffer and cache together stay within their shares together: the cache takes what the buffer did not need of late.
 */
import type { Buffer } from 'node:buffer'
import { assert } from '../common/assert.js'
import type { Slicer } from '../common/slicer.js'
import { StateBackendError } from '../errors.js'
import type { KeyGroupRange } from '../record/key-group-range.js'
import type { KeyIdentity, KeySerializer } from '../record/key-serializer.js'
import type { CellCodec } from './cell-codec.js'
import { Spilled, TOMBSTONE, type Buckets } from './cell.js'
import { MAP_ENTRY_BYTES, elementBytes } from './element.js'
import type { MemoryShare } from './memory-budget.js'
import { ReadCache } from './read-cache.js'
import { StateTable, type StateTableOwner } from './state-table.js'

/** Two generations fit: one being filled, one being written. */
const GENERATION_FRACTION = 0.45
/** From here on the host is asked to wait. */
const DRAIN_FRACTION = 0.8

/** A raw write: an entry that belongs to no cell, namely a sweep record (empty value) or the removal of a swept entry. */
export type RawValue = Uint8Array | typeof TOMBSTONE

export interface Generation {
  /** Ascending from 1. */
  readonly index: number
  readonly layers: ReadonlyMap<StateTable, Buckets>
  /** By key bytes as latin1. */
  readonly raw: ReadonlyMap<string, RawValue>
  readonly bytes: number
}

export interface WriteBufferOptions {
  readonly keySerializer: KeySerializer<unknown>
  readonly keyGroupRange: KeyGroupRange
  readonly memory: Pick<MemoryShare, 'writeBufferBytes' | 'readCacheBytes'>
  /** A point read of the store. */
  readonly load: (key: Buffer) => Buffer | undefined
  /** Called when a generation was frozen because it was full. */
  readonly onFull: (generation: Generation) => void
  /** Called while a generation is full and waits for the one before to be retired. */
  readonly onWaiting: () => void
  /** Throws when nothing may be written any more (closed, failed). */
  readonly checkOpen: () => void
  /** The cache is the store: never evicted, and what it does not know is absent. For the in-memory backend. */
  readonly resident?: boolean
  /** The store holds nothing yet: what no generation held is absent without a look. Only where nothing was restored. Default false. */
  readonly storeIsEmpty?: boolean
}

export class WriteBuffer implements StateTableOwner {
  readonly keySerializer: KeySerializer<unknown>
  readonly startKeyGroup: number
  readonly numberOfKeyGroups: number
  readonly resident: boolean
  readonly storeWasEmpty: boolean
  readonly readCache: ReadCache
  readonly #options: WriteBufferOptions
  readonly #tables = new Map<number, StateTable>()
  readonly #frozen: Generation[] = []
  readonly #generationBytesMax: number
  readonly #drainBytes: number
  readonly #totalBytes: number
  #raw = new Map<string, RawValue>()
  #generationCount = 0
  #activeBytes = 0
  #frozenBytes = 0
  /** The most that was held since the last freeze, and between the one before and that. */
  #peakBytes = 0
  #lastPeakBytes = 0

  constructor(options: WriteBufferOptions) {
    this.#options = options
    this.keySerializer = options.keySerializer
    this.startKeyGroup = options.keyGroupRange.startKeyGroup
    this.numberOfKeyGroups = options.keyGroupRange.numberOfKeyGroups
    this.resident = options.resident ?? false
    this.storeWasEmpty = options.storeIsEmpty ?? false
    this.#generationBytesMax = options.memory.writeBufferBytes * GENERATION_FRACTION
    this.#drainBytes = options.memory.writeBufferBytes * DRAIN_FRACTION
    this.#totalBytes = options.memory.writeBufferBytes + options.memory.readCacheBytes
    const cacheBytesMax = this.resident ? Infinity : this.#totalBytes
    this.readCache = new ReadCache(this.numberOfKeyGroups, cacheBytesMax)
  }

  /** State tables, by state id. */
  get tables(): ReadonlyMap<number, StateTable> {
    return this.#tables
  }

  get frozenGenerations(): readonly Generation[] {
    return this.#frozen
  }

  /** Estimated memory of active and frozen generations. */
  get heldBytes(): number {
    return this.#activeBytes + this.#frozenBytes
  }

  get cachedBytes(): number {
    return this.readCache.bytes
  }

  get needsDrain(): boolean {
    return this.heldBytes > this.#drainBytes
  }

  createTable(stateId: number, name: string, codec: CellCodec): StateTable {
    assert(!this.#tables.has(stateId), 'a state table is created once', { name })
    const table = new StateTable(stateId, name, codec, this)
    this.#tables.set(stateId, table)
    return table
  }

  beginWrite(): void {
    this.#options.checkOpen()
    this.#freezeWhenFull()
    if (this.heldBytes > this.#peakBytes) this.#rise()
    if (this.heldBytes >= this.#options.memory.writeBufferBytes) {
      throw new StateBackendError(
        'WRITE_BUFFER_FULL',
        `The write buffer holds ${this.heldBytes} bytes, its hard limit is ${this.#options.memory.writeBufferBytes}. Await ` +
          'backend.drain() whenever backend.needsDrain is true, or raise the memory budget. This write was not done; nothing else is lost.',
        {
          details: { heldBytes: this.heldBytes, limitBytes: this.#options.memory.writeBufferBytes },
        },
      )
    }
  }

  charge(bytes: number): void {
    this.#activeBytes += bytes
  }

  #freezeWhenFull(): void {
    if (this.#activeBytes < this.#generationBytesMax) return
    if (this.#frozen.length > 0) {
      this.#options.onWaiting()
      return
    }
    const generation = this.freeze()
    if (generation !== undefined) this.#options.onFull(generation)
  }

  /** The buffer holds more than of late: the cache makes room where it has taken that (I4). */
  #rise(): void {
    this.#peakBytes = this.heldBytes
    this.#limitCache()
  }

  #limitCache(): void {
    if (this.resident) return
    this.readCache.limitTo(this.#totalBytes - Math.max(this.#peakBytes, this.#lastPeakBytes))
  }

  load(key: Buffer): Buffer | undefined {
    return this.#options.load(key)
  }

  /** Writes an entry that belongs to no cell, within an operation. */
  setRaw(key: Buffer, value: RawValue): void {
    const text = key.toString('latin1')
    const before = this.#raw.size
    this.#raw.set(text, value)
    if (this.#raw.size !== before) this.charge(MAP_ENTRY_BYTES + elementBytes(text))
  }

  /** Swaps the active generation for an empty one; `undefined` when nothing was written since the last freeze. */
  freeze(): Generation | undefined {
    const layers = new Map<StateTable, Buckets>()
    for (const table of this.#tables.values()) {
      const layer = table.freeze()
      if (layer !== undefined) layers.set(table, layer)
    }
    if (layers.size === 0 && this.#raw.size === 0) return undefined
    const generation: Generation = {
      index: ++this.#generationCount,
      layers,
      raw: this.#raw,
      bytes: this.#activeBytes,
    }
    this.#raw = new Map()
    this.#frozen.push(generation)
    this.#frozenBytes += this.#activeBytes
    this.#activeBytes = 0
    this.#lastPeakBytes = this.#peakBytes
    this.#peakBytes = this.heldBytes
    this.#limitCache()
    return generation
  }

  /** Folds a generation that is in the store into the read cache, in slices, and lets it go. */
  async retire(generation: Generation, slicer: Slicer): Promise<void> {
    assert(this.#frozen[0] === generation, 'generations are retired in the order they were frozen')
    for (const [table, buckets] of generation.layers) {
      for (const [offset, bucket] of buckets.entries()) {
        if (bucket === undefined) continue
        for (const [identity, cell] of bucket) {
          if (slicer.due()) await slicer.pause()
          if (cell instanceof Spilled) {
            await this.#foldSpilled(table, offset, identity, cell, slicer)
          } else if (this.resident && cell === TOMBSTONE) {
            table.cached.remove(offset, identity)
          } else {
            table.cached.put(offset, identity, cell)
          }
        }
      }
    }
    for (const [table, buckets] of generation.layers) {
      table.frozen = table.frozen.filter((layer) => layer !== buckets)
      table.retirements++
    }
    this.#frozen.shift()
    this.#frozenBytes -= generation.bytes
    if (this.#isOpen()) this.#freezeWhenFull()
  }

  /** A closed or failed backend writes nothing more: it is about to remove its files. */
  #isOpen(): boolean {
    try {
      this.#options.checkOpen()
      return true
    } catch {
      return false
    }
  }

  /**
   * Entry by entry, since one map may be most of a generation. The written cell may still be read by a suspended scan and is never
   * changed; what is half folded is hidden by the frozen generation.
   */
  async #foldSpilled(
    { cached }: StateTable,
    offset: number,
    identity: KeyIdentity,
    written: Spilled,
    slicer: Slicer,
  ): Promise<void> {
    cached.putHeader(offset, identity, written)
    for (const [subkey, entry] of written.entries) {
      if (slicer.due()) await slicer.pause()
      if (this.resident && entry === TOMBSTONE) {
        cached.removeEntry(offset, identity, written, subkey)
      } else {
        cached.putEntry(offset, identity, written, subkey, entry)
      }
    }
  }
}
