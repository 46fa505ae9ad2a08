/**
 * Values to elements and back: which values the buffer keeps as they are, and how the rest is encoded.
 *
 * With the default serializer an immutable primitive is its own element; with a serializer of the user's every value is encoded when
 * it is written, so that an error of theirs comes up in the call that caused it.
 */
import { Buffer } from 'node:buffer'
import type { ByteWriter } from '../common/bytes.js'
import { readMsgpackNumber, writeMsgpackNumber } from '../record/msgpack-number.js'
import { MsgpackSerializer, type TypeSerializer } from '../record/type-serializer.js'
import { isReservedField } from '../record/value-inspection.js'
import { Encoded, Held, elementBytes, flattened, type Element } from '../store/element.js'

/** First bytes that msgpackr gives to numbers, strings and booleans; records and extensions stay encoded. */
function isMsgpackPrimitive(firstByte: number | undefined): boolean {
  if (firstByte === undefined) return false
  return (
    firstByte < 0x40 || // small integers; from 0x40 on records
    firstByte >= 0xe0 || // small negative integers
    (firstByte >= 0xa0 && firstByte < 0xc0) || // short strings
    (firstByte >= 0xca && firstByte <= 0xd3) || // numbers
    (firstByte >= 0xd9 && firstByte <= 0xdb) || // strings
    firstByte === 0xc2 || // false
    firstByte === 0xc3 // true
  )
}

export class ElementCodec<T> {
  readonly serializer: TypeSerializer<T>
  readonly #keepsPrimitives: boolean
  #scratch = Buffer.allocUnsafeSlow(1024)

  constructor(serializer: TypeSerializer<T> = new MsgpackSerializer<T>()) {
    this.serializer = serializer
    // Not a subclass: its bytes are its own business.
    this.#keepsPrimitives = Object.getPrototypeOf(serializer) === MsgpackSerializer.prototype
  }

  /** Throws `VALUE_NOT_ENCODABLE`, or what the user's serializer throws, before anything changed. */
  toElement(value: T): Element {
    if (this.#keepsPrimitives) {
      switch (typeof value) {
        case 'number':
        case 'boolean':
          return value
        case 'string':
          // A lone surrogate would not come back: let the serializer refuse it.
          if (value.isWellFormed()) return flattened(value)
          break
        case 'object': {
          const held = heldCopy(value)
          if (held !== undefined) return held
          break
        }
        default:
      }
    }
    return new Encoded(this.serializer.serialize(value))
  }

  /** The value of an element, the caller's own. */
  fromElement(element: Element): T {
    // First, for the sake of counters: nothing is cheaper to ask.
    if (typeof element !== 'object') return element as T
    if (element instanceof Held) return copyOf(element.value) as T
    if (!(element instanceof Encoded)) return element as T
    const length = element.text.length
    if (length > this.#scratch.length) this.#scratch = Buffer.allocUnsafeSlow(length * 2)
    this.#scratch.write(element.text, 0, 'latin1')
    return this.serializer.deserialize(this.#scratch.subarray(0, length))
  }

  write(element: Element, out: ByteWriter): void {
    if (typeof element === 'number' && this.#keepsPrimitives) {
      writeMsgpackNumber(element, out)
    } else if (element instanceof Encoded) {
      const length = element.text.length
      out.reserve(length)
      out.buffer.write(element.text, out.length, 'latin1')
      out.length += length
    } else {
      const value = element instanceof Held ? element.value : element
      out.writeBytes(this.serializer.serialize(value as T))
    }
  }

  read(bytes: Buffer): Element {
    const number = this.#keepsPrimitives ? readMsgpackNumber(bytes) : undefined
    if (number !== undefined) return number
    if (!this.#keepsPrimitives || !isMsgpackPrimitive(bytes[0])) return new Encoded(bytes)
    return this.serializer.deserialize(bytes) as Element
  }
}

/** Fields or items of what is kept as a copy; the sizes of accumulators and small records. */
const HELD_FIELDS_MAX = 16
const HELD_OBJECT_BYTES = 72
const HELD_FIELD_BYTES = 16

function copyOf(value: object): object {
  return Array.isArray(value) ? value.slice() : { ...value }
}

/**
 * A copy to keep, of a flat plain object or array; `undefined` for everything else, which is encoded. Whatever is not certain to come
 * back from the serializer as it is must not be kept here either, because nobody can tell when it will be flushed.
 */
function heldCopy(value: object | null): Held | undefined {
  if (value === null) return undefined
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype === Object.prototype) return heldRecord(value as Record<string, unknown>)
  // A subclass of arrays comes back as an array.
  return prototype === Array.prototype ? heldArray(value as unknown[]) : undefined
}

/** Copied name by name: unlike a spread, this leaves out fields named by a symbol, as the serializer does. */
function heldRecord(value: Record<string, unknown>): Held | undefined {
  const copy: Record<string, unknown> = {}
  let bytes = HELD_OBJECT_BYTES
  let fields = 0
  for (const name in value) {
    const field = value[name]
    if (++fields > HELD_FIELDS_MAX || isReservedField(name)) return undefined
    if (!name.isWellFormed() || !isHoldable(field)) return undefined
    copy[name] = flattened(field)
    bytes += HELD_FIELD_BYTES + elementBytes(field)
  }
  return new Held(copy, bytes)
}

function heldArray(value: readonly unknown[]): Held | undefined {
  if (value.length > HELD_FIELDS_MAX) return undefined
  const copy: unknown[] = []
  let bytes = HELD_OBJECT_BYTES
  for (const item of value) {
    if (!isHoldable(item)) return undefined
    copy.push(flattened(item))
    bytes += HELD_FIELD_BYTES + elementBytes(item)
  }
  return new Held(copy, bytes)
}

function isHoldable(field: unknown): field is string | number | boolean | null {
  if (typeof field === 'string') return field.isWellFormed()
  return typeof field === 'number' || typeof field === 'boolean' || field === null
}
