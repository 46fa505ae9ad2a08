import { Buffer } from 'node:buffer'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ByteReader, ByteReaderError, ByteWriter } from '../../src/common/bytes.js'

const varints = fc.oneof(
  fc.integer({ min: 0, max: 300 }),
  fc.maxSafeNat(),
  ...[7, 14, 21, 28, 31, 32, 35, 42, 49, 52].map((bits) =>
    fc.constantFrom(2 ** bits - 1, 2 ** bits, 2 ** bits + 1),
  ),
)

describe('ByteWriter and ByteReader', () => {
  it('read back what was written, whatever the capacity', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 20 }),
        varints,
        fc.uint8Array({ maxLength: 400 }),
        fc.nat(0xff),
        fc.nat(0xffff),
        fc.nat(0xffff_ffff),
        (capacity, varint, raw, u8, u16, u32) => {
          const out = new ByteWriter(capacity)
          out.writeVarint(varint)
          out.writeLengthPrefixed(raw)
          out.writeUint8(u8)
          out.writeUint16BigEndian(u16)
          out.writeUint32BigEndian(u32)
          out.writeUint32LittleEndian(u32)
          out.writeBytes(raw)
          const from = new ByteReader(out.copy())
          expect(from.readVarint()).toBe(varint)
          expect(Buffer.compare(from.readLengthPrefixed(), raw)).toBe(0)
          expect(from.readUint8()).toBe(u8)
          expect(from.readUint16BigEndian()).toBe(u16)
          expect(from.readUint32BigEndian()).toBe(u32)
          expect(from.readUint32LittleEndian()).toBe(u32)
          expect(Buffer.compare(from.readBytes(raw.length), raw)).toBe(0)
          expect(from.remaining).toBe(0)
        },
      ),
    )
  })

  it.each([
    [0, [0]],
    [127, [127]],
    [128, [0x80, 1]],
    [300, [0xac, 2]],
    [2 ** 31, [0x80, 0x80, 0x80, 0x80, 8]],
    [2 ** 32 - 1, [0xff, 0xff, 0xff, 0xff, 15]],
    [2 ** 53 - 1, [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 15]],
  ])('the varint %i is these bytes', (value, expected) => {
    const out = new ByteWriter()
    out.writeVarint(value)
    expect([...out.view()]).toEqual(expected)
  })

  it.each([
    ['beyond 2^53 - 1', [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 16]],
    ['that does not end', Array.from({ length: 12 }, () => 0x80)],
    ['cut short', [0x80, 0x80]],
    ['of no bytes', []],
  ])('a varint %s is an error', (_, given) => {
    const from = new ByteReader(Buffer.from([7, ...given]), 1)
    expect(() => from.readVarint()).toThrow(ByteReaderError)
  })

  it('reads nothing past its end, and stays where it was', () => {
    const from = new ByteReader(Buffer.from([1, 2, 3, 4, 5]), 1, 4)
    expect(() => from.readUint32BigEndian()).toThrow(ByteReaderError)
    expect(from.offset).toBe(1)
    expect([...from.readBytes(3)]).toEqual([2, 3, 4])
    expect(() => from.readUint8()).toThrow(expect.objectContaining({ offset: 4 }) as Error)
    expect(() => from.readBytes(1)).toThrow(ByteReaderError)
    expect(from.readBytes(0)).toHaveLength(0)
  })

  it('a view is shared until the next write, a copy is the caller s own', () => {
    const out = new ByteWriter(2)
    out.writeBytes(Buffer.from([1, 2]))
    const [view, copy] = [out.view(), out.copy()]
    expect(view).toEqual(copy)
    out.reset()
    out.writeUint8(9)
    expect(view[0]).toBe(9)
    expect(copy[0]).toBe(1)
    expect(out.length).toBe(1)
  })

  it('lies inside its bytes', () => {
    const given = Buffer.alloc(3)
    for (const [offset, end] of [
      [-1, 3],
      [2, 1],
      [0, 4],
    ] as const) {
      expect(() => new ByteReader(given, offset, end)).toThrow(
        expect.objectContaining({ code: 'INVARIANT_BROKEN' }) as Error,
      )
    }
  })
})
