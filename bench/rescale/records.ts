/**
 * The state that is rescaled: Flink's rescaling benchmark's sizes, keys of 96 and values of 128 bytes, each a function of the record's
 * number (and the value of its version), so that any process knows what must be there.
 */
import { Buffer } from 'node:buffer'
import { createHash } from 'node:crypto'
import { crc32 } from 'node:zlib'

export const MAX_PARALLELISM = 128
export const STATE_NAME = 'random-state'
export const KEY_BYTES = 96
export const VALUE_BYTES = 128
export const RECORD_BYTES: number = KEY_BYTES + VALUE_BYTES

const HASH_DIGITS = 64

/** In no order: what is written one after the other lies far apart. */
export function keyOf(record: number): string {
  const hash = createHash('sha256').update(String(record)).digest('hex')
  return hash + String(record).padStart(KEY_BYTES - HASH_DIGITS, '0')
}

/** Hard to compress, as Flink's are. */
export function valueOf(record: number, version: number): Uint8Array {
  return createHash('shake128', { outputLength: VALUE_BYTES })
    .update(`${record}/${version}`)
    .digest()
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
    this.#entries++
    this.#checksum = (this.#checksum + crc32(value, crc32(key))) % Number.MAX_SAFE_INTEGER
  }

  get contents(): Contents {
    return { entries: this.#entries, checksum: this.#checksum }
  }
}

/** What the state of `records` must be when each has the version given for it; version 0 is none. */
export function contentsOf(versions: Uint8Array): Contents {
  const counter = new ContentsCounter()
  for (const [record, version] of versions.entries()) {
    if (version > 0) counter.add(Buffer.from(keyOf(record)), valueOf(record, version))
  }
  return counter.contents
}
