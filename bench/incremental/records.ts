/**
 * The state that is checkpointed: number keys from 0, each with a value that says whose it is and which version, so that any process
 * knows what a restored state must hold.
 */
import { Buffer } from 'node:buffer'
import { FixedRandom } from '../harness/fixed-random.js'

export const KEY_BYTES = 8
export const VALUE_BYTES = 100
export const RECORD_BYTES: number = KEY_BYTES + VALUE_BYTES

/** At the head of a value: its key and its version. */
const HEAD_BYTES = 8
const BODY_BYTES = VALUE_BYTES - HEAD_BYTES
const POOL_BYTES = 2 ** 20
/** Primes: neighbouring keys and versions have bodies that lie far apart. */
const KEY_STRIDE = 7919
const VERSION_STRIDE = 104_729
/** A prime that divides no key count, so its multiples meet every key once. */
const SCATTER = 1_000_003

const pool = incompressibleBytes(POOL_BYTES)

/** The same in every process. `length` is a multiple of 4. */
export function incompressibleBytes(length: number): Buffer {
  const random = new FixedRandom()
  const bytes = Buffer.alloc(length)
  for (let at = 0; at < length; at += 4) bytes.writeUInt32LE(random.nextUint32(), at)
  return bytes
}

export function keyCountOf(stateBytes: number): number {
  const count = Math.ceil(stateBytes / RECORD_BYTES)
  return count % SCATTER === 0 ? count + 1 : count
}

/** A bijection of [0, keyCount): what is written one after the other, or is as hot, lies far apart. */
export function scattered(rank: number, keyCount: number): number {
  return (rank * SCATTER) % keyCount
}

/** The caller's own. */
export function valueOf(key: number, version: number): Buffer {
  const value = Buffer.allocUnsafe(VALUE_BYTES)
  value.writeUInt32LE(key, 0)
  value.writeUInt32LE(version, 4)
  const from = (key * KEY_STRIDE + version * VERSION_STRIDE) % (POOL_BYTES - BODY_BYTES)
  pool.copy(value, HEAD_BYTES, from, from + BODY_BYTES)
  return value
}
