/** Clips against the entries they must hold, and against each other. */
import { Buffer } from 'node:buffer'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { BlockBuilder } from '../../src/table/block.js'
import { FILTER_WINDOW_BYTES } from '../../src/table/bloom-filter.js'
import { userKeyOf } from '../../src/table/internal-key.js'
import { encodeMetaindex } from '../../src/table/metaindex.js'
import {
  BLOCK_TRAILER_BYTES,
  encodeFooter,
  endOf,
  sealBlock,
} from '../../src/table/table-format.js'
import {
  clip,
  entriesInRange,
  intersection,
  withBlocks,
  keysOf,
  expectClip,
  rangeOf,
  numbered,
  key,
  handleBytes,
} from './clip-fixtures.js'
import {
  deletion,
  encodeTable,
  expectEntries,
  noise,
  put,
  readEntries,
  sortEntries,
  temporaryDirectory,
  withTable,
} from './fixtures.js'

/** How many of the odd keys in [2 * from, 2 * to) may be in the table, of 1. */
function maybeRate(path: string, from: number, to: number): number {
  return withTable(path, (table) => {
    let maybe = 0
    for (let index = from; index < to; index++) if (table.mayContain(key(index * 2 + 1))) maybe++
    return maybe / (to - from)
  })
}

/** Everything of a table but its data blocks: gaps, filter, index and footer. */
function overheadOf(path: string): number {
  return withBlocks(path, (blocks) =>
    blocks.index.reduce((rest, { size }) => rest - size - BLOCK_TRAILER_BYTES, blocks.sizeBytes),
  )
}

const userKeys = fc.oneof(
  fc.string({ maxLength: 3 }),
  fc.integer({ min: 0, max: 60 }).map((number) => `key/${String(number).padStart(3, '0')}`),
  fc.constantFrom('', 'a', 'aa', 'key/', 'key/0300', 'long/'.repeat(60), '\u00ff'),
)
const values = fc.oneof(
  fc.constantFrom(0, 1, 20, 20, 200, 200, 1000, 2040, 4096, 5000),
  fc.nat(100),
)
const tables = fc
  .uniqueArray(
    fc.record({
      userKey: userKeys,
      sequence: fc.nat(60),
      valueBytes: fc.option(values),
      compressible: fc.boolean(),
    }),
    { selector: ({ userKey, sequence }) => `${sequence}/${userKey}`, minLength: 1, maxLength: 90 },
  )
  .map((drafts) =>
    sortEntries(
      drafts.map(({ userKey, sequence, valueBytes, compressible }) => {
        if (valueBytes === null) return deletion(userKey, sequence)
        const value = compressible ? Buffer.alloc(valueBytes, 'abc') : noise(valueBytes, sequence)
        return put(userKey, sequence, value)
      }),
    ),
  )
const compressions = fc.constantFrom('none' as const, 'snappy' as const)
const blockSizes = fc.constantFrom(1, 64, 300, 1000, 4096)

const bounds = fc.option(
  userKeys.map((text) => Buffer.from(text)),
  { nil: undefined },
)

const ranges = fc.tuple(bounds, bounds).map(([a, b]) => {
  // Mostly the right way round: an empty range is one case of many.
  const swapped = a !== undefined && b !== undefined && Buffer.compare(a, b) > 0
  return swapped ? rangeOf(b, a) : rangeOf(a, b)
})

/** The tail of a table of ours, with another filter block or none. */
function withFilter(bytes: Buffer, path: string, filterBlock: Buffer | undefined): Buffer {
  writeFileSync(path, bytes)
  const index = new BlockBuilder(1)
  const data = withBlocks(path, (blocks) => {
    const last = blocks.index.at(-1)
    const end = last === undefined ? 0 : endOf(last)
    for (const { key: indexKey, offset, size } of blocks.index) {
      index.add(indexKey, indexKey.length, handleBytes(offset, size))
    }
    return bytes.subarray(0, end)
  })
  const chunks = [data]
  let end = data.length
  const append = (contents: Buffer): { offset: number; size: number } => {
    const stored = sealBlock(contents, 'none')
    const handle = { offset: end, size: stored.length - BLOCK_TRAILER_BYTES }
    chunks.push(stored)
    end += stored.length
    return handle
  }
  const filter = filterBlock === undefined ? undefined : append(filterBlock)
  const metaindex = append(encodeMetaindex(filter))
  chunks.push(encodeFooter(metaindex, append(index.finish())))
  return Buffer.concat(chunks)
}

