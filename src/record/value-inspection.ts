/**
 * What msgpackr would lose without a word, found before it is written: values that cannot come back are refused, and zeros with a
 * sign are counted, because msgpackr writes -0 as 0.
 *
 * Zeros are numbered in the order of a walk that meets arrays by index, maps and sets by insertion, and the fields of an object in
 * their own order; all of which msgpackr keeps. Written to disk: the order is frozen.
 */

import { Buffer } from 'node:buffer'
import { types } from 'node:util'

/** Says what is wrong with a value; the serializer makes an error of it. */
export class NotEncodable extends Error {}

/** The numbers of those zeros in `value` that are -0; `undefined` when there is none. Throws `NotEncodable`. */
export function negativeZerosOf(value: object): number[] | undefined {
  const inspection = new Inspection()
  inspection.object(value)
  return inspection.negativeZeros
}

class Inspection {
  negativeZeros: number[] | undefined
  #zeros = 0

  object(value: object): void {
    if (Array.isArray(value)) {
      for (let i = 0; i < value.length; i++) this.#any(value[i])
      return
    }
    const prototype: unknown = Object.getPrototypeOf(value)
    if (prototype === Object.prototype || prototype === null) this.#fields(value)
    else this.#instance(value)
  }

  #any(value: unknown): void {
    switch (typeof value) {
      case 'number':
        if (value === 0) this.#zero(value)
        break
      case 'string':
        checkText(value)
        break
      case 'object':
        if (value !== null) this.object(value)
        break
      case 'function':
      case 'symbol':
        throw new NotEncodable(`there is a ${typeof value} in it`)
      default:
    }
  }

  #zero(zero: number): void {
    if (Object.is(zero, -0)) (this.negativeZeros ??= []).push(this.#zeros)
    this.#zeros++
  }

  #fields(value: object): void {
    const fields = value as Record<string, unknown>
    for (const name in fields) {
      if (!Object.hasOwn(fields, name)) continue
      if (isReservedField(name)) throw new NotEncodable(`there is a field named ${name} in it`)
      checkText(name)
      this.#any(fields[name])
    }
  }

  #instance(value: object): void {
    if (isMistaken(value)) {
      throw new NotEncodable(
        `there is ${describe(value)} in it, of which nothing or something else would come back`,
      )
    }
    if (value instanceof Map) {
      for (const [key, mapped] of value) {
        this.#any(key)
        this.#any(mapped)
      }
    } else if (value instanceof Set) {
      for (const item of value) this.#any(item)
    } else if (types.isNativeError(value)) {
      this.#error(value)
    } else if (!isLeaf(value)) {
      if (isOpaque(value)) {
        throw new NotEncodable(
          `there is a ${value.constructor.name} in it, which is not plain data`,
        )
      }
      this.#fields(value)
    }
  }

  #error({ name, message, cause }: Error): void {
    const inside = new Inspection()
    for (const part of [name, message, cause]) inside.#any(part)
    if (inside.negativeZeros === undefined) return
    // An error is a leaf to whoever gives zeros their sign back.
    throw new NotEncodable('there is an error caused by a -0 in it')
  }
}

/** msgpackr keeps what it knows of a shape under `__keys__`, beside its fields: one object with such a field spoils those after it. */
export function isReservedField(name: string): boolean {
  return name === '__proto__' || name === '__keys__'
}

/** The typed arrays that msgpackr tells apart; it goes by the name of the constructor. */
const typedArrays: ReadonlySet<unknown> = new Set([
  Buffer,
  Int8Array,
  Uint8Array,
  Uint8ClampedArray,
  Int16Array,
  Uint16Array,
  Int32Array,
  Uint32Array,
  Float32Array,
  Float64Array,
  BigInt64Array,
  BigUint64Array,
])

/**
 * Whether msgpackr takes for something else what has its contents in internal slots: it knows a `Map` and a typed array by their
 * constructor, the others by `instanceof`. So a subclass of `Map` would come back as an object without fields, one of a typed array not
 * at all, and what is of another realm (`node:vm`) as an object or a string.
 */
function isMistaken(value: object): boolean {
  if (types.isMap(value)) return value.constructor !== Map
  if (types.isTypedArray(value)) return !typedArrays.has(value.constructor)
  if (types.isGeneratorObject(value) || types.isMapIterator(value) || types.isSetIterator(value)) {
    return true
  }
  // The message of an error of several would come back as its list.
  if (types.isSharedArrayBuffer(value) || value instanceof AggregateError) return true
  return !(value instanceof Object) && (types.isSet(value) || isLeaf(value))
}

function describe(value: object): string {
  const { constructor } = value
  return typeof constructor === 'function' && constructor.name !== ''
    ? `an instance of ${constructor.name}`
    : 'an object'
}

function checkText(text: string): void {
  if (!text.isWellFormed()) throw new NotEncodable('there is a string with a lone surrogate in it')
}

/** Kept whole by msgpackr's extensions. */
function isLeaf(value: object): boolean {
  return (
    types.isDate(value) ||
    ArrayBuffer.isView(value) ||
    types.isAnyArrayBuffer(value) ||
    types.isRegExp(value) ||
    types.isNativeError(value)
  )
}

/** What is in it is not in its fields, or it would come back as something else. */
function isOpaque(value: object): boolean {
  if ('toJSON' in value && typeof value.toJSON === 'function') return true
  return (
    types.isBoxedPrimitive(value) ||
    types.isPromise(value) ||
    types.isWeakMap(value) ||
    types.isWeakSet(value) ||
    value instanceof WeakRef
  )
}

/** Gives back the sign to the zeros of a decoded value that have these numbers. */
export function restoreNegativeZeros(value: object, negativeZeros: Iterable<number>): void {
  new Restoration(negativeZeros).object(value)
}

class Restoration {
  readonly #negative: ReadonlySet<number>
  #zeros = 0

  constructor(negativeZeros: Iterable<number>) {
    this.#negative = new Set(negativeZeros)
  }

  object(value: object): void {
    if (Array.isArray(value)) {
      for (let i = 0; i < value.length; i++) if (this.#isNegative(value[i])) value[i] = -0
    } else if (value instanceof Map) {
      for (const [key, mapped] of value) {
        this.#isNegative(key)
        if (this.#isNegative(mapped)) value.set(key, -0)
      }
    } else if (value instanceof Set) {
      for (const item of value) this.#isNegative(item)
    } else if (!isLeaf(value)) {
      const fields = value as Record<string, unknown>
      for (const name of Object.keys(fields)) if (this.#isNegative(fields[name])) fields[name] = -0
    }
  }

  /** Whether it is a zero to be replaced; anything else is walked. */
  #isNegative(value: unknown): boolean {
    if (value === 0) return this.#negative.has(this.#zeros++)
    if (typeof value === 'object' && value !== null) this.object(value)
    return false
  }
}
