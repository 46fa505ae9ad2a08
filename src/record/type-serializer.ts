/**
 * How values become bytes: the `TypeSerializer` contract and its default, msgpackr.
 *
 * Invariants
 * I1 `deserialize(serialize(x))` is a value equal to `x` that shares no memory with it: what a state returns belongs to the caller.
 * I2 A value that cannot be brought back is refused when it is written (`VALUE_NOT_ENCODABLE`), never found out at a restore.
 */
import { Buffer } from 'node:buffer'
import { Packr } from 'msgpackr'
import { StateBackendError } from '../errors.js'
import { NotEncodable, negativeZerosOf, restoreNegativeZeros } from './value-inspection.js'

export interface TypeSerializer<T> {
  /**
   * Names the format, for example `msgpack` or `order-v2`. Written to every checkpoint and compared at restore: another name for
   * a state that was restored is `SERIALIZER_MISMATCH`.
   */
  readonly typeName: string
  /** Encodes one value. The returned bytes are read before the next call and never kept, so a scratch buffer may be reused. */
  serialize(value: T): Uint8Array
  /** Decodes what `serialize` made. `bytes` is valid during the call only: copy what is kept. */
  deserialize(bytes: Uint8Array): T
}

/**
 * A value with -0 somewhere inside: the tag, the length of the value's bytes (4 bytes, big-endian), those bytes with 0 for -0, and the
 * numbers of the zeros that are -0 (value-inspection.ts) as a msgpack array. No msgpack value begins with this byte. Written to disk,
 * never reuse.
 */
const NEGATIVE_ZEROS_TAG = 0xc1
const NEGATIVE_ZEROS_HEADER_BYTES = 5

const MINUS_ZERO = Buffer.from([0xcb, 0x80, 0, 0, 0, 0, 0, 0, 0])

function notEncodable(what: string, cause?: unknown): StateBackendError {
  return new StateBackendError(
    'VALUE_NOT_ENCODABLE',
    `The value cannot be stored: ${what}. Store plain data (numbers, strings, bigints, booleans, dates, bytes, arrays, objects, ` +
      'maps, sets), or give the state a TypeSerializer of its own. Nothing was written.',
    cause === undefined ? {} : { cause },
  )
}

/**
 * The default serializer. Objects are msgpackr *records*, so that a `Map` comes back as a `Map` and an object as an object; `Set`,
 * `Date`, bigints of any size and typed arrays keep their type as well; -0 and NaN are kept, also inside. Not kept: class identity
 * (a plain object comes back), fields that are not enumerable or are named by a symbol, holes in arrays (`undefined` comes back), and
 * that two fields were one object. Refused, also inside: functions, symbols, strings with lone surrogates, circular objects, and
 * objects whose contents are not in their fields (promises, weak collections, boxed primitives, objects with `toJSON`).
 */
export class MsgpackSerializer<T> implements TypeSerializer<T> {
  readonly typeName = 'msgpack'
  readonly #packr = new Packr({
    useRecords: true,
    moreTypes: true,
    useBigIntExtension: true,
    copyBuffers: true,
  })

  serialize(value: T): Uint8Array {
    switch (typeof value) {
      case 'number':
        if (Object.is(value, -0)) return MINUS_ZERO
        break
      case 'string':
        if (!value.isWellFormed()) throw notEncodable('a string with a lone surrogate')
        break
      case 'function':
      case 'symbol':
      case 'undefined':
        throw notEncodable(`it is a ${typeof value}`)
      default:
    }
    try {
      const negativeZeros =
        typeof value === 'object' && value !== null ? negativeZerosOf(value) : undefined
      const bytes = this.#packr.pack(value)
      return negativeZeros === undefined ? bytes : this.#withNegativeZeros(bytes, negativeZeros)
    } catch (cause) {
      if (cause instanceof NotEncodable) throw notEncodable(cause.message)
      throw notEncodable(cause instanceof Error ? cause.message : String(cause), cause)
    }
  }

  deserialize(bytes: Uint8Array): T {
    try {
      if (bytes[0] === NEGATIVE_ZEROS_TAG) return this.#readNegativeZeros(bytes)
      return this.#packr.unpack(bytes) as T
    } catch (cause) {
      throw new StateBackendError(
        'VALUE_DAMAGED',
        'A stored value cannot be decoded. Restore from an earlier checkpoint, or use the serializer that wrote the state.',
        { cause },
      )
    }
  }

  #withNegativeZeros(value: Uint8Array, negativeZeros: readonly number[]): Uint8Array {
    const header = Buffer.alloc(NEGATIVE_ZEROS_HEADER_BYTES)
    header[0] = NEGATIVE_ZEROS_TAG
    header.writeUInt32BE(value.length, 1)
    return Buffer.concat([header, value, this.#packr.pack(negativeZeros)])
  }

  #readNegativeZeros(bytes: Uint8Array): T {
    const { buffer, byteOffset, length } = bytes
    const valueEnd =
      NEGATIVE_ZEROS_HEADER_BYTES + Buffer.from(buffer, byteOffset, length).readUInt32BE(1)
    const negativeZeros = this.#packr.unpack(bytes.subarray(valueEnd)) as Iterable<number>
    const value = this.#packr.unpack(bytes.subarray(NEGATIVE_ZEROS_HEADER_BYTES, valueEnd)) as T &
      object
    restoreNegativeZeros(value, negativeZeros)
    return value
  }
}
