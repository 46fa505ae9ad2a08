import { Buffer } from 'node:buffer'
import { isDeepStrictEqual } from 'node:util'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { StateBackendError } from '../../src/errors.js'
import { MsgpackSerializer } from '../../src/record/type-serializer.js'

const serializer = new MsgpackSerializer<unknown>()

/** A copy, as a store makes one. */
const bytesOf = (value: unknown): Buffer => Buffer.from(serializer.serialize(value))
const roundTrip = (value: unknown): unknown => serializer.deserialize(bytesOf(value))

function codeOf(call: () => unknown): string | undefined {
  try {
    call()
  } catch (error) {
    if (error instanceof StateBackendError) return error.code
    throw error
  }
  return undefined
}

class Counts extends Map<string, number> {}
class Samples extends Float64Array {}

function* naturals(): Generator<number> {
  for (let number = 0; ; number++) yield number
}

/** Everything that is promised to come back, nested: plain objects, arrays, maps, sets and what is in them. */
const values: fc.Arbitrary<unknown> = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    fc.double(),
    fc.constantFrom(0, -0, NaN, Infinity, -Infinity, 2 ** 53, -(2 ** 31), 2 ** 32),
    fc.integer(),
    fc.bigInt(),
    fc.boolean(),
    fc.constantFrom(null, undefined),
    fc.string({ unit: 'binary', maxLength: 40 }).filter((text) => text.isWellFormed()),
    fc.date({ noInvalidDate: true }),
    fc.uint8Array({ maxLength: 20 }),
    fc.float64Array({ maxLength: 4 }),
    fc.array(tie('value'), { maxLength: 6 }),
    fc.dictionary(
      fc.string({ maxLength: 8 }).filter((name) => name !== '__proto__'),
      tie('value'),
      { maxKeys: 6, noNullPrototype: true },
    ),
    fc.array(fc.tuple(tie('value'), tie('value')), { maxLength: 5 }).map((pairs) => new Map(pairs)),
    fc.array(tie('value'), { maxLength: 5 }).map((items) => new Set(items)),
  ),
}))['value']