describe('a clip', () => {
  it('C1, C3, C4: holds exactly the entries in range, and its filters know them', async () => {
    const directory = temporaryDirectory()
    const source = join(directory, 'source.ldb')
    await fc.assert(
      fc.asyncProperty(
        tables,
        compressions,
        blockSizes,
        ranges,
        async (entries, c, size, range) => {
          writeFileSync(
            source,
            encodeTable(entries, { compression: c, blockSizeBytes: size }).bytes,
          )
          const table = await clip(source, join(directory, 'clip.ldb'), range)
          expectClip(table, entriesInRange(entries, range))
        },
      ),
      { numRuns: 100 },
    )
  })

  it('C6: of a clip of a clip is the clip to the intersection, byte for byte, and as small', async () => {
    const directory = temporaryDirectory()
    const paths = ['a', 'b'].map((name) => join(directory, `${name}.ldb`))
    const direct = join(directory, 'direct.ldb')
    const source = join(directory, 'source.ldb')
    const nestedRanges = fc.array(ranges, { minLength: 2, maxLength: 5 })
    await fc.assert(
      fc.asyncProperty(
        tables,
        compressions,
        blockSizes,
        nestedRanges,
        async (entries, compression, blockSizeBytes, allRanges) => {
          writeFileSync(source, encodeTable(entries, { compression, blockSizeBytes }).bytes)
          let from = source
          for (const [depth, range] of allRanges.entries()) {
            const to = paths[depth % 2] ?? ''
            const nested = await clip(from, to, range)
            const whole = intersection(allRanges.slice(0, depth + 1))
            const once = await clip(source, direct, whole)
            expectClip(nested, entriesInRange(entries, whole))
            if (nested === undefined || once === undefined) {
              expect(nested).toBe(once)
              return
            }
            if (compression === 'none') {
              expect(nested.sha256).toBe(once.sha256)
            } else {
              // Only the two cut blocks may be compressed in one and not in the other.
              expect(withBlocks(to, ({ index }) => index.map((block) => block.key))).toEqual(
                withBlocks(direct, ({ index }) => index.map((block) => block.key)),
              )
            }
            from = to
          }
        },
      ),
      { numRuns: 100 },
    )
  })

  it('at every pair of bounds of a table with versions and deletions in every place', async () => {
    const directory = temporaryDirectory()
    const entries = sortEntries(
      Array.from({ length: 6 }, (_, index) => {
        const userKey = `k${index * 2}`
        return [
          put(userKey, 30 + index, noise(120, index)),
          deletion(userKey, 20 + index),
          put(userKey, 10 + index, noise(90, index)),
        ]
      }).flat(),
    )
    const cuts = [undefined, '', ...Array.from({ length: 13 }, (_, index) => `k${index - 1}`), 'z']
    // One entry to a block: every version of a key in a block of its own; all in one; and between.
    for (const blockSizeBytes of [1, 300, 4096]) {
      const source = join(directory, `source-${blockSizeBytes}.ldb`)
      writeFileSync(source, encodeTable(entries, { blockSizeBytes }).bytes)
      for (const gte of cuts) {
        for (const lt of cuts) {
          const range = rangeOf(
            gte === undefined ? undefined : Buffer.from(gte),
            lt === undefined ? undefined : Buffer.from(lt),
          )
          const table = await clip(source, join(directory, 'clip.ldb'), range)
          expectClip(table, entriesInRange(entries, range))
        }
      }
    }
  })

  it('C5: to everything has the data blocks of its source where they were', async () => {
    const directory = temporaryDirectory()
    const source = join(directory, 'source.ldb')
    const target = join(directory, 'clip.ldb')
    for (const blockSizeBytes of [100, 1000, 4096]) {
      const { bytes } = encodeTable(numbered(400, 60), { blockSizeBytes })
      writeFileSync(source, bytes)
      for (const range of [{}, { gte: key(0), lt: key(400) }]) {
        await clip(source, target, range)
        const handles = (path: string): string[] =>
          withBlocks(path, ({ index }) => index.map(({ offset, size }) => `${offset}/${size}`))
        expect(handles(target)).toEqual(handles(source))
        const dataEnd = withBlocks(source, ({ index }) =>
          endOf(index.at(-1) ?? { offset: 0, size: 0 }),
        )
        expect(readFileSync(target).subarray(0, dataEnd).equals(bytes.subarray(0, dataEnd))).toBe(
          true,
        )
      }
    }
  })

  it('C5: at the boundaries of blocks copies whole blocks only', async () => {
    const directory = temporaryDirectory()
    const source = join(directory, 'source.ldb')
    const target = join(directory, 'clip.ldb')
    const entries = numbered(400, 150)
    writeFileSync(source, encodeTable(entries).bytes)
    const firstKeys = withBlocks(source, (blocks) =>
      blocks.index.map((block) => userKeyOf(keysOf(blocks, block)[0] ?? Buffer.alloc(8))),
    )
    const stored = (path: string): Buffer[] =>
      withBlocks(path, (blocks) => blocks.index.map((block) => blocks.readStored([block])))
    const blocks = stored(source)
    expect(blocks.length).toBeGreaterThan(10)
    for (const [from, to] of [
      [0, 3],
      [1, 2],
      [2, 9],
      [5, blocks.length],
      [0, blocks.length],
    ] as const) {
      const range = rangeOf(firstKeys[from], firstKeys[to])
      expectClip(await clip(source, target, range), entriesInRange(entries, range))
      const copies = stored(target)
      expect(copies.length).toBe(to - from)
      expect(Buffer.concat(copies).equals(Buffer.concat(blocks.slice(from, to)))).toBe(true)
    }
  })

  it('C7: has less than 3 windows beside its blocks, two of them encoded, however often it is cut', async () => {
    const directory = temporaryDirectory()
    const count = 3000
    const entries = numbered(count, 100)
    for (const [name, options] of [
      ['none', { compression: 'none' }],
      ['small', { compression: 'none', blockSizeBytes: 500 }],
      ['snappy', { compression: 'snappy' }],
    ] as const) {
      let source = join(directory, `${name}.ldb`)
      const { bytes } = encodeTable(entries, options)
      writeFileSync(source, bytes)
      const sourceOverhead = overheadOf(source)
      for (let depth = 1; depth <= 12; depth++) {
        const [low, high] = [depth * 7, count - depth * 11]
        const target = join(directory, `${name}-${depth}.ldb`)
        const table = await clip(source, target, { gte: key(low), lt: key(high) })
        expect(overheadOf(target)).toBeLessThan(sourceOverhead + 3 * FILTER_WINDOW_BYTES)
        const blockBytes = (table?.sizeBytes ?? 0) - overheadOf(target)
        // The noise in the values makes all entries the same size, so a part of them is that part of the bytes, to a block.
        expect(blockBytes).toBeLessThan(((high - low) / count) * bytes.length + 2 * 4200)
        source = target
      }
      expectEntries(readEntries(source), entries.slice(12 * 7, count - 12 * 11))
    }
  })

  it('C3: rejects absent keys as often as its source does, also a clip of clips', async () => {
    const directory = temporaryDirectory()
    const count = 12_000
    const [from, to] = [1000, count - 1000]
    const present = Array.from({ length: count }, (_, index) => put(key(index * 2), index, 'value'))
    for (const blockSizeBytes of [200, 4096]) {
      let source = join(directory, `${blockSizeBytes}.ldb`)
      writeFileSync(source, encodeTable(present, { blockSizeBytes }).bytes)
      const before = maybeRate(source, from, to)
      expect(before).toBeLessThan(0.02)
      for (let depth = 1; depth <= 5; depth++) {
        const target = join(directory, `${blockSizeBytes}-${depth}.ldb`)
        // Odd bounds cut blocks; the last leave only what is asked for.
        const margin = 2 * from - (5 - depth) * 300
        await clip(source, target, { gte: key(margin), lt: key(2 * count - margin) })
        expect(Math.abs(maybeRate(target, from, to) - before)).toBeLessThan(0.002)
        source = target
      }
    }
  })

  it('of a table without a filter has none', async () => {
    const directory = temporaryDirectory()
    let source = join(directory, 'source.ldb')
    const entries = numbered(300, 100)
    writeFileSync(source, withFilter(encodeTable(entries).bytes, source, undefined))
    for (const [low, high] of [
      [10, 290],
      [11, 200],
    ] as const) {
      const target = join(directory, `${low}.ldb`)
      const table = await clip(source, target, { gte: key(low), lt: key(high) })
      expectClip(table, entries.slice(low, high))
      expect(withBlocks(target, (blocks) => blocks.readFilter(() => true))).toBeUndefined()
      source = target
    }
  })

  it('says "maybe" where the source’s filter block cannot be understood', async () => {
    const directory = temporaryDirectory()
    const entries = numbered(300, 100)
    const { bytes } = encodeTable(entries)
    const source = join(directory, 'source.ldb')
    writeFileSync(source, bytes)
    for (const filterBlock of [
      // No windows at all; windows of another size; offsets in disorder.
      Buffer.from([0, 0, 0, 0, 11]),
      Buffer.concat([Buffer.alloc(4), Buffer.from([0, 0, 0, 0, 12])]),
      Buffer.concat([Buffer.from([1, 6, 9, 9, 9, 9]), Buffer.from([2, 0, 0, 0, 11])]),
    ]) {
      const path = join(directory, 'odd.ldb')
      writeFileSync(path, withFilter(bytes, source, filterBlock))
      const target = join(directory, 'clip.ldb')
      const table = await clip(path, target, { gte: key(40), lt: key(260) })
      expectClip(table, entries.slice(40, 260))
    }
  })

  it('takes values of megabytes, whole and cut beside them', async () => {
    const directory = temporaryDirectory()
    const source = join(directory, 'source.ldb')
    const entries = Array.from({ length: 12 }, (_, index) =>
      put(key(index), index + 1, noise(index % 3 === 0 ? 1_500_000 : 10, index)),
    )
    for (const compression of ['none', 'snappy'] as const) {
      writeFileSync(source, encodeTable(entries, { compression }).bytes)
      for (const [low, high] of [
        [0, 12],
        [1, 9],
        [3, 4],
        [4, 8],
      ] as const) {
        const table = await clip(source, join(directory, 'clip.ldb'), {
          gte: key(low),
          lt: key(high),
        })
        expectClip(table, entries.slice(low, high))
      }
    }
  })
})
