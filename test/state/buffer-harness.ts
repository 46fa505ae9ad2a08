/**
 * States over a real write buffer and a store that is a plain `Map`: no files, no threads, limits as small as a test likes. What
 * runs while a generation is written or folded is up to the test.
 */
import { Buffer } from 'node:buffer'
import { expect } from 'vitest'
import type { Clock } from '../../src/common/clock.js'
import { Slicer } from '../../src/common/slicer.js'
import { KeyGroupRange } from '../../src/record/key-group-range.js'
import type { KeySerializer } from '../../src/record/key-serializer.js'
import { KeyContext } from '../../src/state/key-context.js'
import type { State } from '../../src/state/state.js'
import type { AnyStateDescriptor, StateDescriptor } from '../../src/state/state-descriptor.js'
import { StateRegistry } from '../../src/state/state-registry.js'
import type { StateRuntime } from '../../src/state/state-runtime.js'
import { cellEntries, type CellEntriesInput } from '../../src/store/cell-entries.js'
import {
  CONTAINER_BYTES,
  PackedList,
  Spilled,
  TOMBSTONE,
  cellBytes,
  listBytes,
  spilledMappingBytes,
  type Buckets,
  type Cell,
} from '../../src/store/cell.js'
import { MAP_ENTRY_BYTES, elementBytes, type Element } from '../../src/store/element.js'
import { PACKED_MAP_BYTES, PackedMap } from '../../src/store/packed-map.js'
import type { StateTable } from '../../src/store/state-table.js'
import { sweepRecordKey } from '../../src/store/sweeper.js'
import { WriteBuffer, type Generation } from '../../src/store/write-buffer.js'

const KEY_GROUPS = 4

export interface HarnessOptions<K> {
  readonly keySerializer: KeySerializer<K>
  readonly writeBufferBytes: number
  readonly readCacheBytes: number
  readonly resident?: boolean
  readonly storeIsEmpty?: boolean
}

export class BufferHarness<K> {
  readonly buffer: WriteBuffer
  readonly context: KeyContext = new KeyContext()
  /** What a flush wrote, by key bytes as latin1. */
  readonly stored: Map<string, Buffer> = new Map()
  /** Entries that were asked for below the buffer. */
  loads = 0
  /** Runs at every pause of a flush or a fold. */
  onPause: () => void = () => undefined
  readonly #keySerializer: KeySerializer<unknown>
  readonly #registry: StateRegistry
  readonly #full: Generation[] = []
  #nowMs = 0
  #epoch = 0

