/**
 * Scans the keys of one state in one key group, in the order of their bytes: the store's headers merged with the buffer's keys.
 */
import { Buffer } from 'node:buffer'
import { ByteReader, ByteWriter } from '../common/bytes.js'
import { prefixSuccessor, successor } from '../common/key-bounds.js'
import { slicedSort } from '../common/sliced-sort.js'
import {
  COMPOSITE_KEY_PREFIX_BYTES,
  readVoidNamespace,
  writeCompositeKeyPrefix,
} from '../record/composite-key.js'
import type { KeyIdentity, KeySerializer } from '../record/key-serializer.js'
import { Spilled, TOMBSTONE, type Cell } from '../store/cell.js'
import { scanSpilled } from './map-scan.js'
import type { StateRuntime } from './state-runtime.js'

/** Entries read from the store at a time; the store returns fewer where they are large. */
const SCAN_CHUNK_ENTRIES = 500

export async function* scanKeys(
  runtime: StateRuntime,
  keySerializer: KeySerializer<unknown>,
  keyGroup: number,
  keyGroupOffset: number,
): AsyncGenerator<KeyIdentity> {
  const buffered = bufferedKeys(runtime, keySerializer, keyGroupOffset)
  let next = 0
  for await (const stored of storedCells(runtime, keySerializer, keyGroup)) {
    const { identity } = stored
    for (; next < buffered.length; next++) {
      const order = keySerializer.compare(buffered[next] as KeyIdentity, identity)
      if (order > 0) break
      if (order < 0) yield* live(buffered[next] as KeyIdentity)
    }
    yield* live(identity, stored)
  }
  for (; next < buffered.length; next++) yield* live(buffered[next] as KeyIdentity)

  /** The key, if it has something now. */
  async function* live(identity: KeyIdentity, stored?: StoredCell): AsyncGenerator<KeyIdentity> {
    runtime.context.checkUsable()
    const { table } = runtime
    let cell: Cell | undefined = table.findInMemory(keyGroupOffset, identity)
    if (cell === undefined) {
      cell =
        stored?.retirements === table.retirements
          ? table.codec.decode(stored.value)
          : table.find(keyGroupOffset, identity)
    }
    if (cell === TOMBSTONE) return
    if (!(cell instanceof Spilled) || cell.chunkCount > 0) yield identity
    else if (await hasEntries(runtime, keyGroupOffset, identity, cell)) yield identity
  }
}

async function hasEntries(
  runtime: StateRuntime,
  keyGroupOffset: number,
  identity: KeyIdentity,
  cell: Spilled,
): Promise<boolean> {
  const first = await scanSpilled(runtime, keyGroupOffset, identity, cell).next()
  return first.done !== true
}

function bufferedKeys(
  runtime: StateRuntime,
  keySerializer: KeySerializer<unknown>,
  keyGroupOffset: number,
): KeyIdentity[] {
  const keys = new Set<KeyIdentity>()
  for (const layer of runtime.table.layers()) {
    for (const identity of layer[keyGroupOffset]?.keys() ?? []) keys.add(identity)
  }
  const sorting = slicedSort([...keys], keySerializer)
  for (;;) {
    const step = sorting.next()
    if (step.done === true) return step.value
  }
}

/** What the store had when its chunk was read, after so many retirements of the table. */
interface StoredCell {
  readonly identity: KeyIdentity
  readonly value: Buffer
  readonly retirements: number
}

/** The store's cells of the state in the key group: packed values and spilled headers, no spilled entries. */
async function* storedCells(
  runtime: StateRuntime,
  keySerializer: KeySerializer<unknown>,
  keyGroup: number,
): AsyncGenerator<StoredCell> {
  const prefix = new ByteWriter(COMPOSITE_KEY_PREFIX_BYTES)
  writeCompositeKeyPrefix(prefix, keyGroup, runtime.table.stateId)
  const lt = prefixSuccessor(prefix.view())
  let gte = prefix.copy()
  for (;;) {
    const { retirements } = runtime.table
    const chunk = await runtime.scanStore(gte, lt, SCAN_CHUNK_ENTRIES)
    let after: Buffer | undefined
    for (const [key, value] of chunk) {
      if (after !== undefined && Buffer.compare(key, after) < 0) continue
      const from = new ByteReader(key, COMPOSITE_KEY_PREFIX_BYTES)
      const identity = keySerializer.read(from)
      readVoidNamespace(from)
      if (from.remaining === 0) yield { identity, value, retirements }
      // Entries of a spilled cell, with a header or left over from a cleared one: go on behind all of them.
      else after = prefixSuccessor(key.subarray(0, from.offset))
    }
    const last = chunk.at(-1)
    if (last === undefined) return
    gte = successor(last[0])
    if (after !== undefined && Buffer.compare(gte, after) < 0) gte = after
  }
}
