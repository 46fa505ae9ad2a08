/**
 * Values to elements and back: which values the buffer keeps as they are, and how the rest is encoded.
 *
 * With the default serializer an immutable primitive is its own element; with a serializer of the user's every value is encoded when
 * it is written, so that an error of theirs comes up in the call that caused it.
 */
import { Buffer } from 'node:buffer'
import type { ByteWriter } from '../common/bytes.js'
import { MsgpackSerializer, type TypeSerializer } from '../record/type-serializer.js'
import { Encoded, flattened, type Element } from '../store/cell.js'

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
    this.#keepsPrimitives = serializer instanceof MsgpackSerializer
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
        default:
      }
    }
    return new Encoded(this.serializer.serialize(value))
  }

  /** The value of an element, the caller's own. */
  fromElement(element: Element): T {
    if (!(element instanceof Encoded)) return element as T
    const length = element.text.length
    if (length > this.#scratch.length) this.#scratch = Buffer.allocUnsafeSlow(length * 2)
    this.#scratch.write(element.text, 0, 'latin1')
    return this.serializer.deserialize(this.#scratch.subarray(0, length))
  }

  copy(value: T): T {
    return this.fromElement(this.toElement(value))
  }

  write(element: Element, out: ByteWriter): void {
    if (element instanceof Encoded) {
      const length = element.text.length
      out.reserve(length)
      out.buffer.write(element.text, out.length, 'latin1')
      out.length += length
    } else {
      out.writeBytes(this.serializer.serialize(element as T))
    }
  }

  read(bytes: Buffer): Element {
    if (!this.#keepsPrimitives || !isMsgpackPrimitive(bytes[0])) return new Encoded(bytes)
    return this.serializer.deserialize(bytes) as Element
  }
}
