/**
 * Removes the entries of spilled cells that were cleared, in slices, in the background, through the write buffer.
 *
 * Clearing writes one key (the header) and a *sweep record* under the reserved state id 0 of the same key group: the prefix of the
 * entries to be removed. The record is state like any other, so it is checkpointed, restored and rescaled with its key group, and a
 * sweep that a crash cut short goes on after the restore. Its removal is the last thing a sweep writes.
 */
import { Buffer } from 'node:buffer'
import { ByteWriter } from '../common/bytes.js'
import { prefixSuccessor, successor } from '../common/key-bounds.js'
import {
  COMPOSITE_KEY_PREFIX_BYTES,
  keyGroupOf,
  stateIdOfKey,
  writeCompositeKeyPrefix,
} from '../record/composite-key.js'
import type { KeyGroup } from '../record/key-group.js'
import type { KeyGroupRange } from '../record/key-group-range.js'
import { TOMBSTONE } from './cell.js'
import type { LevelDBStore } from './leveldb-store.js'
import type { Generation, WriteBuffer } from './write-buffer.js'

/** Never given to a state (`stateIdOf`). */
const SWEEP_STATE_ID = 0

/** Entries removed per turn. */
const SWEEP_CHUNK_ENTRIES = 500
/** Records waiting in memory; more are found again in the store. */
const WAITING_RECORDS_MAX = 10_000

const KEY_GROUP_BYTES = 2

/** The sweep record's key for the entries under `prefix`, which begins with their key group. */
export function sweepRecordKey(prefix: Buffer): Buffer {
  const out = new ByteWriter(prefix.length + COMPOSITE_KEY_PREFIX_BYTES)
  writeCompositeKeyPrefix(out, keyGroupOf(prefix), SWEEP_STATE_ID)
  out.writeBytes(prefix.subarray(KEY_GROUP_BYTES))
  return out.copy()
}

function sweptPrefix(record: Buffer): Buffer {
  return Buffer.concat([
    record.subarray(0, KEY_GROUP_BYTES),
    record.subarray(COMPOSITE_KEY_PREFIX_BYTES),
  ])
}

export class Sweeper {
  readonly #buffer: WriteBuffer
  readonly #store: LevelDBStore
  readonly #keyGroupRange: KeyGroupRange
  readonly #waiting: Buffer[] = []
  /** Whether the store may hold records that are not in `#waiting`. */
  #unknownRecords: boolean
  #closed = false
  #running: Promise<void> | undefined

  constructor(
    buffer: WriteBuffer,
    store: LevelDBStore,
    keyGroupRange: KeyGroupRange,
    restored: boolean,
  ) {
    this.#buffer = buffer
    this.#store = store
    this.#keyGroupRange = keyGroupRange
    this.#unknownRecords = restored
  }

  /** A generation is in the store: its records may be swept now, since all entries they speak of are in the store as well. */
  written(generation: Generation): void {
    for (const [text, value] of generation.raw) {
      if (value === TOMBSTONE) continue
      const key = Buffer.from(text, 'latin1')
      if (stateIdOfKey(key) !== SWEEP_STATE_ID) continue
      if (this.#waiting.length < WAITING_RECORDS_MAX) this.#waiting.push(key)
      else this.#unknownRecords = true
    }
    this.#wake()
  }

  /** Stops at the next chunk and resolves when nothing runs any more. */
  async close(): Promise<void> {
    this.#closed = true
    await this.#running
  }

  #wake(): void {
    if (this.#running !== undefined || this.#closed) return
    if (this.#waiting.length === 0 && !this.#unknownRecords) return
    // A failure of the store is sticky there and reported by the next write; a full buffer is waited out.
    this.#running = this.#run()
      .catch(() => undefined)
      .finally(() => {
        this.#running = undefined
      })
  }

  async #run(): Promise<void> {
    if (this.#unknownRecords && this.#waiting.length === 0) await this.#discover()
    for (;;) {
      const record = this.#waiting[0]
      if (record === undefined || !(await this.#sweep(record))) return
      this.#waiting.shift()
    }
  }

  async #discover(): Promise<void> {
    this.#unknownRecords = false
    for (const keyGroup of this.#keyGroupRange) {
      if (this.#closed) return
      if (!(await this.#discoverIn(keyGroup))) {
        this.#unknownRecords = true
        return
      }
    }
  }

  /** Returns false when there are more records than may wait. */
  async #discoverIn(keyGroup: KeyGroup): Promise<boolean> {
    const prefix = new ByteWriter(COMPOSITE_KEY_PREFIX_BYTES)
    writeCompositeKeyPrefix(prefix, keyGroup, SWEEP_STATE_ID)
    const lt = prefixSuccessor(prefix.view())
    let gte = prefix.copy()
    for (;;) {
      // The store returns fewer than asked for where keys are long; only an empty chunk is the end.
      const chunk = await this.#store.scan(gte, lt, SWEEP_CHUNK_ENTRIES)
      const last = chunk.at(-1)
      if (last === undefined) return true
      if (this.#waiting.length + chunk.length > WAITING_RECORDS_MAX) return false
      for (const [key] of chunk) this.#waiting.push(key)
      gte = successor(last[0])
    }
  }

  /** Returns false when the sweep has to wait: it starts again after the next generation. */
  async #sweep(record: Buffer): Promise<boolean> {
    const prefix = sweptPrefix(record)
    const lt = prefixSuccessor(prefix)
    let gte = prefix
    for (;;) {
      const chunk = await this.#store.scan(gte, lt, SWEEP_CHUNK_ENTRIES)
      if (this.#closed || this.#buffer.needsDrain) return false
      this.#buffer.beginWrite()
      for (const [key] of chunk) this.#buffer.setRaw(key, TOMBSTONE)
      const last = chunk.at(-1)
      if (last === undefined) break
      gte = successor(last[0])
    }
    this.#buffer.beginWrite()
    this.#buffer.setRaw(record, TOMBSTONE)
    return true
  }
}
