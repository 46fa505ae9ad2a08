/**
 * Keys of any type in one space, in which 1, 1n, '1' and true differ: a tag byte, then the type's own encoding.
 *
 * Identities: numbers, bigints and booleans stand for themselves, and so do strings, except that one starting with U+0000
 * gets another in front. Bytes are U+0000, `b`, then their Latin-1 encoding. A string's second character after a U+0000
 * is thus always U+0000 too, so no string is ever taken for bytes, and the order of strings is kept.
 */
import { ByteReaderError, type ByteReader, type ByteWriter } from '../common/bytes.js'
import { hashBoolean, hashString } from './java-hash.js'
import {
  bigintIdentityOf,
  bytesIdentityOf,
  hashBigint,
  hashEncodedBytes,
  hashNumber,
  notEncodable,
  numberIdentityOf,
  readerOf,
  readEncodedBytes,
  stringIdentityOf,
  writeLatin1,
  type KeyIdentity,
} from './key-identity.js'
import {
  compareNatural,
  compareStrings,
  sortNatural,
  sortNumbers,
  sortStrings,
} from './key-order.js'
import {
  readBigint,
  readBoolean,
  readBytes,
  readNumber,
  readString,
  writeBigint,
  writeBoolean,
  writeNumber,
  writeString,
} from './ordered-encoding.js'

export type AnyKey = string | number | bigint | boolean | Uint8Array

/** Written to disk, never reuse; the order of the types. */
const tag = { boolean: 1, number: 2, bigint: 3, string: 4, bytes: 5 } as const

const marker = '\u0000'
const bytesPrefix = '\u0000b'

export function anyIdentityOf(key: AnyKey): KeyIdentity {
  switch (typeof key) {
    case 'string':
      return stringIdentityOf(key).charCodeAt(0) === 0 ? marker + key : key
    case 'number':
      return numberIdentityOf(key)
    case 'bigint':
      return bigintIdentityOf(key)
    case 'boolean':
      return key
    default:
      if (key instanceof Uint8Array) return bytesPrefix + bytesIdentityOf(key)
      throw notEncodable('a string, number, bigint, boolean or Uint8Array', key)
  }
}

export function anyKeyOf(identity: KeyIdentity): AnyKey {
  if (typeof identity !== 'string') return identity
  return isBytes(identity) ? readBytes(readerOf(identity, bytesPrefix.length)) : plain(identity)
}

export function hashAny(identity: KeyIdentity): number {
  if (typeof identity === 'string') {
    // The U+0000 that marks a string adds nothing to its hash code.
    return isBytes(identity) ? hashEncodedBytes(identity, bytesPrefix.length) : hashString(identity)
  }
  if (typeof identity === 'number') return hashNumber(identity)
  return typeof identity === 'bigint' ? hashBigint(identity) : hashBoolean(identity)
}

export function writeAny(identity: KeyIdentity, out: ByteWriter): void {
  out.writeUint8(tagOf(identity))
  if (typeof identity === 'string') {
    if (isBytes(identity)) writeLatin1(identity, out, bytesPrefix.length)
    else writeString(plain(identity), out)
  } else if (typeof identity === 'number') {
    writeNumber(identity, out)
  } else if (typeof identity === 'bigint') {
    writeBigint(identity, out)
  } else {
    writeBoolean(identity, out)
  }
}

export function readAny(from: ByteReader): KeyIdentity {
  const start = from.offset
  const type = from.readUint8()
  switch (type) {
    case tag.boolean:
      return readBoolean(from)
    case tag.number:
      return readNumber(from)
    case tag.bigint:
      return readBigint(from)
    case tag.string: {
      const value = readString(from)
      return value.charCodeAt(0) === 0 ? marker + value : value
    }
    case tag.bytes:
      return bytesPrefix + readEncodedBytes(from)
    default:
      throw new ByteReaderError(`key type ${type} is not known`, start)
  }
}

export function compareAny(a: KeyIdentity, b: KeyIdentity): number {
  const byType = tagOf(a) - tagOf(b)
  if (byType !== 0) return byType
  return typeof a === 'string' && typeof b === 'string'
    ? compareStrings(a, b)
    : compareNatural(a, b)
}

export function sortAny(identities: KeyIdentity[]): KeyIdentity[] {
  const booleans: boolean[] = []
  const numbers: number[] = []
  const bigints: bigint[] = []
  const strings: string[] = []
  const bytes: string[] = []
  for (const identity of identities) {
    if (typeof identity === 'number') numbers.push(identity)
    else if (typeof identity === 'bigint') bigints.push(identity)
    else if (typeof identity === 'boolean') booleans.push(identity)
    else if (isBytes(identity)) bytes.push(identity)
    else strings.push(identity)
  }
  const sorted: KeyIdentity[][] = [
    sortNatural(booleans),
    sortNumbers(numbers),
    sortNatural(bigints),
    sortStrings(strings),
    bytes.sort(),
  ]
  return sorted.find((each) => each.length === identities.length) ?? sorted.flat()
}

function tagOf(identity: KeyIdentity): number {
  if (typeof identity === 'string') return isBytes(identity) ? tag.bytes : tag.string
  if (typeof identity === 'number') return tag.number
  return typeof identity === 'bigint' ? tag.bigint : tag.boolean
}

/** Whether an identity that is a string stands for bytes. */
function isBytes(identity: string): boolean {
  return identity.charCodeAt(0) === 0 && identity.charCodeAt(1) === 0x62
}

/** The string that an identity which is not bytes stands for. */
function plain(identity: string): string {
  return identity.charCodeAt(0) === 0 ? identity.slice(1) : identity
}
