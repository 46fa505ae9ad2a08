/** Bounds of byte ranges `[gte, lt)`. */
import { Buffer } from 'node:buffer'
import { assert } from './assert.js'

/** The smallest key above `key`. */
export function successor(key: Uint8Array): Buffer {
  const next = Buffer.alloc(key.length + 1)
  next.set(key)
  return next
}

/** The smallest key above all keys that begin with `prefix`. */
export function prefixSuccessor(prefix: Uint8Array): Buffer {
  let length = prefix.length
  while (length > 0 && prefix[length - 1] === 0xff) length--
  assert(length > 0, 'a prefix of only ff bytes has no successor')
  const next = Buffer.from(prefix.subarray(0, length))
  next[length - 1] = (next[length - 1] as number) + 1
  return next
}
