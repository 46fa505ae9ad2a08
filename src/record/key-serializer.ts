/**
 * The declared key type of a backend (and of a map state's user keys): identity, Java hash code, bytes and order.
 *
 * Validation happens once, in `identityOf`; every other method trusts the identity it is given. Invariants, per serializer:
 * S1 two keys are equal exactly when their identities are, and exactly when their bytes are; S2 `compare` and `sort` order
 * identities as `Buffer.compare` orders their bytes; S3 no encoding is a prefix of another.
 */
import { ByteWriter, type ByteReader } from '../common/bytes.js'
import { StateBackendError } from '../errors.js'
import {
  anyIdentityOf,
  anyKeyOf,
  compareAny,
  hashAny,
  readAny,
  sortAny,
  writeAny,
  type AnyKey,
} from './any-key.js'
import { hashBoolean, hashString, hashTuple } from './java-hash.js'
import {
  bigintIdentityOf,
  booleanIdentityOf,
  bytesIdentityOf,
  hashBigint,
  hashEncodedBytes,
  hashNumber,
  latin1Of,
  notEncodable,
  numberIdentityOf,
  readEncodedBytes,
  readerOf,
  stringIdentityOf,
  writeLatin1,
  type KeyIdentity,
} from './key-identity.js'
import {
  compareNatural,
  compareStrings,
  sortCodeUnits,
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

export type { AnyKey } from './any-key.js'
export type { KeyIdentity } from './key-identity.js'

export interface KeySerializer<K> {
  /** Written to checkpoints and compared at restore, such as `string` or `tuple(string,number)`. */
  readonly typeName: string
  /** @throws StateBackendError `KEY_NOT_ENCODABLE`: not a key of this type, NaN, or too large. */
  identityOf(key: K): KeyIdentity
  /** The inverse of `identityOf`. A key that is an object is the caller's own. */
  keyOf(identity: KeyIdentity): K
  /** The key's hash code in Java, an int32: what its key group follows from. */
  hashCode(identity: KeyIdentity): number
  write(identity: KeyIdentity, out: ByteWriter): void
  /** The inverse of `write`. @throws ByteReaderError: bytes that `write` cannot have written. */
  read(from: ByteReader): KeyIdentity
  /** Negative, zero or positive, by the order of the encoded bytes. */
  compare(a: KeyIdentity, b: KeyIdentity): number
  /** In the order of the encoded bytes: in place, returning its argument, or as a new array. */
  sort(identities: KeyIdentity[]): KeyIdentity[]
}

export const stringKey: KeySerializer<string> = {
  typeName: 'string',
  identityOf: stringIdentityOf,
  keyOf: (identity: string) => identity,
  hashCode: hashString,
  write: writeString,
  read: readString,
  compare: compareStrings,
  sort: sortStrings,
}

/** -0 is 0; NaN is refused. */
export const numberKey: KeySerializer<number> = {
  typeName: 'number',
  identityOf: numberIdentityOf,
  keyOf: (identity: number) => identity,
  hashCode: hashNumber,
  write: writeNumber,
  read: readNumber,
  compare: compareNatural<number>,
  sort: sortNumbers,
}

export const bigintKey: KeySerializer<bigint> = {
  typeName: 'bigint',
  identityOf: bigintIdentityOf,
  keyOf: (identity: bigint) => identity,
  hashCode: hashBigint,
  write: writeBigint,
  read: readBigint,
  compare: compareNatural<bigint>,
  sort: sortNatural<bigint>,
}

export const booleanKey: KeySerializer<boolean> = {
  typeName: 'boolean',
  identityOf: booleanIdentityOf,
  keyOf: (identity: boolean) => identity,
  hashCode: hashBoolean,
  write: writeBoolean,
  read: readBoolean,
  compare: compareNatural<boolean>,
  sort: sortNatural<boolean>,
}

/** Equal by content. A key comes back as a plain `Uint8Array`, whatever subclass it was. */
export const bytesKey: KeySerializer<Uint8Array> = {
  typeName: 'bytes',
  identityOf: bytesIdentityOf,
  keyOf: (identity: string) => readBytes(readerOf(identity)),
  hashCode: (identity: string) => hashEncodedBytes(identity),
  write: (identity: string, out) => writeLatin1(identity, out),
  read: readEncodedBytes,
  compare: compareNatural<string>,
  sort: sortCodeUnits,
}

/** Booleans before numbers before bigints before strings before bytes; 1, 1n, '1' and true are four keys. */
export const anyKey: KeySerializer<AnyKey> = {
  typeName: 'any',
  identityOf: anyIdentityOf,
  keyOf: anyKeyOf,
  hashCode: hashAny,
  write: writeAny,
  read: readAny,
  compare: compareAny,
  sort: sortAny,
}

/** The parts of the largest tuple of Flink, `Tuple25`. */
const tuplePartsMax = 25
const tuplePartsMin = 2

/**
 * Tuples of 2 to 25 parts, ordered by the first part, then the second, and so on. Parts may be tuples themselves.
 *
 * @throws StateBackendError `INVALID_ARGUMENT`: another number of parts.
 */
export function tupleKey<K extends readonly unknown[]>(
  ...parts: { readonly [Part in keyof K]: KeySerializer<K[Part]> }
): KeySerializer<Readonly<K>> {
  const serializers: readonly KeySerializer<unknown>[] = parts
  if (serializers.length < tuplePartsMin || serializers.length > tuplePartsMax) {
    throw new StateBackendError(
      'INVALID_ARGUMENT',
      `A tuple key has ${tuplePartsMin} to ${tuplePartsMax} parts, not ${serializers.length}.`,
    )
  }
  const typeName = `tuple(${serializers.map((part) => part.typeName).join(',')})`
  const scratch = new ByteWriter()
  const hashes = serializers.map(() => 0)
  // The hash code is wanted right after the identity, and costs a decoding later.
  let lastIdentity = ''
  let lastHash = 0

  function identityOf(key: K): string {
    if (!Array.isArray(key) || key.length !== serializers.length) {
      throw notEncodable(`a ${typeName}, an array of length ${serializers.length}`, key)
    }
    scratch.reset()
    serializers.forEach((part, index) => {
      const identity = partIdentity(part, key[index], index, typeName)
      part.write(identity, scratch)
      hashes[index] = part.hashCode(identity)
    })
    lastIdentity = latin1Of(scratch)
    lastHash = hashTuple(hashes)
    return lastIdentity
  }

  function hashCode(identity: string): number {
    if (identity === lastIdentity) return lastHash
    const reader = readerOf(identity)
    return hashTuple(serializers.map((part) => part.hashCode(part.read(reader))))
  }

  return {
    typeName,
    identityOf,
    hashCode,
    keyOf(identity: string) {
      const reader = readerOf(identity)
      return serializers.map((part) => part.keyOf(part.read(reader))) as readonly unknown[] as K
    },
    write: (identity: string, out) => writeLatin1(identity, out),
    read(from) {
      const start = from.offset
      for (const part of serializers) part.read(from)
      return from.bytes.toString('latin1', start, from.offset)
    },
    compare: compareNatural<string>,
    sort: sortCodeUnits,
  }
}

function partIdentity(
  part: KeySerializer<unknown>,
  value: unknown,
  index: number,
  typeName: string,
): KeyIdentity {
  try {
    return part.identityOf(value)
  } catch (cause) {
    if (!(cause instanceof StateBackendError)) throw cause
    const message = `Part ${index} of a ${typeName}: ${cause.message}`
    throw new StateBackendError(cause.code, message, { cause, details: { part: index } })
  }
}
