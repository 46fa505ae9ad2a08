/**
 * The outer layout of a LevelDB table: handles, block trailers and the footer. What is inside a block is block.ts; what blocks
 * a table has is table-writer.ts and table-reader.ts.
 *
 *     table   = data block*, filter block?, metaindex block, index block, footer
 *     stored block = contents | u8 compression | u32 masked crc32c of contents and compression
 *     handle  = varint offset | varint size (of the contents as stored, without the 5 bytes of trailer)
 *     footer  = metaindex handle | index handle | zeros up to 40 bytes | u64 magic
 *
 * Nothing here knows a file: what does not parse throws `ByteReaderError`, which the reader turns into `TABLE_DAMAGED`.
 */
import { Buffer } from 'node:buffer'
import { compressSync, uncompressSync } from 'snappy'
import { ByteReader, ByteReaderError, ByteWriter } from '../common/bytes.js'
import { crc32c, maskCrc, unmaskCrc } from '../common/checksum.js'

/** Written to disk: never reuse. */
const Compression = { None: 0, Snappy: 1 } as const

export type CompressionName = 'none' | 'snappy'

export interface BlockHandle {
  offset: number
  /** Bytes of the contents as stored, without the trailer. */
  size: number
}

export const BLOCK_TRAILER_BYTES = 5
export const FOOTER_BYTES = 48
export const FILTER_META_KEY = 'filter.leveldb.BuiltinBloomFilter2'

/**
 * Largest block, hence about the largest entry, that is written or accepted: lengths in a block are 32 bits wide, and more
 * than this at once would not fit a process of ordinary size.
 */
export const BLOCK_BYTES_MAX: number = 2 ** 30

/** Snappy's densest element makes 64 bytes out of 3: a length beyond that cannot be honest, and nothing is allocated for it. */
const SNAPPY_EXPANSION_MAX = 22

/** Node.js finalizes memory of its own heap far faster than memory a native module lends it: four times the speed for 4 KB. */
const COPY_OUTPUT = { copyOutputData: true }

const MAGIC = Buffer.from([0x57, 0xfb, 0x80, 0x8b, 0x24, 0x75, 0x47, 0xdb])
const MAGIC_OFFSET = FOOTER_BYTES - MAGIC.length

export function writeHandle(writer: ByteWriter, handle: BlockHandle): void {
  writer.writeVarint(handle.offset)
  writer.writeVarint(handle.size)
}

function readHandle(reader: ByteReader): BlockHandle {
  return { offset: reader.readVarint(), size: reader.readVarint() }
}

/** The handle that fills `bytes` exactly. */
export function decodeHandle(bytes: Buffer): BlockHandle {
  const reader = new ByteReader(bytes)
  const handle = readHandle(reader)
  if (reader.remaining > 0) throw new ByteReaderError('bytes after a block handle', reader.offset)
  return handle
}

export function encodeFooter(metaindex: BlockHandle, index: BlockHandle): Buffer {
  const writer = new ByteWriter(FOOTER_BYTES)
  writeHandle(writer, metaindex)
  writeHandle(writer, index)
  const footer = Buffer.alloc(FOOTER_BYTES)
  footer.set(writer.view())
  footer.set(MAGIC, MAGIC_OFFSET)
  return footer
}

export function decodeFooter(footer: Buffer): { metaindex: BlockHandle; index: BlockHandle } {
  if (!footer.subarray(MAGIC_OFFSET).equals(MAGIC)) {
    throw new ByteReaderError('no LevelDB table: wrong magic number', MAGIC_OFFSET)
  }
  const reader = new ByteReader(footer, 0, MAGIC_OFFSET)
  return { metaindex: readHandle(reader), index: readHandle(reader) }
}

/** Where the next block may start. */
export function endOf(handle: BlockHandle): number {
  return handle.offset + handle.size + BLOCK_TRAILER_BYTES
}

/** The block as stored, trailer included, in fresh memory. Compression that saves less than an eighth is not used. */
export function sealBlock(contents: Buffer, compression: CompressionName): Buffer {
  if (compression === 'snappy') {
    const compressed = compressSync(contents, COPY_OUTPUT)
    if (compressed.length < contents.length - Math.floor(contents.length / 8)) {
      return withTrailer(compressed, Compression.Snappy)
    }
  }
  return withTrailer(contents, Compression.None)
}

function withTrailer(contents: Buffer, compression: number): Buffer {
  const size = contents.length
  const stored = Buffer.allocUnsafeSlow(size + BLOCK_TRAILER_BYTES)
  stored.set(contents)
  stored[size] = compression
  stored.writeUInt32LE(maskCrc(crc32c(stored.subarray(0, size + 1))), size + 1)
  return stored
}

/** The contents of a stored block, trailer included: shared with `stored` unless it was compressed. */
export function openBlock(stored: Buffer, verifyChecksum: boolean): Buffer {
  if (verifyChecksum) checkBlock(stored)
  const contents = stored.subarray(0, stored.length - BLOCK_TRAILER_BYTES)
  return compressionOf(stored) === 'snappy' ? uncompress(contents) : contents
}

/** Throws when a stored block is not what was written. */
export function checkBlock(stored: Buffer): void {
  const size = stored.length - BLOCK_TRAILER_BYTES
  const expected = unmaskCrc(stored.readUInt32LE(size + 1))
  if (crc32c(stored.subarray(0, size + 1)) !== expected) {
    throw new ByteReaderError('block checksum mismatch', size + 1)
  }
}

/** By the trailer that `stored` ends with. */
export function compressionOf(stored: Buffer): CompressionName {
  const size = stored.length - BLOCK_TRAILER_BYTES
  switch (stored[size]) {
    case Compression.None:
      return 'none'
    case Compression.Snappy:
      return 'snappy'
    default:
      throw new ByteReaderError('unknown block compression', size)
  }
}

function uncompress(compressed: Buffer): Buffer {
  const length = new ByteReader(compressed).readVarint()
  if (length > BLOCK_BYTES_MAX || length > compressed.length * SNAPPY_EXPANSION_MAX) {
    throw new ByteReaderError(`compressed block claims ${length} bytes`, 0)
  }
  let contents: string | Buffer
  try {
    contents = uncompressSync(compressed, COPY_OUTPUT)
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new ByteReaderError(`compressed block does not uncompress: ${reason}`, 0)
  }
  if (typeof contents === 'string' || contents.length !== length) {
    throw new ByteReaderError('compressed block has another length than it claims', 0)
  }
  return contents
}
