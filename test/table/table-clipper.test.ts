/** Clips against the entries they must hold, against each other, and against LevelDB itself. */
import { Buffer } from 'node:buffer'
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { Slicer } from '../../src/common/slicer.js'
import { StateBackendError } from '../../src/errors.js'
import { BlockBuilder, KeyArena } from '../../src/table/block.js'
import { bloomHash, FILTER_WINDOW_BYTES, FilterBlockReader } from '../../src/table/bloom-filter.js'
import { compareInternalKeys, encodeInternalKey, userKeyOf } from '../../src/table/internal-key.js'
import { readManifest, tableFileName, writeManifest } from '../../src/table/manifest.js'
import { encodeMetaindex } from '../../src/table/metaindex.js'
import { TableBlocks, type IndexEntry } from '../../src/table/table-blocks.js'
import { clipTable, type ClippedTable, type ClipRange } from '../../src/table/table-clipper.js'
import {
  BLOCK_TRAILER_BYTES,
  encodeFooter,
  endOf,
  sealBlock,
} from '../../src/table/table-format.js'
import type { TableEntry } from '../../src/table/table-reader.js'
import type { ManifestFile } from '../../src/table/version-edit.js'
import { SteppingClock } from '../support/stepping-clock.js'
import {
  deletion,
  encodeTable,
  expectEntries,
  expectEntry,
  noise,
  numbers,
  put,
  readEntries,
  sortEntries,
  temporaryDirectory,
  withLevel,
  withTable,
} from './fixtures.js'

const unhurried = { slicer: new Slicer(new SteppingClock()) }

/** A clip whose file is new, or no clip and no file. */
async function clip(
  source: string,
  target: string,
  range: ClipRange,
): Promise<ClippedTable | undefined> {
  rmSync(target, { force: true })
  const table = await clipTable(source, target, range, unhurried)
  expect(existsSync(target)).toBe(table !== undefined)
  return table
}

function entriesInRange(entries: readonly TableEntry[], { gte, lt }: ClipRange): TableEntry[] {
  return entries.filter(
    ({ userKey }) =>
      (gte === undefined || Buffer.compare(userKey, gte) >= 0) &&
      (lt === undefined || Buffer.compare(userKey, lt) < 0),
  )
}

function intersection(ranges: readonly ClipRange[]): ClipRange {
  const result: ClipRange = {}
  for (const { gte, lt } of ranges) {
    if (gte !== undefined && (result.gte === undefined || Buffer.compare(gte, result.gte) > 0)) {
      result.gte = gte
    }
    if (lt !== undefined && (result.lt === undefined || Buffer.compare(lt, result.lt) < 0)) {
      result.lt = lt
    }
  }
  return result
}

/** Opens a table's blocks for the length of one call. */
function withBlocks<T>(path: string, use: (blocks: TableBlocks) => T): T {
  const blocks = TableBlocks.open(path, true)
  try {
    return use(blocks)
  } finally {
    blocks.close()
  }
}

/** Internal keys of a block, its checksum checked. */
function keysOf(blocks: TableBlocks, block: IndexEntry): Buffer[] {
  const cursor = blocks.openCursor(block, new KeyArena())
  const keys: Buffer[] = []
  while (cursor.next()) keys.push(cursor.key())
  return keys
}

/** C3, C4: every block has its keys between the index keys around it, and a filter that knows them. */
function expectSoundBlocks(path: string): void {
  withBlocks(path, (blocks) => {
    const filter = blocks.readFilter((contents) => new FilterBlockReader(contents))
    let before: Buffer | undefined
    for (const block of blocks.index) {
      for (const internalKey of keysOf(blocks, block)) {
        const known = filter?.mayContain(block.offset, bloomHash(userKeyOf(internalKey))) ?? true
        const after = before === undefined || compareInternalKeys(before, internalKey) < 0
        const inPlace = after && compareInternalKeys(internalKey, block.key) <= 0
        // One check for many keys: `expect` takes longer than a clip.
        if (!known || !inPlace) expect({ internalKey, known, inPlace }).toBe('a sound block')
      }
      before = block.key
    }
  })
}

