/**
 * The framing of LevelDB's logs (`NNNNNN.log`) and MANIFESTs.
 *
 *     log    = block of 32768 bytes *, the last one shorter
 *     block  = fragment*, then zeros when fewer than 7 bytes are left
 *     fragment = u32 masked crc32c of type and payload | u16 payload length | u8 type (1 full, 2 first, 3 middle, 4 last) | payload
 *
 * A record is one full fragment, or a first, middles and a last; a first or middle one ends with its block.
 *
 * L1 a record is returned whole and with its checksums verified, or not at all;
 * L2 a torn tail is what a writer leaves that was interrupted, or is not done yet: the file ends inside a record, and every byte
 *    that is there is right. A tail whose bytes are all there but whose length field is wrong is damage, not a torn tail.
 */
import { Buffer } from 'node:buffer'
import { crc32c, maskCrc, unmaskCrc } from '../common/checksum.js'
import { ByteWriter } from '../common/bytes.js'
import { StateBackendError } from '../errors.js'

export const LOG_BLOCK_BYTES = 32768
export const FRAGMENT_HEADER_BYTES = 7

/** Written to disk: never reuse. */
const FragmentType = { Full: 1, First: 2, Middle: 3, Last: 4 } as const
type FragmentType = (typeof FragmentType)[keyof typeof FragmentType]

export interface LogReadOptions {
  /** Whether a torn tail ends the log (a file that somebody may be appending to) or is damage. */
  tolerateTornTail: boolean
  /** What damage is called; default 'LOG_DAMAGED'. */
  damageCode?: 'LOG_DAMAGED' | 'MANIFEST_DAMAGED'
}

export interface LogRecords {
  /** Shared with the log's bytes where a record is one fragment. */
  records: Buffer[]
  /** File offset of each record's first fragment. */
  offsets: number[]
  /** End of the last whole record. */
  endOffset: number
}

/** A fragment's header and where its payload lies. */
export interface Fragment {
  type: FragmentType
  payloadStart: number
  payloadEnd: number
}

/**
 * All records of a log. Throws `LOG_DAMAGED` (or `damageCode`) with `{file, offset}`; `file` is used for that alone.
 */
export function readLogRecords(bytes: Buffer, file: string, options: LogReadOptions): LogRecords {
  const code = options.damageCode ?? 'LOG_DAMAGED'
  const result: LogRecords = { records: [], offsets: [], endOffset: 0 }
  let parts: Buffer[] = []
  let start = 0
  let offset = skipFiller(0)
  while (offset < bytes.length) {
    const fragment = readFragment(bytes, offset, file, code)
    if (fragment === undefined) break
    const opens = fragment.type === FragmentType.Full || fragment.type === FragmentType.First
    if (opens !== (parts.length === 0)) {
      throw logDamaged(code, file, offset, 'a record without its beginning or end')
    }
    if (opens) start = offset
    parts.push(bytes.subarray(fragment.payloadStart, fragment.payloadEnd))
    if (endsRecord(fragment.type)) {
      result.records.push(parts.length === 1 ? (parts[0] ?? Buffer.alloc(0)) : Buffer.concat(parts))
      result.offsets.push(start)
      result.endOffset = fragment.payloadEnd
      parts = []
    }
    offset = skipFiller(fragment.payloadEnd)
  }
  const torn = parts.length > 0 || offset < bytes.length
  if (torn && !options.tolerateTornTail) {
    throw logDamaged(code, file, result.endOffset, 'it ends inside a record')
  }
  return result
}

export function endsRecord(type: FragmentType): boolean {
  return type === FragmentType.Full || type === FragmentType.Last
}

/** Where the next fragment starts: at most 6 filler bytes further. */
export function skipFiller(offset: number): number {
  const left = LOG_BLOCK_BYTES - (offset % LOG_BLOCK_BYTES)
  return left < FRAGMENT_HEADER_BYTES ? offset + left : offset
}

/**
 * Header of the fragment at `offset` of a log, checked against its block but not against its checksum. `header` holds at
 * least 7 bytes.
 */
