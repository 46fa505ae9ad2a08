/**
 * What the records of a LevelDB write-ahead log (`NNNNNN.log`) say.
 *
 *     record    = u64 sequence of the first operation | u32 count | operation*
 *     operation = u8 1 | lp key | lp value     a put
 *               | u8 0 | lp key                a deletion
 *     lp        = varint length | bytes
 *
 * The n-th operation has the first one's sequence plus n. LevelDB joins batches that wait at the same time into one record.
 */
import { Buffer } from 'node:buffer'
import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { ByteReader, ByteReaderError } from '../common/bytes.js'
import { errnoOf } from '../common/node-errors.js'
import { diskError } from './disk-error.js'
import { MAX_SEQUENCE, ValueType } from './internal-key.js'
import {
  endsRecord,
  FRAGMENT_HEADER_BYTES,
  LOG_BLOCK_BYTES,
  logDamaged,
  readFragment,
  readFragmentHeader,
  skipFiller,
} from './log-format.js'

const HEADER_BYTES = 12

/** Where a record was read, for error messages and details. */
export interface RecordOrigin {
  file: string
  offset: number
}

export interface WriteBatchHeader {
  /** Of the first operation, in [0, 2^53 - 1]. */
  sequence: number
  count: number
}

export interface WriteBatchOperation {
  type: ValueType
  /** Shared with the record. */
  key: Buffer
  /** Shared with the record; empty for a deletion. */
  value: Buffer
}

export interface WriteBatch extends WriteBatchHeader {
  /** In order of sequence, exactly `count` of them. Throws `LOG_DAMAGED` when it gets to bytes that are no operation. */
  operations(): Generator<WriteBatchOperation>
}

const UNKNOWN_ORIGIN: RecordOrigin = { file: 'write batch', offset: 0 }

/** Throws `LOG_DAMAGED`, with the origin as details. */
export function readWriteBatch(record: Buffer, origin: RecordOrigin = UNKNOWN_ORIGIN): WriteBatch {
  const header = readHeader(record, origin)
  return { ...header, operations: () => readOperations(record, header.count, origin) }
}

function readHeader(record: Buffer, origin: RecordOrigin): WriteBatchHeader {
  if (record.length < HEADER_BYTES) throw batchDamaged(origin, 'a batch shorter than its header')
  const sequence = record.readUInt32LE(0) + record.readUInt32LE(4) * 2 ** 32
  const count = record.readUInt32LE(8)
  if (sequence + count > MAX_SEQUENCE) throw batchDamaged(origin, 'an impossible sequence')
  return { sequence, count }
}

function* readOperations(
  record: Buffer,
  count: number,
  origin: RecordOrigin,
): Generator<WriteBatchOperation> {
  const reader = new ByteReader(record, HEADER_BYTES)
  for (let index = 0; index < count; index++) yield readOperation(reader, origin)
  if (reader.remaining > 0) throw batchDamaged(origin, 'a batch with more than it counts')
}

function readOperation(reader: ByteReader, origin: RecordOrigin): WriteBatchOperation {
  try {
    const type = reader.readUint8()
    if (type === ValueType.Value) {
      return { type, key: reader.readLengthPrefixed(), value: reader.readLengthPrefixed() }
    }
    if (type === ValueType.Deletion) {
      return { type, key: reader.readLengthPrefixed(), value: Buffer.alloc(0) }
    }
  } catch (cause) {
    if (cause instanceof ByteReaderError) throw batchDamaged(origin, cause.message)
    throw cause
  }
  throw batchDamaged(origin, 'an unknown kind of operation')
}

/**
 * The header of the first record of a log that LevelDB may be appending to; undefined when no record of it is complete yet.
 * Reads one block and the headers of the record's further fragments, whose payloads are not verified. Synchronous. A file that
 * is not there throws the plain `ENOENT` error: LevelDB has dropped the log, so the caller starts again from the MANIFEST.
 * Else throws `LOG_DAMAGED` or `STORE_FAILED`.
 */
export function firstBatchHeader(path: string): WriteBatchHeader | undefined {
  let descriptor: number
  try {
    descriptor = openSync(path, 'r')
  } catch (cause) {
    throw errnoOf(cause) === 'ENOENT' ? cause : diskError(cause, path)
  }
  try {
    return readFirstHeader(descriptor, path)
  } catch (cause) {
    throw diskError(cause, path)
  } finally {
    closeSync(descriptor)
  }
}

function readFirstHeader(descriptor: number, path: string): WriteBatchHeader | undefined {
  const block = readAt(descriptor, 0, LOG_BLOCK_BYTES)
  const first = readFragment(block, 0, path, 'LOG_DAMAGED')
  if (first === undefined) return undefined
  const sizeBytes = fstatSync(descriptor).size
  let fragment = first
  while (!endsRecord(fragment.type)) {
    const offset = skipFiller(fragment.payloadEnd)
    const header = readAt(descriptor, offset, FRAGMENT_HEADER_BYTES)
    if (header.length < FRAGMENT_HEADER_BYTES) return undefined
    fragment = readFragmentHeader(header, offset, path, 'LOG_DAMAGED')
    if (fragment.payloadEnd > sizeBytes) return undefined
  }
  const origin = { file: path, offset: 0 }
  return readHeader(block.subarray(first.payloadStart, first.payloadEnd), origin)
}

/** Up to `bytes` bytes: fewer where the file ends. */
function readAt(descriptor: number, offset: number, bytes: number): Buffer {
  const buffer = Buffer.allocUnsafe(bytes)
  let filled = 0
  while (filled < bytes) {
    const count = readSync(descriptor, buffer, filled, bytes - filled, offset + filled)
    if (count === 0) break
    filled += count
  }
  return buffer.subarray(0, filled)
}

function batchDamaged(origin: RecordOrigin, reason: string): Error {
  return logDamaged('LOG_DAMAGED', origin.file, origin.offset, reason)
}