/** C1, C3, C4 and what the clip says of itself. */
function expectClip(table: ClippedTable | undefined, expected: readonly TableEntry[]): void {
  const first = expected[0]
  const last = expected.at(-1)
  if (table === undefined || first === undefined || last === undefined) {
    expect(table).toBeUndefined()
    expect(expected).toEqual([])
    return
  }
  const bytes = readFileSync(table.path)
  expect(table).toEqual({
    path: table.path,
    sizeBytes: bytes.length,
    sha256: createHash('sha256').update(bytes).digest('hex'),
    smallest: encodeInternalKey(first.userKey, first.sequence, first.type),
    largest: encodeInternalKey(last.userKey, last.sequence, last.type),
  })
  expectEntries(readEntries(table.path), expected)
  expectSoundBlocks(table.path)
  withBlocks(table.path, (blocks) => expect(blocks.index.at(-1)?.key).toEqual(table.largest))
}

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

function rangeOf(gte: Buffer | undefined, lt: Buffer | undefined): ClipRange {
  return { ...(gte === undefined ? {} : { gte }), ...(lt === undefined ? {} : { lt }) }
}

const ranges = fc.tuple(bounds, bounds).map(([a, b]) => {
  // Mostly the right way round: an empty range is one case of many.
  const swapped = a !== undefined && b !== undefined && Buffer.compare(a, b) > 0
  return swapped ? rangeOf(b, a) : rangeOf(a, b)
})

/** `count` keys in order, a version each; `key` of the same numbers. */
function numbered(count: number, valueBytes: number): TableEntry[] {
  return Array.from({ length: count }, (_, index) =>
    put(key(index), index + 1, noise(valueBytes, index)),
  )
}

