/**
 * VersionEdit: one record of a MANIFEST, a change of the set of files that make up a database. A run of tagged fields, integers
 * as varints, lp = varint length and bytes:
 *
 *     1 lp comparator name     2 log number     9 previous log number     3 next file number     4 last sequence
 *     5 level, lp internal key              compact pointer: where the level's next compaction starts
 *     6 level, number                       deleted file
 *     7 level, number, size, lp smallest, lp largest      new file, both internal keys
 */
import { Buffer } from 'node:buffer'
import { ByteReader, ByteReaderError, ByteWriter } from '../common/bytes.js'
import { compareInternalKeys, isInternalKey } from './internal-key.js'
import { logDamaged } from './log-format.js'

/** LevelDB's `kNumLevels`. */
export const LEVEL_COUNT = 7

/** Written to disk: never reuse. 8 was used by LevelDB for something it has dropped. */
const Tag = {
  Comparator: 1,
  LogNumber: 2,
  NextFileNumber: 3,
  LastSequence: 4,
  CompactPointer: 5,
  DeletedFile: 6,
  NewFile: 7,
  PrevLogNumber: 9,
} as const

/** A table of a database, as its MANIFEST knows it. */
export interface ManifestFile {
  /** In [0, 6]. */
  level: number
  number: number
  sizeBytes: number
  /** Internal key of the first entry. */
  smallest: Buffer
  /** Internal key of the last entry. */
  largest: Buffer
}

export interface VersionEdit {
  comparator?: string
  logNumber?: number
  prevLogNumber?: number
  nextFileNumber?: number
  lastSequence?: number
  compactPointers: { level: number; key: Buffer }[]
  deletedFiles: { level: number; number: number }[]
  newFiles: ManifestFile[]
}

/** The record, the caller's own. */
export function encodeVersionEdit(edit: VersionEdit): Buffer {
  const writer = new ByteWriter(1024)
  const writeNumber = (tag: number, value: number | undefined): void => {
    if (value === undefined) return
    writer.writeVarint(tag)
    writer.writeVarint(value)
  }
  if (edit.comparator !== undefined) {
    writer.writeVarint(Tag.Comparator)
    writer.writeLengthPrefixed(Buffer.from(edit.comparator, 'utf8'))
  }
  writeNumber(Tag.LogNumber, edit.logNumber)
  writeNumber(Tag.PrevLogNumber, edit.prevLogNumber)
  writeNumber(Tag.NextFileNumber, edit.nextFileNumber)
  writeNumber(Tag.LastSequence, edit.lastSequence)
  for (const pointer of edit.compactPointers) {
    writeNumber(Tag.CompactPointer, pointer.level)
    writer.writeLengthPrefixed(pointer.key)
  }
  for (const file of edit.deletedFiles) {
    writeNumber(Tag.DeletedFile, file.level)
    writer.writeVarint(file.number)
  }
  for (const file of edit.newFiles) {
    writeNumber(Tag.NewFile, file.level)
    writer.writeVarint(file.number)
    writer.writeVarint(file.sizeBytes)
    writer.writeLengthPrefixed(file.smallest)
    writer.writeLengthPrefixed(file.largest)
  }
  return writer.copy()
}

/**
 * Keys are shared with `record`. Throws `MANIFEST_DAMAGED`, with `file` and the record's offset in it as details, for bytes that
 * LevelDB would refuse, and for sizes and keys that it would believe and stumble over later.
 */
export function decodeVersionEdit(
  record: Buffer,
  file = 'version edit',
  recordOffset = 0,
): VersionEdit {
  const edit: VersionEdit = { compactPointers: [], deletedFiles: [], newFiles: [] }
  const reader = new ByteReader(record)
  try {
    while (reader.remaining > 0) readField(reader, edit)
  } catch (cause) {
    if (!(cause instanceof ByteReaderError)) throw cause
    throw logDamaged('MANIFEST_DAMAGED', file, recordOffset, cause.message)
  }
  return edit
}

function readField(reader: ByteReader, edit: VersionEdit): void {
  const start = reader.offset
  const tag = reader.readVarint()
  switch (tag) {
    case Tag.Comparator:
      edit.comparator = reader.readLengthPrefixed().toString('utf8')
      return
    case Tag.LogNumber:
      edit.logNumber = reader.readVarint()
      return
    case Tag.PrevLogNumber:
      edit.prevLogNumber = reader.readVarint()
      return
    case Tag.NextFileNumber:
      edit.nextFileNumber = reader.readVarint()
      return
    case Tag.LastSequence:
      edit.lastSequence = reader.readVarint()
      return
    case Tag.CompactPointer:
      edit.compactPointers.push({ level: readLevel(reader), key: readInternalKey(reader) })
      return
    case Tag.DeletedFile:
      edit.deletedFiles.push({ level: readLevel(reader), number: reader.readVarint() })
      return
    case Tag.NewFile:
      edit.newFiles.push(readNewFile(reader))
      return
    default:
      throw new ByteReaderError(`unknown tag ${tag}`, start)
  }
}

function readNewFile(reader: ByteReader): ManifestFile {
  const start = reader.offset
  const file: ManifestFile = {
    level: readLevel(reader),
    number: reader.readVarint(),
    sizeBytes: reader.readVarint(),
    smallest: readInternalKey(reader),
    largest: readInternalKey(reader),
  }
  if (file.sizeBytes === 0) throw new ByteReaderError(`table ${file.number} of no bytes`, start)
  if (compareInternalKeys(file.smallest, file.largest) > 0) {
    throw new ByteReaderError(`table ${file.number} ends before it begins`, start)
  }
  return file
}

function readLevel(reader: ByteReader): number {
  const level = reader.readVarint()
  if (level >= LEVEL_COUNT) throw new ByteReaderError(`level ${level}`, reader.offset)
  return level
}

function readInternalKey(reader: ByteReader): Buffer {
  const key = reader.readLengthPrefixed()
  if (!isInternalKey(key)) throw new ByteReaderError('no internal key', reader.offset)
  return key
}
