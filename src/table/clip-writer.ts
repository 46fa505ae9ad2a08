/**
 * Writes the file of a clipped table from blocks that were chosen and cut (table-clipper.ts) and laid out (clip-layout.ts):
 * copies blocks as they are stored, each checked on its way unless the whole file was, with their filters; writes the encoded ones, the
 * index and the rest.
 *
 * Held at a time: the filter and the index of both tables, about a hundredth of each, and two pieces, one being written.
 */
import { Buffer } from 'node:buffer'
import { ByteWriter } from '../common/bytes.js'
import { throwIfAborted } from '../common/concurrency.js'
import type { Slicer } from '../common/slicer.js'
import { BlockBuilder } from './block.js'
import { bloomHash, FilterBlockBuilder, FilterBlockReader } from './bloom-filter.js'
import { layOutBlocks } from './clip-layout.js'
import { encodeMetaindex } from './metaindex.js'
import type { TableBlocks } from './table-blocks.js'
import {
  BLOCK_TRAILER_BYTES,
  checkBlock,
  compressionOf,
  encodeFooter,
  sealBlock,
  writeHandle,
  type BlockHandle,
  type CompressionName,
} from './table-format.js'
import type { TableOutput } from './table-output.js'
import { INDEX_RESTART_INTERVAL } from './table-writer.js'

/** Read, checked and hashed at once: a millisecond. A block that is larger is a piece of its own. */
const PIECE_BYTES = 2 ** 19

interface BlockOfClip {
  /** Internal key for the index. */
  readonly key: Buffer
  /** As stored, with its trailer. */
  readonly sizeBytes: number
}

export interface CopiedBlock extends BlockOfClip, BlockHandle {
  readonly kind: 'copied'
}

export interface EncodedBlock extends BlockOfClip {
  readonly kind: 'encoded'
  readonly stored: Buffer
  readonly userKeys: readonly Buffer[]
}

export type KeptBlock = CopiedBlock | EncodedBlock

export interface ClipOptions {
  slicer: Slicer
  signal?: AbortSignal | undefined
  /**
   * Whether checksums are looked at. Default true; false for a file whose digest was compared just before, so that its bytes are known
   * to be right.
   */
  verifyChecksums?: boolean | undefined
}

/**
 * Appends the whole table to `output`, which is empty, and leaves it to be finished. Fails with `TABLE_DAMAGED` at a block whose
 * checksum is wrong, `SNAPSHOT_ABORTED` by the signal, `DISK_FULL` or `STORE_FAILED`.
 */
export async function writeClip(
  source: TableBlocks,
  blocks: readonly KeptBlock[],
  output: TableOutput,
  { slicer, signal, verifyChecksums = true }: ClipOptions,
): Promise<void> {
  const filter = source.readFilter((contents) => new FilterBlockReader(contents))
  const offsets = filter === undefined ? endToEnd(blocks) : layOutBlocks(blocks.map(placed))
  const writer = new ClipWriter(source, filter, output, verifyChecksums)
  for (const [index, block] of blocks.entries()) {
    throwIfAborted(signal)
    await writer.add(block, offsets[index] ?? 0)
    if (slicer.due()) await slicer.pause()
  }
  await writer.finish()
  throwIfAborted(signal)
}

function placed(block: KeptBlock): { sizeBytes: number; sourceOffset: number | undefined } {
  const sourceOffset = block.kind === 'copied' ? block.offset : undefined
  return { sizeBytes: block.sizeBytes, sourceOffset }
}

/** Without filters a block may stand anywhere. */
function endToEnd(blocks: readonly KeptBlock[]): number[] {
  let end = 0
  return blocks.map(({ sizeBytes }) => {
    end += sizeBytes
    return end - sizeBytes
  })
}

