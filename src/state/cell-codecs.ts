/**
 * The bytes of values, lists and maps in table entries. Written to disk: layouts and tags are frozen (FORMAT.md, "Values").
 *
 * ```
 * value            serializer's bytes
 * list, packed     0 | count varint | count x (length varint | bytes)
 * map, packed      0 | count varint | count x (user key | 0  or  length + 1 varint | bytes)
 * spilled header   1 | epoch varint | chunk count varint
 * list chunk       count varint | count x (length varint | bytes)
 * map entry        0  or  1 | bytes
 * ```
 * 0 in place of `length + 1` or of `1` is a mapping to null.
 */
import type { Buffer } from 'node:buffer'
import { ByteReader, ByteReaderError, type ByteWriter } from '../common/bytes.js'
import { StateBackendError } from '../errors.js'
import type { KeySerializer } from '../record/key-serializer.js'
import type { CellCodec, SubkeyCodec } from '../store/cell-codec.js'
import {
  CONTAINER_BYTES,
  LIST_SLOT_BYTES,
  PackedList,
  Spilled,
  type Cell,
  type SpilledEntry,
  type Tombstone,
} from '../store/cell.js'
import { elementBytes, type Element } from '../store/element.js'
import { PackedMap } from '../store/packed-map.js'
import type { ElementCodec } from './element-codec.js'

const PACKED_TAG = 0
export const SPILLED_TAG = 1

type LiveCell = Exclude<Cell, Tombstone>

function damaged(cause: unknown): StateBackendError {
  return new StateBackendError(
    'VALUE_DAMAGED',
    'A stored state value cannot be decoded. Restore from an earlier checkpoint, or check that the state is registered as it was written.',
    { cause },
  )
}

/** Decodes with the reader's bounds; whatever does not fit is `VALUE_DAMAGED`. */
function decoding<T>(bytes: Buffer, decode: (from: ByteReader) => T): T {
  const from = new ByteReader(bytes)
  try {
    const decoded = decode(from)
    if (from.remaining > 0) throw new ByteReaderError('bytes are left over', from.offset)
    return decoded
  } catch (error) {
    if (error instanceof ByteReaderError) throw damaged(error)
    throw error
  }
}

export function encodeSpilledHeader(cell: Spilled, out: ByteWriter): void {
  out.writeUint8(SPILLED_TAG)
  out.writeVarint(cell.epoch)
  out.writeVarint(cell.chunkCount)
}

/** The header, without entries. */
export function decodeSpilledHeader(bytes: Buffer): Spilled {
  return decoding(bytes, (from) => {
    from.readUint8()
    return new Spilled(from.readVarint(), from.readVarint(), new Map(), CONTAINER_BYTES)
  })
}

/** For value, reducing and aggregating state. */
export class ValueCellCodec<T> implements CellCodec {
  readonly subkeys = undefined
  readonly #elements: ElementCodec<T>

  constructor(elements: ElementCodec<T>) {
    this.#elements = elements
  }

  encode(cell: LiveCell, out: ByteWriter): void {
    this.#elements.write(cell as Element, out)
  }

  decode(bytes: Buffer): LiveCell {
    return this.#elements.read(bytes)
  }

  encodeEntry(): never {
    throw damaged('a value never spills')
  }

  decodeEntry(): never {
    throw damaged('a value never spills')
  }
}

abstract class ContainerCodec<T> implements CellCodec {
  abstract readonly subkeys: SubkeyCodec
  protected readonly elements: ElementCodec<T>

  constructor(elements: ElementCodec<T>) {
    this.elements = elements
  }

  encode(cell: LiveCell, out: ByteWriter): void {
    if (cell instanceof Spilled) {
      encodeSpilledHeader(cell, out)
    } else {
      out.writeUint8(PACKED_TAG)
      this.encodePacked(cell, out)
    }
  }

