/**
 * Where the blocks of a clipped table go in its file. LevelDB finds a data block's bloom filter by the window of 2,048 bytes the
 * block starts in, so a copied block must start in a window whose filter is the one it had.
 *
 * L1 blocks copied from one window stand in one window, at the distances they had; no other two blocks share a window;
 * L2 a copied block keeps its offset modulo the window, unless it is the first or the last and alone in its window: so
 *    neighbours that lay end to end still do, whatever was cut off around them;
 * L3 all gaps together are smaller than 3 windows when the copied blocks lay end to end: before the first block less than 1,
 *    or else after it less than 2; before the last less than 1;
 * L4 the layout follows from the kept blocks alone: encoded blocks are the first or the last, which are free either way, and
 *    every other block has kept its offset modulo the window through all clips. So clips that leave the same blocks leave the
 *    same layout, however many they were.
 */
import { assert } from '../common/assert.js'
import { FILTER_WINDOW_BYTES } from './bloom-filter.js'

export interface PlacedBlock {
  /** As stored, with its trailer; 1 or more. */
  readonly sizeBytes: number
  /** Offset in the table it is copied from; undefined for a block that was encoded again. */
  readonly sourceOffset: number | undefined
}

/** The offsets of the blocks, ascending; they are given in key order, copied ones with ascending `sourceOffset`. */
export function layOutBlocks(blocks: readonly PlacedBlock[]): number[] {
  const offsets: number[] = []
  let previous: PlacedBlock | undefined
  let previousOffset = 0
  let end = 0
  for (const [index, block] of blocks.entries()) {
    const next = blocks[index + 1]
    let offset: number
    if (previous !== undefined && shareWindow(previous, block)) {
      offset = previousOffset + sourceOffsetOf(block) - sourceOffsetOf(previous)
    } else {
      const windowEnd = windowOf(previousOffset) + FILTER_WINDOW_BYTES
      const lowest = previous === undefined ? 0 : Math.max(end, windowEnd)
      const outermost = previous === undefined || next === undefined
      const free = outermost && (next === undefined || !shareWindow(block, next))
      offset = free || block.sourceOffset === undefined ? lowest : congruent(lowest, block)
    }
    assert(offset >= end, 'blocks of a clip lie apart', { offset, end })
    offsets.push(offset)
    previous = block
    previousOffset = offset
    end = offset + block.sizeBytes
  }
  return offsets
}

/** Start of the window that an offset lies in. */
function windowOf(offset: number): number {
  return offset - (offset % FILTER_WINDOW_BYTES)
}

function shareWindow(a: PlacedBlock, b: PlacedBlock): boolean {
  if (a.sourceOffset === undefined || b.sourceOffset === undefined) return false
  return windowOf(a.sourceOffset) === windowOf(b.sourceOffset)
}

/** The first offset from `lowest` on that lies in its window as the block does in the source. */
function congruent(lowest: number, block: PlacedBlock): number {
  const ahead = (sourceOffsetOf(block) - lowest) % FILTER_WINDOW_BYTES
  return lowest + (ahead < 0 ? ahead + FILTER_WINDOW_BYTES : ahead)
}

function sourceOffsetOf(block: PlacedBlock): number {
  assert(block.sourceOffset !== undefined, 'only a copied block has a place in the source')
  return block.sourceOffset
}