export function readFragmentHeader(
  header: Buffer,
  offset: number,
  file: string,
  code: 'LOG_DAMAGED' | 'MANIFEST_DAMAGED',
): Fragment {
  const payloadLength = header.readUInt16LE(4)
  const type = header.readUInt8(6)
  if (
    type !== FragmentType.Full &&
    type !== FragmentType.First &&
    type !== FragmentType.Middle &&
    type !== FragmentType.Last
  ) {
    throw logDamaged(code, file, offset, `unknown fragment type ${type}`)
  }
  const payloadStart = offset + FRAGMENT_HEADER_BYTES
  const payloadEnd = payloadStart + payloadLength
  const blockEnd = offset - (offset % LOG_BLOCK_BYTES) + LOG_BLOCK_BYTES
  if (endsRecord(type) ? payloadEnd > blockEnd : payloadEnd !== blockEnd) {
    throw logDamaged(code, file, offset, 'a fragment does not fit its block')
  }
  return { type, payloadStart, payloadEnd }
}

/** The verified fragment at `offset` of `bytes`; undefined when the bytes end inside it. */
export function readFragment(
  bytes: Buffer,
  offset: number,
  file: string,
  code: 'LOG_DAMAGED' | 'MANIFEST_DAMAGED',
): Fragment | undefined {
  if (offset + FRAGMENT_HEADER_BYTES > bytes.length) return undefined
  const header = bytes.subarray(offset, offset + FRAGMENT_HEADER_BYTES)
  const stored = unmaskCrc(header.readUInt32LE(0))
  const checkedStart = offset + FRAGMENT_HEADER_BYTES - 1
  const declaredEnd = offset + FRAGMENT_HEADER_BYTES + header.readUInt16LE(4)
  if (declaredEnd > bytes.length && hasPrefixWithCrc(bytes.subarray(checkedStart), stored)) {
    throw logDamaged(code, file, offset, 'a fragment claims more bytes than it has')
  }
  const fragment = readFragmentHeader(header, offset, file, code)
  if (declaredEnd > bytes.length) return undefined
  if (crc32c(bytes.subarray(checkedStart, declaredEnd)) !== stored) {
    throw logDamaged(code, file, offset, 'checksum mismatch')
  }
  return fragment
}

/**
 * Whether some beginning of `bytes`, type byte included, has this checksum: then the fragment is all there and only its length
 * is wrong. A really torn one looks like that once in 100,000 times, and is then torn no more at the next read. Bounded by a
 * block.
 */
function hasPrefixWithCrc(bytes: Buffer, crc: number): boolean {
  const end = Math.min(bytes.length, LOG_BLOCK_BYTES)
  let running = 0
  for (let at = 0; at < end; at++) {
    running = crc32c(bytes.subarray(at, at + 1), running)
    if (running === crc) return true
  }
  return false
}

/** A log that holds these records, the caller's own. */
export function encodeLogRecords(records: readonly Uint8Array[]): Buffer {
  const writer = new ByteWriter(LOG_BLOCK_BYTES)
  for (const record of records) writeRecord(writer, record)
  return writer.copy()
}

function writeRecord(writer: ByteWriter, record: Uint8Array): void {
  let from = 0
  let first = true
  // A header that just fits its block gets a fragment without payload, so `from` alone does not tell the first one.
  do {
    writer.writeBytes(new Uint8Array(skipFiller(writer.length) - writer.length))
    const room = LOG_BLOCK_BYTES - (writer.length % LOG_BLOCK_BYTES) - FRAGMENT_HEADER_BYTES
    const to = Math.min(record.length, from + room)
    writeFragment(writer, fragmentType(first, to === record.length), record.subarray(from, to))
    from = to
    first = false
  } while (from < record.length)
}

function fragmentType(first: boolean, last: boolean): FragmentType {
  if (first) return last ? FragmentType.Full : FragmentType.First
  return last ? FragmentType.Last : FragmentType.Middle
}

function writeFragment(writer: ByteWriter, type: FragmentType, payload: Uint8Array): void {
  const crc = crc32c(payload, crc32c(Uint8Array.of(type)))
  writer.writeUint32LittleEndian(maskCrc(crc))
  writer.writeUint8(payload.length & 0xff)
  writer.writeUint8(payload.length >>> 8)
  writer.writeUint8(type)
  writer.writeBytes(payload)
}

export function logDamaged(
  code: 'LOG_DAMAGED' | 'MANIFEST_DAMAGED',
  file: string,
  offset: number,
  reason: string,
): StateBackendError {
  return new StateBackendError(
    code,
    `${file} is damaged at byte ${offset}: ${reason}. Restore from the last completed checkpoint.`,
    { details: { file, offset } },
  )
}
