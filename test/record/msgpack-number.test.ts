import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ByteWriter } from '../../src/common/bytes.js'
import { readMsgpackNumber, writeMsgpackNumber } from '../../src/record/msgpack-number.js'
import { MsgpackSerializer } from '../../src/record/type-serializer.js'

const serializer = new MsgpackSerializer<unknown>()

function written(value: number): Buffer {
  const out = new ByteWriter()
  writeMsgpackNumber(value, out)
  return out.copy()
}

const edges = [
  0, 1, 0x1f, 0x20, 0x3f, 0x40, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 0xffff, 0x1_0000,
]
const numbers = fc.oneof(
  fc.double(),
  fc.integer(),
  fc.maxSafeInteger(),
  fc.constantFrom(...edges, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 53, 0.5, Infinity),
)

describe('msgpack numbers', () => {
  it('come back exactly, minus zero and NaN included', () => {
    fc.assert(
      fc.property(numbers, (value) => {
        for (const signed of [value, -value]) {
          expect(Object.is(readMsgpackNumber(written(signed)), signed)).toBe(true)
        }
      }),
    )
    expect(readMsgpackNumber(written(Number.NaN))).toBeNaN()
  })

  it('are the bytes of the general serializer, both ways', () => {
    fc.assert(
      fc.property(numbers, (value) => {
        for (const signed of [value, -value]) {
          expect(written(signed)).toEqual(Buffer.from(serializer.serialize(signed)))
          expect(Object.is(serializer.deserialize(written(signed)), signed)).toBe(true)
        }
      }),
    )
  })

  it('are told from everything else', () => {
    const others = ['', 'a', true, false, null, {}, { a: 1 }, [], [1], 1n, new Date(0), new Map()]
    for (const other of others) {
      expect(readMsgpackNumber(Buffer.from(serializer.serialize(other)))).toBeUndefined()
    }
  })
})