function key(index: number): Buffer {
  return Buffer.from(`key-${String(index).padStart(6, '0')}`)
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

function handleBytes(offset: number, size: number): Buffer {
  const bytes: number[] = []
  for (let rest of [offset, size]) {
    for (; rest >= 0x80; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80)
    bytes.push(rest)
  }
  return Buffer.from(bytes)
}

/** Ranges that follow each other and leave nothing out, some of them empty, cut at, behind and between the keys. */
function partition(keys: readonly Buffer[], parts: number, seed: number): ClipRange[] {
  const next = numbers(seed)
  const cuts = Array.from({ length: parts - 1 }, () => {
    const cut = keys[next() % keys.length] ?? Buffer.alloc(0)
    return next() % 2 ? cut : Buffer.concat([cut, Buffer.from([0])])
  }).sort((a, b) => Buffer.compare(a, b))
  return [undefined, ...cuts].map((gte, index) => rangeOf(gte, cuts[index]))
}

/** A clip to the range, by way of a clip to the range with its neighbours. */
async function clipTwice(
  source: string,
  target: string,
  allRanges: readonly ClipRange[],
  part: number,
): Promise<ClippedTable | undefined> {
  const { gte } = allRanges[part - 1] ?? {}
  const { lt } = allRanges[part + 1] ?? {}
  const wider = { ...(gte === undefined ? {} : { gte }), ...(lt === undefined ? {} : { lt }) }
  const between = `${target}.wider`
  const found = await clip(source, between, wider)
  return found === undefined ? undefined : await clip(between, target, allRanges[part] ?? {})
}

describe.each([false, true])('LevelDB, compression %s', (compression) => {
  it('reads the clips of its own tables, side by side in one level, as it read the tables', async () => {
    const original = temporaryDirectory()
    const model = new Map<string, Buffer>()
    await withLevel(
      original,
      async (db) => {
        const next = numbers(compression ? 3 : 4)
        for (let round = 0; round < 8; round++) {
          const batch = db.batch()
          for (let index = 0; index < 500; index++) {
            const userKey = key(next() % 2500)
            if (next() % 6 === 0) {
              batch.del(userKey)
              model.delete(userKey.toString())
            } else {
              const value =
                next() % 2 ? noise(next() % 300, index) : Buffer.alloc(next() % 900, 'ab')
              batch.put(userKey, value)
              model.set(userKey.toString(), value)
            }
          }
          await batch.write()
        }
        await db.compactRange(Buffer.from(''), Buffer.from('z'))
      },
      { compression, writeBufferSize: 128 * 1024, maxFileSize: 2 ** 20 },
    )
    const state = readManifest(original)
    const keys = [...model.keys()].sort()
    const adopted = temporaryDirectory()
    const scratch = temporaryDirectory()
    const files: ManifestFile[] = []
    for (const { level, number: sourceNumber } of state.files) {
      const source = join(original, tableFileName(sourceNumber))
      const allRanges = partition(
        keys.map((text) => Buffer.from(text)),
        9,
        sourceNumber,
      )
      for (const part of allRanges.keys()) {
        const table = await clipTwice(source, join(scratch, 'clip'), allRanges, part)
        if (table === undefined) continue
        const { path, sizeBytes, smallest, largest } = table
        const number = files.length + 1
        renameSync(path, join(adopted, tableFileName(number)))
        files.push({ level, number, sizeBytes, smallest, largest })
      }
    }
    expect(files.length).toBeGreaterThan(5)
    writeManifest(adopted, { lastSequence: state.lastSequence, files })
    await withLevel(adopted, async (db) => {
      const found: string[] = []
      for await (const [userKey, value] of db.iterator()) {
        found.push(userKey.toString())
        expect(value.equals(model.get(userKey.toString()) ?? Buffer.from('none'))).toBe(true)
      }
      expect(found).toEqual(keys)
      for (let index = 0; index < 2500; index++) {
        const value = model.get(key(index).toString())
        expect(db.getSync(key(index))?.toString('hex')).toBe(value?.toString('hex'))
        expect(db.getSync(Buffer.concat([key(index), Buffer.from('x')]))).toBeUndefined()
      }
    })
  })
})

it('LevelDB finds every key of nested clips by getSync, and no key that was cut off', async () => {
  const entries = sortEntries([
    ...numbered(900, 60),
    ...numbered(900, 10).map(({ userKey, sequence }) => put(userKey, sequence + 2000, 'newer')),
    ...numbered(900, 0)
      .filter(({ sequence }) => sequence % 4 === 0)
      .map(({ userKey, sequence }) => deletion(userKey, sequence + 4000)),
  ])
  for (const blockSizeBytes of [150, 4096]) {
    const directory = temporaryDirectory()
    let path = join(directory, 'source.ldb')
    writeFileSync(path, encodeTable(entries, { blockSizeBytes }).bytes)
    for (const [low, high] of [
      [3, 880],
      [40, 800],
      [41, 640],
      [200, 639],
    ] as const) {
      const database = temporaryDirectory()
      const target = join(database, tableFileName(1))
      const table = await clipTable(path, target, { gte: key(low), lt: key(high) }, unhurried)
      if (table === undefined) throw new Error('something is left of it')
      const { sizeBytes, smallest, largest } = table
      path = join(directory, `${low}.ldb`)
      writeFileSync(path, readFileSync(target))
      const files = [{ level: 2, number: 1, sizeBytes, smallest, largest }]
      writeManifest(database, { lastSequence: 5000, files })
      await withLevel(database, async (db) => {
        for (let index = 0; index < 900; index++) {
          const isThere = index >= low && index < high && (index + 1) % 4 !== 0
          expect(db.getSync(key(index))?.toString()).toBe(isThere ? 'newer' : undefined)
        }
      })
    }
  }
})

describe('a clip that fails', () => {
  const entries = numbered(120, 60)

  it.each(['none', 'snappy'] as const)(
    'C2: is TABLE_DAMAGED with file and offset when a kept block is damaged, and leaves no file; compression %s',
    async (compression) => {
      const directory = temporaryDirectory()
      const source = join(directory, 'source.ldb')
      const { bytes } = encodeTable(entries, { compression, blockSizeBytes: 600 })
      writeFileSync(source, bytes)
      const index = withBlocks(source, (blocks) => [...blocks.index])
      const range = { gte: key(25), lt: key(90) }
      const target = join(directory, 'clip.ldb')
      let kept = 0
      for (const [number, block] of index.entries()) {
        const before = index[number - 1]?.key
        const isKept =
          Buffer.compare(userKeyOf(block.key), range.gte) >= 0 &&
          (before === undefined || Buffer.compare(userKeyOf(before), range.lt) < 0)
        if (isKept) kept++
        for (let at = 0; at < block.size + BLOCK_TRAILER_BYTES; at += 97) {
          const damaged = Buffer.from(bytes)
          damaged[block.offset + at] = damaged.readUInt8(block.offset + at) ^ 0x10
          writeFileSync(source, damaged)
          const clipped = clipTable(source, target, range, unhurried)
          if (isKept) {
            await expect(clipped).rejects.toMatchObject({
              code: 'TABLE_DAMAGED',
              details: { file: source, offset: block.offset },
            })
            expect(readdirSync(directory)).toEqual(['source.ldb'])
          } else {
            expectClip(await clipped, entriesInRange(entries, range))
            rmSync(target)
          }
        }
      }
      expect(kept).toBeGreaterThan(5)
      expect(kept).toBeLessThan(index.length)
    },
  )

  it('is TABLE_DAMAGED or right, whichever byte of the rest is flipped', async () => {
    const directory = temporaryDirectory()
    const source = join(directory, 'source.ldb')
    const target = join(directory, 'clip.ldb')
    const few = numbered(30, 20)
    const { bytes } = encodeTable(few, { blockSizeBytes: 200 })
    const range = { gte: key(4), lt: key(25) }
    writeFileSync(source, bytes)
    const dataEnd = withBlocks(source, (blocks) =>
      endOf(blocks.index.at(-1) ?? blocks.indexEntry(0)),
    )
    let refused = 0
    for (let at = dataEnd; at < bytes.length; at++) {
      const damaged = Buffer.from(bytes)
      damaged[at] = damaged.readUInt8(at) ^ 0x81
      writeFileSync(source, damaged)
      try {
        expectClip(await clip(source, target, range), entriesInRange(few, range))
      } catch (error) {
        if (!(error instanceof StateBackendError)) throw error
        expect(error).toMatchObject({ code: 'TABLE_DAMAGED', details: { file: source } })
        expect(existsSync(target)).toBe(false)
        refused++
      }
    }
    // Only the footer's padding is unused.
    expect(refused).toBeGreaterThan(bytes.length - dataEnd - 40)
  })

  it('refuses a block with right checksums whose keys are not where the index says', async () => {
    const directory = temporaryDirectory()
    const source = join(directory, 'source.ldb')
    const one = (text: string): Buffer => encodeInternalKey(Buffer.from(text), 5, 1)
    for (const keys of [
      [one('b'), one('a')],
      [one('a'), one('d')],
      [one('a'), Buffer.from('short')],
      [],
    ]) {
      const builder = new BlockBuilder(16)
      for (const each of keys) builder.add(each, each.length, Buffer.from('v'))
      const data = sealBlock(Buffer.from(builder.finish()), 'none')
      const index = new BlockBuilder(1)
      index.add(one('c'), one('c').length, handleBytes(0, data.length - BLOCK_TRAILER_BYTES))
      const metaindex = sealBlock(encodeMetaindex(undefined), 'none')
      const indexBlock = sealBlock(index.finish(), 'none')
      const footer = encodeFooter(
        { offset: data.length, size: metaindex.length - BLOCK_TRAILER_BYTES },
        { offset: data.length + metaindex.length, size: indexBlock.length - BLOCK_TRAILER_BYTES },
      )
      writeFileSync(source, Buffer.concat([data, metaindex, indexBlock, footer]))
      await expect(
        clipTable(source, join(directory, 'clip.ldb'), {}, unhurried),
      ).rejects.toMatchObject({ code: 'TABLE_DAMAGED', details: { file: source, offset: 0 } })
    }
    expect(readdirSync(directory)).toEqual(['source.ldb'])
  })

  it('is SNAPSHOT_ABORTED and leaves no file when it is aborted, before or at any pause', async () => {
    const directory = temporaryDirectory()
    const source = join(directory, 'source.ldb')
    writeFileSync(source, encodeTable(numbered(4000, 500)).bytes)
    const range = { gte: key(5), lt: key(3990) }
    const clock = new SteppingClock(10)
    await clipTable(source, join(directory, 'whole.ldb'), range, { slicer: new Slicer(clock) })
    rmSync(join(directory, 'whole.ldb'))
    const pauses = clock.turns
    expect(pauses).toBeGreaterThan(5)
    for (let abortAt = 0; abortAt <= pauses; abortAt++) {
      const controller = new AbortController()
      const stopped = new SteppingClock(10)
      stopped.onTurn = () => {
        if (stopped.turns === abortAt) controller.abort()
      }
      if (abortAt === 0) controller.abort()
      const { signal } = controller
      await expect(
        clipTable(source, join(directory, 'clip.ldb'), range, {
          slicer: new Slicer(stopped),
          signal,
        }),
      ).rejects.toMatchObject({ code: 'SNAPSHOT_ABORTED' })
      // Nothing goes on once it is aborted.
      expect(stopped.turns).toBe(abortAt)
      expect(readdirSync(directory)).toEqual(['source.ldb'])
    }
  })

  it('leaves a target alone that exists, and says so', async () => {
    const directory = temporaryDirectory()
    const source = join(directory, 'source.ldb')
    const target = join(directory, 'clip.ldb')
    writeFileSync(source, encodeTable(entries).bytes)
    writeFileSync(target, 'precious')
    await expect(clipTable(source, target, {}, unhurried)).rejects.toMatchObject({
      code: 'STORE_FAILED',
      details: { path: target, errno: 'EEXIST' },
    })
    expect(readFileSync(target, 'utf8')).toBe('precious')
  })

  it('is STORE_FAILED when the source is not there', async () => {
    const directory = temporaryDirectory()
    const source = join(directory, 'source.ldb')
    await expect(
      clipTable(source, join(directory, 'clip.ldb'), {}, unhurried),
    ).rejects.toMatchObject({ code: 'STORE_FAILED', details: { path: source, errno: 'ENOENT' } })
    expect(readdirSync(directory)).toEqual([])
  })

  it.each([
    ['ENOSPC', 'DISK_FULL'],
    ['EIO', 'STORE_FAILED'],
  ] as const)('is %s as %s at whichever write, and leaves no file', async (errno, code) => {
    const directory = temporaryDirectory()
    const source = join(directory, 'source.ldb')
    writeFileSync(source, encodeTable(numbered(2000, 500)).bytes)
    const range = { gte: key(5), lt: key(1990) }
    const handle = await open(source, 'r')
    const prototype: typeof handle = Object.getPrototypeOf(handle)
    await handle.close()
    const spy = vi.spyOn(prototype, 'writeFile')
    onTestFinished(() => spy.mockRestore())
    await clipTable(source, join(directory, 'whole.ldb'), range, unhurried)
    rmSync(join(directory, 'whole.ldb'))
    const writes = spy.mock.calls.length
    expect(writes).toBeGreaterThan(5)
    for (let failing = 0; failing < writes; failing++) {
      spy.mockReset()
      for (let done = 0; done < failing; done++) spy.mockResolvedValueOnce(undefined)
      spy.mockRejectedValueOnce(Object.assign(new Error('the disk says no'), { code: errno }))
      const target = join(directory, 'clip.ldb')
      await expect(clipTable(source, target, range, unhurried)).rejects.toMatchObject({
        code,
        details: { path: target, errno },
      })
      expect(readdirSync(directory)).toEqual(['source.ldb'])
    }
  })
})

it('gives the event loop a turn between pieces, and only pauses when the slice is used up', async () => {
  const directory = temporaryDirectory()
  const source = join(directory, 'source.ldb')
  const entries = numbered(3000, 500)
  writeFileSync(source, encodeTable(entries).bytes)
  const fast = new SteppingClock(0)
  const slow = new SteppingClock(10)
  const range = { gte: key(1) }
  const one = await clipTable(source, join(directory, '1'), range, { slicer: new Slicer(fast) })
  const two = await clipTable(source, join(directory, '2'), range, { slicer: new Slicer(slow) })
  expect(fast.turns).toBe(0)
  expect(slow.turns).toBeGreaterThan(4)
  expect(one?.sha256).toBe(two?.sha256)
  withTable(join(directory, '2'), (table) => {
    expectEntry(table.get(key(2999)), entries[2999])
  })
})