  decode(bytes: Buffer): LiveCell {
    if (bytes[0] === SPILLED_TAG) return decodeSpilledHeader(bytes)
    return decoding(bytes, (from) => {
      const tag = from.readUint8()
      if (tag !== PACKED_TAG) throw new ByteReaderError(`unknown tag ${tag}`, 0)
      return this.decodePacked(from)
    })
  }

  protected abstract encodePacked(cell: LiveCell, out: ByteWriter): void
  protected abstract decodePacked(from: ByteReader): LiveCell
  abstract encodeEntry(entry: SpilledEntry, out: ByteWriter): void
  abstract decodeEntry(bytes: Buffer): SpilledEntry
}

/** Chunk numbers as four bytes, big-endian. */
const chunkNumbers: SubkeyCodec = {
  write: (chunk, out) => out.writeUint32BigEndian(chunk as number),
  read: (from) => from.readUint32BigEndian(),
  compare: (a, b) => (a as number) - (b as number),
  sort: (chunks) => chunks.sort((a, b) => (a as number) - (b as number)),
}

export class ListCellCodec<T> extends ContainerCodec<T> {
  override readonly subkeys: SubkeyCodec = chunkNumbers

  protected override encodePacked(cell: LiveCell, out: ByteWriter): void {
    this.#writeElements((cell as PackedList).elements, out)
  }

  protected override decodePacked(from: ByteReader): PackedList {
    const elements = this.#readElements(from)
    let bytes = CONTAINER_BYTES
    for (const element of elements) bytes += LIST_SLOT_BYTES + elementBytes(element)
    return new PackedList(elements, bytes)
  }

  override encodeEntry(entry: SpilledEntry, out: ByteWriter): void {
    this.#writeElements(entry as readonly Element[], out)
  }

  override decodeEntry(bytes: Buffer): Element[] {
    return decoding(bytes, (from) => this.#readElements(from))
  }

  #writeElements(elements: readonly Element[], out: ByteWriter): void {
    out.writeVarint(elements.length)
    for (const element of elements) {
      const start = out.beginLengthPrefixed()
      this.elements.write(element, out)
      out.endLengthPrefixed(start)
    }
  }

  #readElements(from: ByteReader): Element[] {
    const count = from.readVarint()
    const elements: Element[] = []
    for (let i = 0; i < count; i++) elements.push(this.elements.read(from.readLengthPrefixed()))
    return elements
  }
}

export class MapCellCodec<UK, UV> extends ContainerCodec<UV> {
  override readonly subkeys: KeySerializer<UK>

  constructor(userKeys: KeySerializer<UK>, elements: ElementCodec<UV>) {
    super(elements)
    this.subkeys = userKeys
  }

  protected override encodePacked(cell: LiveCell, out: ByteWriter): void {
    const map = cell as PackedMap
    out.writeVarint(map.size)
    map.forEach((userKey, element) => {
      this.subkeys.write(userKey, out)
      if (element === null) {
        out.writeVarint(0)
      } else {
        const start = out.beginLengthPrefixed()
        this.elements.write(element, out)
        out.endLengthPrefixed(start, 1)
      }
    })
  }

  protected override decodePacked(from: ByteReader): PackedMap {
    const count = from.readVarint()
    const map = new PackedMap()
    for (let i = 0; i < count; i++) {
      const userKey = this.subkeys.read(from)
      const length = from.readVarint()
      const element = length === 0 ? null : this.elements.read(from.readBytes(length - 1))
      map.set(userKey, element)
    }
    return map
  }

  override encodeEntry(entry: SpilledEntry, out: ByteWriter): void {
    if (entry === null) {
      out.writeUint8(0)
    } else {
      out.writeUint8(1)
      this.elements.write(entry as Element, out)
    }
  }

  override decodeEntry(bytes: Buffer): Element {
    return decoding(bytes, (from) => {
      const present = from.readUint8()
      if (present > 1) throw new ByteReaderError(`unknown tag ${present}`, 0)
      return present === 0 ? null : this.elements.read(from.readBytes(from.remaining))
    })
  }
}
