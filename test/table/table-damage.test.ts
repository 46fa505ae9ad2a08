/** R1: a damaged table gives what was written, or TABLE_DAMAGED with file and offset; nothing else, whatever the damage. */
import { Buffer } from 'node:buffer'
import { readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { StateBackendError } from '../../src/errors.js'
import { ByteWriter } from '../../src/common/bytes.js'
import { BlockBuilder } from '../../src/table/block.js'
import { encodeFooter, sealBlock, writeHandle } from '../../src/table/table-format.js'
import { TableReader, type TableEntry } from '../../src/table/table-reader.js'
import {
  deletion,
  encodeTable,
  expectDamage,
  expectEntries,
  expectEntry,
  noise,
  put,
  sortEntries,
  temporaryDirectory,
  withTable,
} from './fixtures.js'

const entries = sortEntries([
  ...Array.from({ length: 24 }, (_, index) =>
    put(`key-${index}`, index + 1, `value of ${index % 7}`),
  ),
  ...Array.from({ length: 5 }, (_, index) => deletion(`key-${index * 3}`, 100 + index)),
  put('noise', 200, noise(100, 1)),
])

/** Everything a reader can be asked, at once. */
function readAll(path: string): void {
  withTable(path, (table) => {
    expectEntries([...table.entries()], entries)
    for (const entry of entries) {
      const newest = entries.find((other) => other.userKey.equals(entry.userKey))
      expect(table.mayContain(entry.userKey)).toBe(true)
      expectEntry(table.get(entry.userKey), newest)
    }
    expect(table.get(Buffer.from('absent'))).toBeUndefined()
  })
}

/** True when the read was refused as it should be; throws when it gave anything else than the entries. */
function isRefused(path: string): boolean {
  try {
    readAll(path)
    return false
  } catch (error) {
    if (!(error instanceof StateBackendError)) throw error
    expect(error.code).toBe('TABLE_DAMAGED')
    expect(error.details['file']).toBe(path)
    expect(error.details['offset']).toBeGreaterThanOrEqual(0)
    return true
  }
}

describe.each(['none', 'snappy'] as const)('a damaged table, compression %s', (compression) => {
  const { bytes } = encodeTable(entries, { compression, blockSizeBytes: 256 })

  it('is refused or unharmed, whichever byte is flipped', () => {
    const path = join(temporaryDirectory(), '000001.ldb')
    let refused = 0
    for (let at = 0; at < bytes.length; at++) {
      for (const mask of [0x01, 0x80]) {
        const flipped = Buffer.from(bytes)
        flipped[at] = flipped.readUInt8(at) ^ mask
        writeFileSync(path, flipped)
        if (isRefused(path)) refused++
      }
    }
    // Only the footer's padding is unused.
    expect(refused).toBeGreaterThan(2 * (bytes.length - 40))
  })

  it('is refused wherever it is cut', () => {
    const path = join(temporaryDirectory(), '000001.ldb')
    writeFileSync(path, bytes)
    for (let length = bytes.length - 1; length >= 0; length--) {
      truncateSync(path, length)
      expect(isRefused(path), `cut at ${length}`).toBe(true)
    }
  })

  it('is refused when bytes are missing or doubled in the middle', () => {
    const path = join(temporaryDirectory(), '000001.ldb')
    for (let at = 0; at < bytes.length; at += 7) {
      writeFileSync(path, Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1)]))
      expect(isRefused(path)).toBe(true)
      writeFileSync(path, Buffer.concat([bytes.subarray(0, at + 1), bytes.subarray(at)]))
      expect(isRefused(path)).toBe(true)
    }
  })
})

it('without checksums, damage still gives entries or TABLE_DAMAGED, never another error or an endless loop', () => {
  const path = join(temporaryDirectory(), '000001.ldb')
  fc.assert(
    fc.property(
      fc.constantFrom('none' as const, 'snappy' as const),
      fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 }),
      (compression, flips) => {
        const bytes = encodeTable(entries, { compression, blockSizeBytes: 256 }).bytes
        for (const [at, value] of flips) bytes[at % bytes.length] = value
        writeFileSync(path, bytes)
        const read: TableEntry[] = []
        try {
          const table = TableReader.open(path, { verifyChecksums: false })
          try {
            for (const entry of table.entries()) read.push(entry)
            for (const { userKey } of entries) table.get(userKey)
          } finally {
            table.close()
          }
        } catch (error) {
          expect(error).toMatchObject({ code: 'TABLE_DAMAGED' })
        }
        expect(read.length).toBeLessThan(bytes.length)
      },
    ),
    { numRuns: 1000 },
  )
})

/** A well-sealed table with these index entries, over one good data block per handle given. */
function tableWith(
  index: readonly [key: Buffer, offset: number, size: number][],
  data: Buffer,
): Buffer {
  const handle = (offset: number, size: number): Buffer => {
    const writer = new ByteWriter()
    writeHandle(writer, { offset, size })
    return writer.copy()
  }
  const metaindex = sealBlock(new BlockBuilder(16).finish(), 'none')
  const builder = new BlockBuilder(1)
  for (const [key, offset, size] of index) builder.add(key, key.length, handle(offset, size))
  const indexBlock = sealBlock(builder.finish(), 'none')
  const indexOffset = data.length + metaindex.length
  const footer = encodeFooter(
    { offset: data.length, size: metaindex.length - 5 },
    { offset: indexOffset, size: indexBlock.length - 5 },
  )
  return Buffer.concat([data, metaindex, indexBlock, footer])
}

