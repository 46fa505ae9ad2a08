/** A clip that cannot be made says why and leaves no file; one that is made pauses when its slice is used up. */
import { Buffer } from 'node:buffer'
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { Slicer } from '../../src/common/slicer.js'
import { StateBackendError } from '../../src/errors.js'
import { BlockBuilder } from '../../src/table/block.js'
import { encodeInternalKey, userKeyOf } from '../../src/table/internal-key.js'
import { encodeMetaindex } from '../../src/table/metaindex.js'
import { clipTable } from '../../src/table/table-clipper.js'
import {
  BLOCK_TRAILER_BYTES,
  encodeFooter,
  endOf,
  sealBlock,
} from '../../src/table/table-format.js'
import { SteppingClock } from '../support/stepping-clock.js'
import {
  unhurried,
  clip,
  entriesInRange,
  withBlocks,
  expectClip,
  numbered,
  key,
  handleBytes,
} from './clip-fixtures.js'
import { encodeTable, expectEntry, temporaryDirectory, withTable } from './fixtures.js'

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