describe('MsgpackSerializer', () => {
  it('I1: gives back what was serialized, exactly', () => {
    fc.assert(
      fc.property(values, (value) => {
        fc.pre(value !== undefined)
        expect(isDeepStrictEqual(roundTrip(value), value)).toBe(true)
      }),
      { numRuns: 3000 },
    )
  })

  const exact: [string, unknown][] = [
    ['an object of 1,000 fields', Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [`f${i}`, i]))], // prettier-ignore
    ['300 objects of as many shapes', Array.from({ length: 300 }, (_, i) => ({ [`f${i}`]: i, b: i }))], // prettier-ignore
    ['objects of one shape', Array.from({ length: 300 }, (_, i) => ({ a: i, b: -0 }))],
    [
      'fields with odd names',
      { '': 1, 'a.b': 2, constructor: 3, hasOwnProperty: 5, 1: 6, '-1': 7 },
    ],
    ['one object twice', [exactDate(), exactDate()]],
    ['the last date there is', [new Date(5), { a: new Date(8.64e15) }]],
    ['a date before 1970', new Date(-1)],
    ['typed arrays', [new Float32Array([1, -0]), new BigInt64Array([1n]), new Uint8Array([1])]],
    ['a Buffer', { bytes: Buffer.from('ab') }],
    ['an ArrayBuffer', new Uint8Array([1, 2]).buffer],
    ['a regular expression', /a+/gi],
    ['an error', new TypeError('text')],
    ['an invalid date', [new Date(NaN)]],
    ['an error with a cause', [-0, new Error('text', { cause: { a: 1 } }), -0]],
    ['a map in a set in a map', new Map([[{ a: 1 }, new Set([new Map([[1n, -0]])])]])],
    ['a map with 0 and -0 as values', new Map([['a', 0], ['b', -0], ['c', 0]])], // prettier-ignore
    ['zeros behind zeros', [0, -0, [0, [-0]], { a: 0, b: { c: -0 } }, new Set([0]), -0]],
    ['a long string', 'é'.repeat(100_000)],
    ['the bytes that begin a value with -0', [Buffer.from([0xc1, 0, 0]), -0]],
  ]
  it.each(exact)('gives back %s', (_, value) => {
    expect(roundTrip(value)).toStrictEqual(value)
  })

  it('keeps -0 apart from 0 at the top', () => {
    expect(Object.is(roundTrip(-0), -0)).toBe(true)
    expect(Object.is(roundTrip(0), 0)).toBe(true)
  })

  it('gives back plain objects for instances of classes, and undefined for holes', () => {
    class Point {
      x = 1
      readonly y = -0
      get sum(): number {
        return this.x + this.y
      }
    }
    expect(roundTrip(new Point())).toStrictEqual({ x: 1, y: -0 })
    expect(roundTrip(Object.assign(Object.create(null) as object, { a: 1 }))).toStrictEqual({
      a: 1,
    })
    const holes: number[] = [1]
    holes[2] = 3
    expect(roundTrip(holes)).toStrictEqual([1, undefined, 3])
  })

  it('I1: what comes back shares no memory with the bytes or with what went in', () => {
    const value = { list: [1], bytes: Buffer.from([1]), array: new Float64Array([1]) }
    const bytes = bytesOf(value)
    const back = serializer.deserialize(bytes) as typeof value
    bytes.fill(0xff)
    value.list.push(2)
    value.bytes[0] = 9
    value.array[0] = 9
    expect(back).toStrictEqual({
      list: [1],
      bytes: Buffer.from([1]),
      array: new Float64Array([1]),
    })
  })

  const circular: unknown[] = []
  circular.push({ circular })
  const deep = Array.from({ length: 100_000 }).reduce<unknown>((inner) => [inner], 1)
  const refused: [string, unknown][] = [
    ['undefined', undefined],
    ['a function', () => 1],
    ['a symbol', Symbol('s')],
    ['a lone surrogate', 'a\ud800'],
    ['a function in an array', [() => 1]],
    ['a symbol in a map', new Map([['a', Symbol('s')]])],
    ['a function as a key of a map', new Map([[() => 1, 1]])],
    ['a lone surrogate in a set', new Set(['\udc00'])],
    ['a lone surrogate as a field', { a: { '\ud800': 1 } }],
    ['a field named __proto__', JSON.parse('{"a":{"__proto__":1}}')],
    ['a circular array', circular],
    ['nesting without end', deep],
    ['a promise', { later: Promise.resolve(1) }],
    ['a weak map', [new WeakMap()]],
    ['a boxed number', { boxed: Object(1) as unknown }],
    ['a URL, which would come back as a string', { url: new URL('http://localhost/') }],
    ['an instance of a subclass of Map', { counts: new Counts([['a', 1]]) }],
    ['an instance of a subclass of a typed array', [new Samples([1, 2])]],
    ['a shared buffer', [new SharedArrayBuffer(2)]],
    ['a generator', { ids: naturals() }],
    ['an iterator of a map', [new Map([[1, 2]]).entries()]],
    ['a lone surrogate in an error', [new Error('\ud800')]],
    ['a subclass of Map as the cause of an error', new Error('text', { cause: new Counts() })],
    ['-0 in the cause of an error', new Error('text', { cause: [-0] })],
    ['an error of several, which would lose its message', new AggregateError([1], 'text')],
    ...[
      'new Map([[1, 2]])',
      'new Set([1])',
      'new Date(5)',
      'new Uint8Array(2)',
      '/a/',
      'Error(1)',
    ].map((code): [string, unknown] => [`another realm's ${code}`, { a: runInNewContext(code) }]),
  ]
  it('I2: refuses a field named __keys__, which would spoil the values after it', () => {
    const own = new MsgpackSerializer<unknown>()
    const code = codeOf(() => own.serialize([{ __keys__: 0 }]))
    expect(own.deserialize(Buffer.from(own.serialize({})))).toStrictEqual({})
    expect(code).toBe('VALUE_NOT_ENCODABLE')
  })

  it.each(refused)('I2: refuses %s, and works on', (_, value) => {
    expect(codeOf(() => serializer.serialize(value))).toBe('VALUE_NOT_ENCODABLE')
    expect(roundTrip({ a: [1, -0] })).toStrictEqual({ a: [1, -0] })
  })

  it('I2: whatever it is given, it refuses or gives back something equal to a structured copy', () => {
    const anything = fc.anything({
      withBigInt: true,
      withDate: true,
      withMap: true,
      withSet: true,
      withTypedArray: true,
      withNullPrototype: false,
      withBoxedValues: true,
      withSparseArray: false,
      stringUnit: 'binary',
    })
    fc.assert(
      fc.property(anything, (value) => {
        let bytes: Buffer
        try {
          bytes = bytesOf(value)
        } catch (error) {
          expect(error).toMatchObject({ code: 'VALUE_NOT_ENCODABLE' })
          return
        }
        const copy = structuredClone(value)
        // To Node no invalid date equals another.
        fc.pre(isDeepStrictEqual(copy, structuredClone(value)))
        expect(isDeepStrictEqual(serializer.deserialize(bytes), copy)).toBe(true)
      }),
      { numRuns: 3000 },
    )
  })

  it('cut or altered bytes are VALUE_DAMAGED or another value, never another error', () => {
    const bytes = bytesOf({ a: [0, -0, 'text', new Map([[1, new Date(5)]])], b: -0, c: 2n ** 70n })
    const attempts: Buffer[] = []
    for (let at = 0; at < bytes.length; at++) {
      attempts.push(bytes.subarray(0, at))
      for (const flip of [0x01, 0x80, 0xff]) {
        const altered = Buffer.from(bytes)
        altered[at] = (altered[at] ?? 0) ^ flip
        attempts.push(altered)
      }
    }
    for (const attempt of attempts) {
      const code = codeOf(() => serializer.deserialize(attempt))
      expect([undefined, 'VALUE_DAMAGED']).toContain(code)
    }
    expect(codeOf(() => serializer.deserialize(bytes.subarray(0, bytes.length - 1)))).toBe(
      'VALUE_DAMAGED',
    )
  })

  it('the bytes of a value are frozen: they are on disk', () => {
    expect(bytesOf(-0).toString('hex')).toBe('cb8000000000000000')
    expect(bytesOf({ a: 1 }).toString('hex')).toBe('d4724091a16101')
    expect(bytesOf([0, -0]).toString('hex')).toBe('c1000000039200009101')
    expect(bytesOf(new Map([['a', null]])).toString('hex')).toBe('81a161c0')
  })
})

function exactDate(): Date {
  return new Date(1_234_567_890_123)
}
