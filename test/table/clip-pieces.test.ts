/**
 * Copied blocks go through memory that is used again: one piece is read while the one before is being written. These clips are of many
 * pieces, on a disk that is slow, so that a piece that is filled too early is seen in the file.
 */
import type { Buffer } from 'node:buffer'
import { createHash } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { expect, it, onTestFinished, vi } from 'vitest'
import { BLOCK_TRAILER_BYTES } from '../../src/table/table-format.js'
import { clip, expectClip, key, withBlocks } from './clip-fixtures.js'
import { encodeTable, noise, put, temporaryDirectory } from './fixtures.js'

/** More than any piece is to hold. */
const LARGE_BLOCK_BYTES = 3 * 2 ** 20
/** Turns of the event loop between a write's start and the look at its bytes. */
const SLOW_TURNS = 20

/** Every write looks at its bytes only after a while. Returns the sizes of what was written. */
async function slowDownWrites(directory: string): Promise<number[]> {
  const anyFile = await open(directory)
  const prototype: typeof anyFile = Object.getPrototypeOf(anyFile)
  await anyFile.close()
  const sizes: number[] = []
  const real: (chunk: Buffer) => Promise<void> = Reflect.get(prototype, 'writeFile')
  const spy = vi.spyOn(prototype, 'writeFile')
  spy.mockImplementation(async function (this: unknown, chunk) {
    for (let turns = 0; turns < SLOW_TURNS; turns++) await turn()
    sizes.push((chunk as Buffer).length)
    await Reflect.apply(real, this, [chunk])
  })
  onTestFinished(() => spy.mockRestore())
  return sizes
}

/** Entries of which every `largeEvery`-th is a block larger than a piece, of different bytes each. */
function entriesOf(
  count: number,
  valueBytes: number,
  largeEvery: number,
): ReturnType<typeof put>[] {
  return Array.from({ length: count }, (_, index) => {
    const large = index % largeEvery === largeEvery - 1
    return put(key(index), index + 1, noise(large ? LARGE_BLOCK_BYTES : valueBytes, index))
  })
}

it.each([
  ['many pieces in one run', 3500, 1000, Infinity],
  ['a block larger than a piece, after pieces and before them', 2400, 900, 800],
  ['two blocks larger than a piece, side by side', 6, 100, 1],
])('of %s has the bytes of its source, and the digest of its bytes', async (_, ...shape) => {
  const directory = temporaryDirectory()
  const source = join(directory, 'source.ldb')
  const entries = entriesOf(...shape)
  const [count] = shape
  writeFileSync(source, encodeTable(entries).bytes)
  const sizes = await slowDownWrites(directory)
  let from = source
  // A clip of a clip as well: its runs begin elsewhere.
  for (const [low, high] of [
    [1, count - 1],
    [2, count - 2],
  ] as const) {
    const to = join(directory, `${low}.ldb`)
    sizes.length = 0
    const table = await clip(from, to, { gte: key(low), lt: key(high) })
    expectClip(table, entries.slice(low, high))
    const bytes = readFileSync(to)
    expect(createHash('sha256').update(bytes).digest('hex')).toBe(table?.sha256)
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(bytes.length)
    from = to
  }
  const blockBytes = withBlocks(from, ({ index }) => index.map(({ size }) => size))
  const dataBytes = blockBytes.reduce((sum, size) => sum + size + BLOCK_TRAILER_BYTES, 0)
  // Or this test would be about nothing: there are several pieces, none of which is the whole.
  expect(sizes.filter((size) => size > 10_000).length).toBeGreaterThan(count > 6 ? 3 : 1)
  expect(Math.max(...sizes)).toBeLessThan(dataBytes)
})