  constructor(options: HarnessOptions<K>) {
    const { keySerializer, writeBufferBytes, readCacheBytes } = options
    this.#keySerializer = keySerializer
    this.buffer = new WriteBuffer({
      keySerializer: this.#keySerializer,
      keyGroupRange: KeyGroupRange.of(0, KEY_GROUPS - 1),
      memory: { writeBufferBytes, readCacheBytes },
      resident: options.resident ?? false,
      storeIsEmpty: options.storeIsEmpty ?? false,
      load: (key) => {
        this.loads++
        const bytes = this.stored.get(key.toString('latin1'))
        return bytes === undefined ? undefined : Buffer.from(bytes)
      },
      onWaiting: () => undefined,
      onFull: (generation) => {
        checkGeneration(generation)
        this.#full.push(generation)
      },
      checkOpen: () => this.context.checkUsable(),
    })
    this.#registry = new StateRegistry({
      restored: [],
      openTable: (stateId, name, codec) => this.buffer.createTable(stateId, name, codec),
      runtimeOf: (table) => this.#runtimeOf(table),
    })
  }

  state<S extends State>(descriptor: StateDescriptor<S>): S {
    return this.#registry.register(descriptor as StateDescriptor<never> as AnyStateDescriptor) as S
  }

  table(name: string): StateTable {
    const table = this.#registry.table(name)
    if (table === undefined) throw new Error(`no state ${name}`)
    return table
  }

  setKey(key: K): void {
    const identity = this.#keySerializer.identityOf(key)
    this.context.identity = identity
    this.context.keyGroupOffset = Math.abs(this.#keySerializer.hashCode(identity)) % KEY_GROUPS
  }

  /** A clock that makes every step a place to pause. */
  slicer(): Slicer {
    const clock: Clock = {
      monotonicMs: () => (this.#nowMs += 1000),
      wallClockMs: () => 0,
      nextTurn: () => {
        this.onPause()
        return Promise.resolve()
      },
      sleep: () => Promise.reject(new Error('nothing sleeps here')),
    }
    return new Slicer(clock)
  }

  /** Freezes the active generation, and writes and folds all that are frozen. */
  async flush(): Promise<void> {
    const frozen = this.buffer.freeze()
    if (frozen !== undefined) checkGeneration(frozen)
    this.#full.length = 0
    for (
      let generation = this.buffer.frozenGenerations[0];
      generation !== undefined;
      generation = this.buffer.frozenGenerations[0]
    ) {
      for (const entry of cellEntries(this.entriesOf(generation))) {
        this.onPause()
        if (entry === undefined) continue
        const key = entry.key.toString('latin1')
        if (entry.value === undefined) this.stored.delete(key)
        else this.stored.set(key, Buffer.from(entry.value))
      }
      await this.buffer.retire(generation, this.slicer())
      if (generation === frozen) return
    }
  }

  entriesOf({ layers, raw }: Pick<Generation, 'layers' | 'raw'>): CellEntriesInput {
    return {
      keySerializer: this.#keySerializer,
      startKeyGroup: 0,
      numberOfKeyGroups: KEY_GROUPS,
      layers,
      raw,
    }
  }

  #runtimeOf(table: StateTable): StateRuntime {
    return {
      context: this.context,
      table,
      everSpilled: () => this.#epoch > 0,
      nextEpoch: () => ++this.#epoch,
      sweep: (swept, keyGroupOffset, identity, epoch) => {
        const prefix = swept.entryPrefix(keyGroupOffset, identity, epoch)
        this.buffer.setRaw(sweepRecordKey(prefix), new Uint8Array())
      },
      callback: (run) => run(),
      scanStarted: () => () => undefined,
      scanStore: (gte, lt, limit) => {
        const from = gte.toString('latin1')
        const to = lt.toString('latin1')
        const found = [...this.stored].filter(([key]) => key >= from && key < to)
        found.sort(([a], [b]) => (a < b ? -1 : 1))
        return Promise.resolve(
          found.slice(0, limit).map(([key, value]) => [Buffer.from(key, 'latin1'), value]),
        )
      },
    }
  }
}

/** The memory of a cell counted anew from its contents, which must be what its writer kept account of. */
function countedBytes(cell: Cell): number {
  let counted = cellBytes(cell)
  if (cell instanceof PackedList) counted = listBytes(cell.elements)
  if (cell instanceof PackedMap) {
    counted = PACKED_MAP_BYTES
    for (const userKey of cell.keys()) {
      const element = cell.get(userKey) as Element
      expect(element as Cell).not.toBe(TOMBSTONE)
      counted += cell.entryBytes + elementBytes(userKey) + elementBytes(element)
    }
  }
  if (cell instanceof Spilled) {
    counted = CONTAINER_BYTES
    for (const [subkey, entry] of cell.entries) counted += spilledMappingBytes(subkey, entry)
  }
  expect(cellBytes(cell)).toBe(counted)
  return counted
}

export function layerBytes(layer: Buckets): number {
  let bytes = 0
  for (const bucket of layer) {
    for (const [identity, cell] of bucket ?? []) {
      bytes += MAP_ENTRY_BYTES + elementBytes(identity) + countedBytes(cell)
    }
  }
  return bytes
}

/** The memory a generation says it has is that of its cells and raw entries. */
export function checkGeneration({ layers, raw, bytes }: Generation): void {
  let counted = 0
  for (const layer of layers.values()) counted += layerBytes(layer)
  for (const text of raw.keys()) counted += MAP_ENTRY_BYTES + elementBytes(text)
  expect(bytes).toBe(counted)
}