class ClipWriter {
  private readonly source: TableBlocks
  private readonly sourceFilter: FilterBlockReader | undefined
  private readonly output: TableOutput
  private readonly verifyChecksums: boolean
  private readonly filter = new FilterBlockBuilder()
  private readonly index = new BlockBuilder(INDEX_RESTART_INTERVAL)
  private readonly handleBytes = new ByteWriter(32)
  /** Blocks to be copied at once: end to end in the source and in the clip. */
  private run: CopiedBlock[] = []
  private runBytes = 0
  private runOffset = 0
  /** One is filled while the other is written. */
  private readonly pieces: readonly Buffer[]
  private piece = 0

  constructor(
    source: TableBlocks,
    sourceFilter: FilterBlockReader | undefined,
    output: TableOutput,
    verifyChecksums: boolean,
  ) {
    const pieceBytes = Math.min(PIECE_BYTES, source.sizeBytes)
    this.pieces = [Buffer.allocUnsafeSlow(pieceBytes), Buffer.allocUnsafeSlow(pieceBytes)]
    this.verifyChecksums = verifyChecksums
    this.source = source
    this.sourceFilter = sourceFilter
    this.output = output
  }

  /** Blocks come in the order of their offsets, which is key order. */
  async add(block: KeptBlock, offset: number): Promise<void> {
    this.addToFilter(block, offset)
    this.addToIndex(block, offset)
    if (block.kind === 'encoded') {
      await this.copyRun()
      await this.output.fillTo(offset)
      await this.output.append(block.stored)
      return
    }
    if (!this.continuesRun(block, offset)) await this.copyRun()
    if (this.run.length === 0) this.runOffset = offset
    this.run.push(block)
    this.runBytes += block.sizeBytes
  }

  /** Everything behind the data blocks. */
  async finish(): Promise<void> {
    await this.copyRun()
    const hasFilter = this.sourceFilter !== undefined
    const filter = hasFilter ? await this.writeBlock(this.filter.finish(), 'none') : undefined
    const metaindex = await this.writeBlock(encodeMetaindex(filter), 'none')
    const compression = this.source.indexCompression()
    const index = await this.writeBlock(this.index.finish(), compression)
    await this.output.append(encodeFooter(metaindex, index))
  }

  private addToFilter(block: KeptBlock, offset: number): void {
    if (this.sourceFilter === undefined) return
    this.filter.startBlock(offset)
    if (block.kind === 'copied') this.filter.addFilter(this.sourceFilter.filterOf(block.offset))
    else for (const userKey of block.userKeys) this.filter.addKey(bloomHash(userKey))
  }

  private addToIndex({ key, sizeBytes }: KeptBlock, offset: number): void {
    this.handleBytes.reset()
    writeHandle(this.handleBytes, { offset, size: sizeBytes - BLOCK_TRAILER_BYTES })
    this.index.add(key, key.length, this.handleBytes.view())
  }

  private continuesRun(block: CopiedBlock, offset: number): boolean {
    const first = this.run[0]
    if (first === undefined || this.runBytes + block.sizeBytes > PIECE_BYTES) return false
    return (
      offset === this.runOffset + this.runBytes && block.offset === first.offset + this.runBytes
    )
  }

  private async copyRun(): Promise<void> {
    const { run } = this
    if (run.length === 0) return
    this.piece ^= 1
    const stored = this.source.readStored(run, this.pieces[this.piece])
    if (this.verifyChecksums) this.checkRun(stored, run)
    this.run = []
    this.runBytes = 0
    await this.output.fillTo(this.runOffset)
    await this.output.append(stored)
  }

  private checkRun(stored: Buffer, run: readonly CopiedBlock[]): void {
    let start = 0
    for (const block of run) {
      const end = start + block.sizeBytes
      this.check(stored.subarray(start, end), block)
      start = end
    }
  }

  private check(stored: Buffer, block: CopiedBlock): void {
    try {
      checkBlock(stored)
      compressionOf(stored)
    } catch (cause) {
      throw this.source.explain(cause, block.offset)
    }
  }

  private async writeBlock(contents: Buffer, compression: CompressionName): Promise<BlockHandle> {
    const stored = sealBlock(contents, compression)
    const offset = this.output.sizeBytes
    await this.output.append(stored)
    return { offset, size: stored.length - BLOCK_TRAILER_BYTES }
  }
}
