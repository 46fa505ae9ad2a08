/**
 * Java's `hashCode` of the values that can be keys, so that a key falls into the key group Flink would give it.
 *
 * Every result is an int32. Nothing here allocates except `hashBigInteger`, which is only for bigints beyond 64 bits.
 */

const scratch = new ArrayBuffer(8)
const float64 = new Float64Array(scratch)
const int64 = new BigInt64Array(scratch)
const halves = new Int32Array(scratch)
const twoTo32 = 0x1_0000_0000
const word = 0xffff_ffffn

/** `Integer.hashCode`. */
export function hashInt(value: number): number {
  return value | 0
}

/** `Long.hashCode`; of a bigint beyond 64 bits, that of its low 64. */
export function hashLong(value: bigint): number {
  int64[0] = value
  return foldHalves()
}

/** `Long.hashCode` of a safe integer (magnitude at most 2^53 - 1), without a bigint. */
export function hashSafeInteger(value: number): number {
  const low = value | 0
  if (low === value) return low ^ (low >> 31)
  return low ^ Math.floor(value / twoTo32)
}

/** `Double.hashCode`: -0 and 0 differ, every NaN is the same. */
export function hashDouble(value: number): number {
  if (Number.isNaN(value)) return 0x7ff8_0000
  float64[0] = value
  return foldHalves()
}

/** `Boolean.hashCode`. */
export function hashBoolean(value: boolean): number {
  return value ? 1231 : 1237
}

/** `String.hashCode`: over UTF-16 code units. */
export function hashString(value: string): number {
  let hash = 0
  const length = value.length
  for (let i = 0; i < length; i++) hash = (Math.imul(hash, 31) + value.charCodeAt(i)) | 0
  return hash
}

/** `Arrays.hashCode(byte[])`: bytes count as signed. */
export function hashBytes(bytes: Uint8Array): number {
  let hash = 1
  for (const byte of bytes) hash = (Math.imul(hash, 31) + ((byte << 24) >> 24)) | 0
  return hash
}

/** `BigInteger.hashCode`: over the 32-bit words of the magnitude, high word first, times the sign. */
export function hashBigInteger(value: bigint): number {
  const words: number[] = []
  for (let rest = value < 0n ? -value : value; rest > 0n; rest >>= 32n) {
    words.push(Number(rest & word))
  }
  let hash = 0
  for (const each of words.reverse()) hash = (Math.imul(hash, 31) + each) | 0
  return value < 0n ? -hash | 0 : hash
}

/** `hashCode` of Flink's tuples, from the hash codes of the fields in order; 0 without fields. */
export function hashTuple(hashes: readonly number[]): number {
  let hash = 0
  for (const each of hashes) hash = (Math.imul(hash, 31) + each) | 0
  return hash
}

function foldHalves(): number {
  return (halves[0] ?? 0) ^ (halves[1] ?? 0)
}
