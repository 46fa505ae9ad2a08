import type { KeyIdentity, KeySerializer } from '../record/key-serializer.js'
import {
  CONTAINER_BYTES,
  Spilled,
  TOMBSTONE,
  spilledEntryBytes,
  spilledMappingBytes,
  type Cell,
  type Tombstone,
} from '../store/cell.js'
import { MAP_ENTRY_BYTES, elementBytes, flattened, type Element } from '../store/element.js'
import { PackedMap } from '../store/packed-map.js'
import type { ElementCodec } from './element-codec.js'
import { MapScan } from './packed-scan.js'
import { PACKED_BYTES_MAX, PACKED_ENTRIES_MAX } from './spilling.js'
import type { MapState } from './state.js'
import { replaceCell, requireValue, type StateRuntime } from './state-runtime.js'

/**
 * A map is one packed cell while small. Beyond the limit it spills: a header, and one entry per user key under the header's epoch.
 * It is packed again only after it was cleared, under a new epoch, so that entries of the old one can never come back.
 */
export class KeyedMapState<UK, UV> implements MapState<UK, UV> {
  readonly #runtime: StateRuntime
  readonly #userKeys: KeySerializer<UK>
  readonly #elements: ElementCodec<UV>

  constructor(runtime: StateRuntime, userKeys: KeySerializer<UK>, elements: ElementCodec<UV>) {
    this.#runtime = runtime
    this.#userKeys = userKeys
    this.#elements = elements
  }

  get(userKey: UK): UV | undefined {
    const element = this.#find(userKey)
    return element === undefined ? undefined : this.#elements.fromElement(element)
  }

  contains(userKey: UK): boolean {
    return this.#find(userKey) !== undefined
  }

  put(userKey: UK, value: UV): void {
    const userIdentity = this.#userKeys.identityOf(userKey)
    const element = this.#toElement(value)
    this.#beginWrite()
    this.#write(userIdentity, element)
  }

  putAll(entries: Iterable<readonly [UK, UV]>): void {
    const elements: [KeyIdentity, Element][] = []
    for (const [userKey, value] of requireValue(entries, 'The entries to put cannot be null.')) {
      elements.push([this.#userKeys.identityOf(userKey), this.#toElement(value)])
    }
    this.#beginWrite()
    for (const [userKey, element] of elements) this.#write(userKey, element)
  }

  remove(userKey: UK): void {
    const identity = this.#runtime.context.current()
    const { table, context } = this.#runtime
    const userIdentity = this.#userKeys.identityOf(userKey)
    const cell = table.find(context.keyGroupOffset, identity)
    if (cell === TOMBSTONE) return
    if (cell instanceof PackedMap) {
      if (!cell.has(userIdentity)) return
      if (cell.size === 1) return table.put(context.keyGroupOffset, identity, TOMBSTONE)
    }
    this.#beginWrite()
    this.#write(userIdentity, TOMBSTONE)
  }

  clear(): void {
    const identity = this.#runtime.context.current()
    const { context } = this.#runtime
    replaceCell(this.#runtime, context.keyGroupOffset, identity, TOMBSTONE)
  }

  entries(): AsyncIterable<[UK, UV]> {
    return this.#scan((userKey, element) => [
      this.#userKeys.keyOf(userKey),
      this.#elements.fromElement(element),
    ])
  }

  keys(): AsyncIterable<UK> {
    return this.#scan((userKey) => this.#userKeys.keyOf(userKey))
  }

  values(): AsyncIterable<UV> {
    return this.#scan((_, element) => this.#elements.fromElement(element))
  }

  async isEmpty(): Promise<boolean> {
    const { context, table } = this.#runtime
    const cell = table.find(context.keyGroupOffset, context.current())
    if (cell === TOMBSTONE) return true
    if (cell instanceof PackedMap) return cell.size === 0
    for await (const _ of this.keys()) return false
    return true
  }

  #toElement(value: UV): Element {
    return value === null || value === undefined ? null : this.#elements.toElement(value)
  }

  #find(userKey: UK): Element | undefined {
    const identity = this.#runtime.context.current()
    const { table, context } = this.#runtime
    const userIdentity = this.#userKeys.identityOf(userKey)
    const cell = table.find(context.keyGroupOffset, identity)
    if (cell instanceof PackedMap) return cell.get(userIdentity)
    if (!(cell instanceof Spilled)) return undefined
    const entry = table.findEntry(context.keyGroupOffset, identity, cell, userIdentity)
    return entry === TOMBSTONE ? undefined : (entry as Element)
  }

  #beginWrite(): void {
    this.#runtime.context.current()
    this.#runtime.table.beginWrite()
  }

  #write(userKey: KeyIdentity, element: Element | Tombstone): void {
    const { table, context } = this.#runtime
    const cell = table.ownCell(context.keyGroupOffset, context.current(), ownCopy)
    if (cell instanceof Spilled) {
      const replaced = cell.entries.get(userKey)
      const kept = replaced === undefined ? flattened(userKey) : userKey
      cell.entries.set(kept, element)
      const grown =
        spilledEntryBytes(element) -
        (replaced === undefined
          ? -MAP_ENTRY_BYTES - elementBytes(kept)
          : spilledEntryBytes(replaced))
      cell.bytes += grown
      table.grew(grown)
    } else {
      const before = cell.bytes
      if (element === TOMBSTONE) cell.delete(userKey)
      else cell.set(userKey, element)
      table.grew(cell.bytes - before)
      if (cell.size > PACKED_ENTRIES_MAX || cell.bytes > PACKED_BYTES_MAX) this.#spill(cell)
    }
  }

  #spill(cell: PackedMap): void {
    const { table, context } = this.#runtime
    // Entries of its own: a suspended scan may still read the packed ones, among which there are no tombstones.
    const entries = new Map<KeyIdentity, Element | Tombstone>()
    let bytes = CONTAINER_BYTES
    cell.forEach((userKey, element) => {
      entries.set(userKey, element)
      bytes += spilledMappingBytes(userKey, element)
    })
    const spilled = new Spilled(this.#runtime.nextEpoch(), 0, entries, bytes)
    table.set(context.keyGroupOffset, context.current(), spilled)
  }

  #scan<R>(result: (userKey: KeyIdentity, element: Element) => R): AsyncIterable<R> {
    const runtime = this.#runtime
    const identity = runtime.context.current()
    const { keyGroupOffset } = runtime.context
    return new MapScan({ runtime, keyGroupOffset, identity, userKeys: this.#userKeys, result })
  }
}

function ownCopy(below: Cell): PackedMap | Spilled {
  if (below instanceof PackedMap) return below.copy()
  if (below instanceof Spilled) return new Spilled(below.epoch, 0, new Map(), CONTAINER_BYTES)
  return new PackedMap()
}
