import { StateBackendError } from '../errors.js'
import {
  CONTAINER_BYTES,
  LIST_SLOT_BYTES,
  PackedList,
  Spilled,
  TOMBSTONE,
  listBytes,
  type Cell,
} from '../store/cell.js'
import { MAP_ENTRY_BYTES, elementBytes, type Element } from '../store/element.js'
import type { ElementCodec } from './element-codec.js'
import { PACKED_BYTES_MAX, PACKED_ENTRIES_MAX } from './spilling.js'
import type { ListState } from './state.js'
import { replaceCell, requireValue, type StateRuntime } from './state-runtime.js'

/** Up to here V8 makes as much room for one element as for all of them. */
const PUSHED_ELEMENTS = 16

const ADD_NULL = 'You cannot add null to a ListState.'

/**
 * A list is one packed cell while small. Beyond the limit it spills: a header, and densely numbered chunks of at most as many
 * elements as a packed list; from then on appending writes new chunks and reads nothing but the header.
 */
export class KeyedListState<T> implements ListState<T> {
  readonly #runtime: StateRuntime
  readonly #elements: ElementCodec<T>

  constructor(runtime: StateRuntime, elements: ElementCodec<T>) {
    this.#runtime = runtime
    this.#elements = elements
  }

  get(): T[] {
    const identity = this.#runtime.context.current()
    const { keyGroupOffset } = this.#runtime.context
    const cell = this.#runtime.table.find(keyGroupOffset, identity)
    if (cell === TOMBSTONE) return []
    if (cell instanceof PackedList) return this.#decoded(cell.elements)
    const header = cell as Spilled
    const values: T[] = []
    for (let chunk = 0; chunk < header.chunkCount; chunk++) {
      const entry = this.#runtime.table.findEntry(keyGroupOffset, identity, header, chunk)
      if (!Array.isArray(entry)) throw missingChunk(chunk, header)
      values.push(...this.#decoded(entry as readonly Element[]))
    }
    return values
  }

  add(value: T): void {
    this.#append([this.#elements.toElement(requireValue(value, ADD_NULL))])
  }

  addAll(values: readonly T[]): void {
    this.#runtime.context.current()
    const elements = this.#encoded(values, 'List of values to add cannot be null.')
    if (elements.length > 0) this.#append(elements)
  }

  update(values: readonly T[]): void {
    const elements = this.#encoded(values, 'List of values to update cannot be null.')
    if (elements.length === 0) return this.clear()
    const identity = this.#runtime.context.current()
    const { keyGroupOffset } = this.#runtime.context
    const cell = this.#packOrSpill(elements)
    replaceCell(this.#runtime, keyGroupOffset, identity, cell)
  }

  clear(): void {
    const identity = this.#runtime.context.current()
    replaceCell(this.#runtime, this.#runtime.context.keyGroupOffset, identity, TOMBSTONE)
  }

  #decoded(elements: readonly Element[]): T[] {
    // Begun as a copy, in one block of memory: a list of one number is read a fifth faster than by `map`.
    const values: unknown[] = elements.slice()
    for (let i = 0; i < values.length; i++) {
      values[i] = this.#elements.fromElement(values[i] as Element)
    }
    return values as T[]
  }

  #encoded(values: readonly T[], whenNull: string): Element[] {
    const given = requireValue(values, whenNull)
    // Encoded in place, in a copy, which of numbers is one block of memory. Few are pushed: that leaves room for what is added next.
    const elements: unknown[] = given.length <= PUSHED_ELEMENTS ? [] : [...given]
    if (elements.length === 0) for (const value of given) elements.push(value)
    for (let i = 0; i < elements.length; i++) {
      elements[i] = this.#elements.toElement(requireValue(elements[i], ADD_NULL) as T)
    }
    return elements as Element[]
  }

  #append(added: readonly Element[]): void {
    const { table, context } = this.#runtime
    const identity = context.current()
    const { keyGroupOffset } = context
    table.beginWrite()
    const cell = table.ownCell(keyGroupOffset, identity, ownCopy)
    if (cell instanceof Spilled) return table.grew(appendToChunks(cell, added))
    const bytes = cell.bytes + listBytes(added) - CONTAINER_BYTES
    const length = cell.elements.length + added.length
    if (length > PACKED_ENTRIES_MAX || bytes > PACKED_BYTES_MAX) {
      table.set(keyGroupOffset, identity, this.#packOrSpill([...cell.elements, ...added]))
      return
    }
    const grown = bytes - cell.bytes
    // Joined as blocks of memory, where pushing many grows the array step by step; for one the call alone costs more.
    if (added.length === 1) cell.elements.push(added[0] as Element)
    else cell.elements = cell.elements.concat(added)
    cell.bytes = bytes
    table.grew(grown)
  }

  #packOrSpill(elements: Element[]): PackedList | Spilled {
    const bytes = listBytes(elements)
    if (elements.length <= PACKED_ENTRIES_MAX && bytes <= PACKED_BYTES_MAX) {
      return new PackedList(elements, bytes)
    }
    const spilled = new Spilled(this.#runtime.nextEpoch(), 0, new Map(), CONTAINER_BYTES)
    appendToChunks(spilled, elements)
    return spilled
  }
}

function ownCopy(below: Cell): PackedList | Spilled {
  if (below instanceof PackedList) return new PackedList([...below.elements], below.bytes)
  if (!(below instanceof Spilled)) return new PackedList([], CONTAINER_BYTES)
  return new Spilled(below.epoch, below.chunkCount, new Map(), CONTAINER_BYTES)
}

function missingChunk(chunk: number, { chunkCount, epoch }: Spilled): StateBackendError {
  return new StateBackendError(
    'VALUE_DAMAGED',
    `Chunk ${chunk} of the ${chunkCount} of a stored list is missing. Restore from an earlier checkpoint.`,
    { details: { chunk, chunkCount, epoch } },
  )
}

/** Appends to the chunks this generation already has, then to new ones. Returns by how much the cell grew, in bytes. */
function appendToChunks(cell: Spilled, elements: readonly Element[]): number {
  const before = cell.bytes
  let chunk = cell.entries.get(cell.chunkCount - 1) as Element[] | undefined
  let chunkBytes = chunk === undefined ? 0 : listBytes(chunk)
  for (const element of elements) {
    const bytes = LIST_SLOT_BYTES + elementBytes(element)
    if (
      chunk === undefined ||
      chunk.length >= PACKED_ENTRIES_MAX ||
      chunkBytes + bytes > PACKED_BYTES_MAX
    ) {
      chunk = []
      chunkBytes = CONTAINER_BYTES
      cell.bytes += MAP_ENTRY_BYTES + elementBytes(cell.chunkCount) + CONTAINER_BYTES
      cell.entries.set(cell.chunkCount++, chunk)
    }
    chunk.push(element)
    chunkBytes += bytes
    cell.bytes += bytes
  }
  return cell.bytes - before
}
