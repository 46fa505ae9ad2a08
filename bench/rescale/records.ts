/**
 * The state that is rescaled: Flink's rescaling benchmark's sizes, keys of 96 and values of 128 bytes, each a function of the record's
 * number (and the value of its version), so that any process knows what must be there.
 */
import { Buffer } from 'node:buffer'
import { crc32 } from 'node:zlib'
import { computeKeyGroupForKeyHash, stringKey, type KeyGroupRange } from '../../src/index.js'
import { FixedRandom } from '../harness/fixed-random.js'

export const MAX_PARALLELISM = 128
export const STATE_NAME = 'random-state'
export const KEY_BYTES = 96
export const VALUE_BYTES = 128
export const RECORD_BYTES: number = KEY_BYTES + VALUE_BYTES

const RANDOM_DIGITS = 64

/** In no order: what is written one after the other lies far apart. */
export function keyOf(record: number): string {
  const digits = randomBytes(record, 0, RANDOM_DIGITS / 2).toString('hex')
  return digits + String(record).padStart(KEY_BYTES - RANDOM_DIGITS, '0')
}

export function keyGroupOf(key: string): number {
  const hash = stringKey.hashCode(stringKey.identityOf(key))
  return computeKeyGroupForKeyHash(hash, MAX_PARALLELISM)
}

/** Hard to compress, as Flink's are. */
export function valueOf(record: number, version: number): Uint8Array {
  return randomBytes(record, version, VALUE_BYTES)
}

/** Of their own for each record and version; a multiple of four. */
function randomBytes(record: number, version: number, length: number): Buffer {
  const random = new FixedRandom(mixed(Math.imul(record, 251) + version))
  const bytes = Buffer.allocUnsafe(length)
  for (let offset = 0; offset < length; offset += 4)
    bytes.writeUInt32LE(random.nextUint32(), offset)
  return bytes
}

/** MurmurHash3's finalizer: neighbouring numbers become seeds that have nothing in common; never 0. */
function mixed(value: number): number {
  let hash = value ^ (value >>> 16)
  hash = Math.imul(hash, 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) | 1
}

/** Entries counted and summed: equal for equal contents, in whatever order they are met. */
export interface Contents {
  readonly entries: number
  readonly checksum: number
}

export class ContentsCounter {
  #entries = 0
  #checksum = 0

  add(key: Uint8Array, value: Uint8Array): void {
    this.addAll({ entries: 1, checksum: crc32(value, crc32(key)) })
  }

  addAll({ entries, checksum }: Contents): void {
    this.#entries += entries
    this.#checksum = (this.#checksum + checksum) % Number.MAX_SAFE_INTEGER
  }

  get contents(): Contents {
    return { entries: this.#entries, checksum: this.#checksum }
  }
}

/** What each key group must hold when each record has the version given for it; version 0 is none. */
export function contentsByKeyGroup(versions: Uint8Array): Contents[] {
  const counters = Array.from({ length: MAX_PARALLELISM }, () => new ContentsCounter())
  for (const [record, version] of versions.entries()) {
    if (version === 0) continue
    const key = keyOf(record)
    counters[keyGroupOf(key)]?.add(Buffer.from(key), valueOf(record, version))
  }
  return counters.map(({ contents }) => contents)
}

export function contentsIn(
  byKeyGroup: readonly Contents[],
  ranges: readonly KeyGroupRange[],
): Contents {
  const counter = new ContentsCounter()
  for (const range of ranges) {
    for (const contents of byKeyGroup.slice(range.startKeyGroup, range.endKeyGroup + 1)) {
      counter.addAll(contents)
    }
  }
  return counter.contents
}
