/** What the tests of the clipper share: clips, what they must hold, and tables to cut. */
import { Buffer } from 'node:buffer'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { expect } from 'vitest'
import { Slicer } from '../../src/common/slicer.js'
import { KeyArena } from '../../src/table/block.js'
import { bloomHash, FilterBlockReader } from '../../src/table/bloom-filter.js'
import { compareInternalKeys, encodeInternalKey, userKeyOf } from '../../src/table/internal-key.js'
import { TableBlocks, type IndexEntry } from '../../src/table/table-blocks.js'
import { clipTable, type ClippedTable, type ClipRange } from '../../src/table/table-clipper.js'
import type { TableEntry } from '../../src/table/table-reader.js'
import { SteppingClock } from '../support/stepping-clock.js'
import { expectEntries, noise, put, readEntries } from './fixtures.js'

export const unhurried = { slicer: new Slicer(new SteppingClock()) }

/** A clip whose file is new, or no clip and no file. */
export async function clip(
  source: string,
  target: string,
  range: ClipRange,
): Promise<ClippedTable | undefined> {
  rmSync(target, { force: true })
  const table = await clipTable(source, target, range, unhurried)
  expect(existsSync(target)).toBe(table !== undefined)
  return table
}

export function entriesInRange(
  entries: readonly TableEntry[],
  { gte, lt }: ClipRange,
): TableEntry[] {
  return entries.filter(
    ({ userKey }) =>
      (gte === undefined || Buffer.compare(userKey, gte) >= 0) &&
      (lt === undefined || Buffer.compare(userKey, lt) < 0),
  )
}

export function intersection(ranges: readonly ClipRange[]): ClipRange {
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
export function withBlocks<T>(path: string, use: (blocks: TableBlocks) => T): T {
  const blocks = TableBlocks.open(path, true)
  try {
    return use(blocks)
  } finally {
    blocks.close()
  }
}

/** Internal keys of a block, its checksum checked. */
export function keysOf(blocks: TableBlocks, block: IndexEntry): Buffer[] {
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
export function expectClip(table: ClippedTable | undefined, expected: readonly TableEntry[]): void {
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

export function rangeOf(gte: Buffer | undefined, lt: Buffer | undefined): ClipRange {
  return { ...(gte === undefined ? {} : { gte }), ...(lt === undefined ? {} : { lt }) }
}

/** `count` keys in order, a version each; `key` of the same numbers. */
export function numbered(count: number, valueBytes: number): TableEntry[] {
  return Array.from({ length: count }, (_, index) =>
    put(key(index), index + 1, noise(valueBytes, index)),
  )
}

export function key(index: number): Buffer {
  return Buffer.from(`key-${String(index).padStart(6, '0')}`)
}

export function handleBytes(offset: number, size: number): Buffer {
  const bytes: number[] = []
  for (let rest of [offset, size]) {
    for (; rest >= 0x80; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80)
    bytes.push(rest)
  }
  return Buffer.from(bytes)
}