describe('a table with right checksums and a wrong structure', () => {
  const key = (userKey: string): Buffer =>
    Buffer.concat([Buffer.from(userKey), Buffer.from([1, 5, 0, 0, 0, 0, 0, 0])])
  const block = (...keys: Buffer[]): Buffer => {
    const builder = new BlockBuilder(16)
    for (const each of keys) builder.add(each, each.length, Buffer.from('v'))
    return sealBlock(Buffer.from(builder.finish()), 'none')
  }
  const one = block(key('a'), key('b'))
  const size = one.length - 5
  const empty = sealBlock(new BlockBuilder(16).finish(), 'none')
  const unknownType = key('a')
  unknownType[1] = 7
  const hugeSequence = key('a')
  hugeSequence[8] = 0x20

  it('reads when it is right: without a filter, and with unused bytes between blocks', () => {
    const path = join(temporaryDirectory(), '000001.ldb')
    const other = block(key('c'))
    const gap = Buffer.concat([one, Buffer.alloc(9), other])
    writeFileSync(
      path,
      tableWith(
        [
          [key('b'), 0, size],
          [key('c'), one.length + 9, other.length - 5],
        ],
        gap,
      ),
    )
    withTable(path, (table) => {
      expect([...table.entries()].map((entry) => entry.userKey.toString())).toEqual(['a', 'b', 'c'])
      expect(table.mayContain(Buffer.from('aa'))).toBe(true)
      expect(table.get(Buffer.from('aa'))).toBeUndefined()
    })
  })

  it.each<[string, Buffer]>([
    ['a handle beyond the file', tableWith([[key('b'), 0, 2 ** 40]], one)],
    ['a handle into the metaindex', tableWith([[key('b'), 1, size]], one)],
    [
      'the same block twice',
      tableWith(
        [
          [key('b'), 0, size],
          [key('c'), 0, size],
        ],
        one,
      ),
    ],
    [
      'index keys out of order',
      tableWith(
        [
          [key('b'), 0, size],
          [key('a'), one.length, size],
        ],
        Buffer.concat([one, one]),
      ),
    ],
    ['an index key that is no internal key', tableWith([[Buffer.from('b'), 0, size]], one)],
    ['a block that ends after its index key', tableWith([[key('a'), 0, size]], one)],
    [
      'a block that starts before its place',
      tableWith(
        [
          [key('b'), 0, size],
          [key('c'), one.length, size],
        ],
        Buffer.concat([one, one]),
      ),
    ],
    ['a block without entries', tableWith([[key('b'), 0, empty.length - 5]], empty)],
    [
      'a key that is no internal key',
      tableWith(
        [[key('b'), 0, block(Buffer.from('short')).length - 5]],
        block(Buffer.from('short')),
      ),
    ],
    [
      'an unknown value type',
      tableWith([[key('b'), 0, block(unknownType).length - 5]], block(unknownType)),
    ],
    [
      'a sequence beyond 2^53 - 1',
      tableWith([[key('b'), 0, block(hugeSequence).length - 5]], block(hugeSequence)),
    ],
  ])('refuses %s', (_, bytes) => {
    const path = join(temporaryDirectory(), '000001.ldb')
    writeFileSync(path, bytes)
    expectDamage(() => withTable(path, (table) => [...table.entries()]), 'TABLE_DAMAGED', path)
  })

  it('refuses a compressed block that claims an absurd length, without allocating it', () => {
    const path = join(temporaryDirectory(), '000001.ldb')
    // 0xffffffff as a varint, then two bytes that are no snappy stream of that length.
    const stored = sealBlock(Buffer.from([0xff, 0xff, 0xff, 0xff, 0x0f, 1, 2]), 'none')
    stored[7] = 1
    const bytes = tableWith([[key('b'), 0, 7]], stored)
    writeFileSync(path, bytes)
    expect(readFileSync(path).length).toBe(bytes.length)
    const table = TableReader.open(path, { verifyChecksums: false })
    expectDamage(() => [...table.entries()], 'TABLE_DAMAGED', path)
    table.close()
  })
})

describe('a table that is not there', () => {
  it('is STORE_FAILED with the path', () => {
    const path = join(temporaryDirectory(), 'absent.ldb')
    expect(() => TableReader.open(path)).toThrow(
      expect.objectContaining({ code: 'STORE_FAILED', details: { path, errno: 'ENOENT' } }),
    )
  })

  it('is a bug to read after close, which may be called twice', () => {
    const path = join(temporaryDirectory(), '000001.ldb')
    writeFileSync(path, encodeTable(entries).bytes)
    const table = TableReader.open(path)
    table.close()
    table.close()
    expect(() => [...table.entries()]).toThrow(
      expect.objectContaining({ code: 'INVARIANT_BROKEN' }),
    )
  })
})
