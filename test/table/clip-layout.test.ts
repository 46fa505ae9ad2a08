import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { FILTER_WINDOW_BYTES } from '../../src/table/bloom-filter.js'
import { layOutBlocks, type PlacedBlock } from '../../src/table/clip-layout.js'

const W = FILTER_WINDOW_BYTES
const sizes = fc.oneof(
  fc.integer({ min: 1, max: 3 * W }),
  fc.integer({ min: 1, max: 300 }),
  fc.constantFrom(1, W - 1, W, W + 1, 2 * W),
)

/** A table's blocks, end to end from offset 0. */
function endToEnd(blockSizes: readonly number[]): PlacedBlock[] {
  let end = 0
  return blockSizes.map((sizeBytes) => {
    end += sizeBytes
    return { sizeBytes, sourceOffset: end - sizeBytes }
  })
}

/** What one clip does to blocks: those outside go, an end that is given a size is encoded again. */
interface Cut {
  from: number
  to: number
  left: number | undefined
  right: number | undefined
}

function cutBlocks(blocks: readonly PlacedBlock[], cut: Cut): PlacedBlock[] {
  const from = Math.floor(cut.from * blocks.length)
  const kept = blocks.slice(from, from + 1 + Math.floor(cut.to * (blocks.length - from)))
  if (cut.left !== undefined) kept[0] = { sizeBytes: cut.left, sourceOffset: undefined }
  if (cut.right !== undefined && kept.length > 1) {
    kept[kept.length - 1] = { sizeBytes: cut.right, sourceOffset: undefined }
  }
  return kept
}

const unit = fc.nat(999).map((part) => part / 1000)
const cuts = fc.record({
  from: unit,
  to: unit,
  left: fc.option(sizes, { nil: undefined, freq: 2 }),
  right: fc.option(sizes, { nil: undefined, freq: 2 }),
})
const tables = fc.array(sizes, { minLength: 1, maxLength: 40 }).map(endToEnd)

const windowOf = (offset: number | undefined): number => Math.floor((offset ?? NaN) / W)

function gapsOf(blocks: readonly PlacedBlock[], offsets: readonly number[]): number[] {
  let end = 0
  return blocks.map(({ sizeBytes }, index) => {
    const offset = offsets[index] ?? NaN
    const gap = offset - end
    end = offset + sizeBytes
    return gap
  })
}

describe('the layout of a clip', () => {
  it('L1: gives a window to the same blocks as in the source, and to nobody else', () => {
    fc.assert(
      fc.property(tables, cuts, (table, cut) => {
        const blocks = cutBlocks(table, cut)
        const offsets = layOutBlocks(blocks)
        for (const [index, block] of blocks.entries()) {
          const previous = blocks[index - 1]
          if (previous === undefined) continue
          const shared = windowOf(offsets[index]) === windowOf(offsets[index - 1])
          expect(shared).toBe(windowOf(block.sourceOffset) === windowOf(previous.sourceOffset))
          if (!shared) continue
          const distance = (block.sourceOffset ?? NaN) - (previous.sourceOffset ?? NaN)
          expect((offsets[index] ?? NaN) - (offsets[index - 1] ?? NaN)).toBe(distance)
        }
      }),
      { numRuns: 500 },
    )
  })

  it('L2, L3: keeps blocks end to end but for less than 3 windows, at the ends', () => {
    fc.assert(
      fc.property(tables, cuts, (table, cut) => {
        const blocks = cutBlocks(table, cut)
        const gaps = gapsOf(blocks, layOutBlocks(blocks))
        const [first = 0, second = 0] = gaps
        const last = gaps.length > 1 ? (gaps.at(-1) ?? 0) : 0
        expect(Math.min(...gaps)).toBeGreaterThanOrEqual(0)
        expect(first).toBeLessThan(W)
        if (gaps.length > 1) expect(second).toBeLessThan(first > 0 ? W : 2 * W)
        if (gaps.length > 2) expect(last).toBeLessThan(W)
        for (const gap of gaps.slice(2, -1)) expect(gap).toBe(0)
        expect(gaps.reduce((sum, gap) => sum + gap, 0)).toBeLessThan(3 * W)
      }),
      { numRuns: 500 },
    )
  })

  it('L4: of clips of clips is that of one clip that leaves the same blocks', () => {
    fc.assert(
      fc.property(tables, fc.array(cuts, { minLength: 2, maxLength: 6 }), (table, allCuts) => {
        const originals = new Map<PlacedBlock, PlacedBlock>()
        let clip = table
        for (const cut of allCuts) {
          const kept = cutBlocks(clip, cut)
          const offsets = layOutBlocks(kept)
          expect(offsets).toEqual(layOutBlocks(kept.map((block) => originals.get(block) ?? block)))
          clip = kept.map((block, index) => {
            const moved = { ...block, sourceOffset: offsets[index] }
            originals.set(moved, originals.get(block) ?? block)
            return moved
          })
        }
      }),
      { numRuns: 500 },
    )
  })

  it('is the table’s own layout when everything is kept', () => {
    fc.assert(
      fc.property(tables, (table) => {
        // A last block that is alone in its window is free, and free means right behind the one before it.
        expect(layOutBlocks(table)).toEqual(table.map(({ sourceOffset }) => sourceOffset))
      }),
    )
  })
})
