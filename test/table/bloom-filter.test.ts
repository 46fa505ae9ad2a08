import { Buffer } from 'node:buffer'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { bloomHash, FilterBlockBuilder, FilterBlockReader } from '../../src/table/bloom-filter.js'

function keyOf(index: number): Buffer {
  return Buffer.from(`key-${index}`)
}

describe('bloom filters', () => {
  it('hash as LevelDB does: the vectors of its hash_test.cc', () => {
    expect(bloomHash(Buffer.alloc(0))).toBe(0xbc9f_1d34)
    expect(bloomHash(Buffer.from([0x62]))).toBe(0xef13_45c4)
    expect(bloomHash(Buffer.from([0xc3, 0x97]))).toBe(0x5b66_3814)
    expect(bloomHash(Buffer.from([0xe2, 0x99, 0xa5]))).toBe(0x323c_078f)
    expect(bloomHash(Buffer.from([0xe1, 0x80, 0xb9, 0x32]))).toBe(0xed21_633a)
  })

  it('F1: never say no to a key of their block, wherever blocks start', () => {
    const blocks = fc.array(
      fc.record({
        sizeBytes: fc.oneof(
          fc.constantFrom(1, 2047, 2048, 2049, 4096, 10_000),
          fc.integer({ min: 1, max: 9000 }),
        ),
        keys: fc.array(fc.uint8Array({ maxLength: 20 }), { minLength: 1, maxLength: 40 }),
      }),
      { maxLength: 12 },
    )
    fc.assert(
      fc.property(blocks, (layout) => {
        const builder = new FilterBlockBuilder()
        let offset = 0
        const placed = layout.map(({ sizeBytes, keys }) => {
          const at = offset
          for (const key of keys) builder.addKey(bloomHash(key))
          offset += sizeBytes
          builder.startBlock(offset)
          return { at, keys }
        })
        const reader = new FilterBlockReader(builder.finish())
        for (const { at, keys } of placed) {
          for (const key of keys) expect(reader.mayContain(at, bloomHash(key))).toBe(true)
        }
      }),
    )
  })

  it('reject at least 97 of 100 absent keys at any size from 1 to 2000 keys', () => {
    for (const count of [1, 6, 7, 100, 2000]) {
      const builder = new FilterBlockBuilder()
      for (let index = 0; index < count; index++) builder.addKey(bloomHash(keyOf(index)))
      const reader = new FilterBlockReader(builder.finish())
      let passed = 0
      for (let index = 0; index < 10_000; index++) {
        if (reader.mayContain(0, bloomHash(keyOf(1_000_000 + index)))) passed++
      }
      expect(passed, `${count} keys`).toBeLessThan(300)
    }
  })

  it('say no for a window in which no block starts, and maybe beyond the last one', () => {
    const builder = new FilterBlockBuilder()
    builder.addKey(bloomHash(keyOf(1)))
    builder.startBlock(3 * 2048)
    builder.addKey(bloomHash(keyOf(2)))
    const reader = new FilterBlockReader(builder.finish())
    expect(reader.mayContain(2048, bloomHash(keyOf(1)))).toBe(false)
    expect(reader.mayContain(3 * 2048, bloomHash(keyOf(2)))).toBe(true)
    expect(reader.mayContain(4 * 2048, bloomHash(keyOf(3)))).toBe(true)
  })
})
