/**
 * Scans the entries of one spilled map in the order of their bytes: the store's chunks merged with what the buffer holds.
 *
 * The buffered user keys are collected and sorted once; their values are looked up when their turn comes, so what is yielded is
 * current. A key that moves from the buffer to the store meanwhile shows up in both and is yielded once.
 */
import { assert } from '../common/assert.js'
import { ByteReader } from '../common/bytes.js'
import { prefixSuccessor, successor } from '../common/key-bounds.js'
import type { KeyIdentity } from '../record/key-serializer.js'
import { Spilled, TOMBSTONE, type SpilledEntry } from '../store/cell.js'
import type { StateRuntime } from './state-runtime.js'

/** Entries read from the store at a time; the store returns fewer where they are large. */
const SCAN_CHUNK_ENTRIES = 500

export async function* scanSpilled(
  runtime: StateRuntime,
  keyGroupOffset: number,
  identity: KeyIdentity,
  header: Spilled,
): AsyncGenerator<[KeyIdentity, SpilledEntry]> {
  const { table } = runtime
  const { subkeys } = table.codec
  assert(subkeys !== undefined, 'only states with subkeys spill')
  const buffered = subkeys.sort(bufferedSubkeys(runtime, keyGroupOffset, identity, header.epoch))
  let next = 0
  const prefix = table.entryPrefix(keyGroupOffset, identity, header.epoch)
  for await (const [key, value, retirements] of storeEntries(runtime, prefix)) {
    const subkey = subkeys.read(new ByteReader(key, prefix.length))
    for (; next < buffered.length; next++) {
      const order = subkeys.compare(buffered[next] as KeyIdentity, subkey)
      if (order > 0) break
      if (order < 0) yield* current(buffered[next] as KeyIdentity)
    }
    yield* current(subkey, value, retirements)
  }
  for (; next < buffered.length; next++) yield* current(buffered[next] as KeyIdentity)

  /** The entry as it is now; `stored` is what the store had when its chunk was read, after so many retirements. */
  function* current(
    subkey: KeyIdentity,
    stored?: Buffer,
    retirements?: number,
  ): Generator<[KeyIdentity, SpilledEntry]> {
    runtime.context.checkUsable()
    const known = table.findEntryInMemory(keyGroupOffset, identity, header.epoch, subkey)
    if (known === TOMBSTONE) return
    if (known !== undefined) yield [subkey, known]
    else if (stored !== undefined && retirements === table.retirements) {
      yield [subkey, table.codec.decodeEntry(stored)]
    } else {
      const entry = table.findEntry(keyGroupOffset, identity, header, subkey)
      if (entry !== TOMBSTONE) yield [subkey, entry]
    }
  }
}

/** The user keys that layers in memory have entries of, without duplicates. */
function bufferedSubkeys(
  runtime: StateRuntime,
  keyGroupOffset: number,
  identity: KeyIdentity,
  epoch: number,
): KeyIdentity[] {
  const subkeys = new Set<KeyIdentity>()
  for (const layer of runtime.table.layers()) {
    const cell = layer[keyGroupOffset]?.get(identity)
    if (!(cell instanceof Spilled) || cell.epoch !== epoch) continue
    for (const subkey of cell.entries.keys()) subkeys.add(subkey)
  }
  return [...subkeys]
}

/** The store's entries under a prefix, chunk by chunk, each with the table's retirements before its chunk was read. */
async function* storeEntries(
  runtime: StateRuntime,
  prefix: Buffer,
): AsyncGenerator<[Buffer, Buffer, number]> {
  const lt = prefixSuccessor(prefix)
  let gte = prefix
  for (;;) {
    const { retirements } = runtime.table
    const chunk = await runtime.scanStore(gte, lt, SCAN_CHUNK_ENTRIES)
    for (const [key, value] of chunk) yield [key, value, retirements]
    const last = chunk.at(-1)
    if (last === undefined) return
    gte = successor(last[0])
  }
}
