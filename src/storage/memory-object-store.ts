/**
 * Objects in this process's memory, for tests and for jobs that need no durability: gone with the
 * process, and bounded only by its heap. The same contract as every other store, so what passes
 * here is right about everything but the disk.
 */
import { Buffer } from 'node:buffer'
import { throwIfAborted } from '../common/concurrency.js'
import { fileSystemError } from '../common/node-errors.js'
import { checkedChunks } from './object-body.js'
import { checkKey, checkPrefix, compareKeys } from './object-key.js'
import {
  checkRange,
  objectMissing,
  type ObjectBody,
  type ObjectGetOptions,
  type ObjectInfo,
  type ObjectStore,
  type ObjectStoreOptions,
} from './object-store.js'

export class MemoryObjectStore implements ObjectStore {
  readonly description: string = 'memory'
  readonly supports: { readonly conditionalPut: boolean } = { conditionalPut: true }
  /**
   * Values are never changed once here: a put replaces the whole Buffer, so a reader keeps the one
   * it began with.
   */
  readonly #objects = new Map<string, Buffer>()

  async put(key: string, body: ObjectBody, options: ObjectStoreOptions = {}): Promise<void> {
    checkKey(key)
    const chunks: Uint8Array[] = []
    try {
      for await (const chunk of checkedChunks(key, body, options.signal)) {
        chunks.push(Buffer.from(chunk))
      }
    } catch (error) {
      throw fileSystemError(error, 'store', key, 'STORAGE_FAILED')
    }
    this.#objects.set(key, Buffer.concat(chunks))
  }

  async putIfAbsent(
    key: string,
    bytes: Uint8Array,
    options: ObjectStoreOptions = {},
  ): Promise<boolean> {
    checkKey(key)
    throwIfAborted(options.signal)
    if (this.#objects.has(key)) return false
    this.#objects.set(key, Buffer.from(bytes))
    return true
  }

  async get(key: string, options: ObjectGetOptions = {}): Promise<AsyncIterable<Uint8Array>> {
    checkKey(key)
    checkRange(options.range)
    throwIfAborted(options.signal)
    const object = this.#objects.get(key)
    if (object === undefined) throw objectMissing(key, this.description)
    const { offset, length } = options.range ?? { offset: 0, length: object.length }
    return oneChunk(object.subarray(offset, offset + length), options.signal)
  }

  list(prefix: string, options: ObjectStoreOptions = {}): AsyncIterable<ObjectInfo> {
    checkPrefix(prefix)
    return this.#infos(prefix, options.signal)
  }

  async *#infos(prefix: string, signal: AbortSignal | undefined): AsyncIterable<ObjectInfo> {
    const keys = [...this.#objects.keys()].filter((key) => key.startsWith(prefix))
    for (const key of keys.sort(compareKeys)) {
      throwIfAborted(signal)
      const object = this.#objects.get(key)
      if (object !== undefined) yield { key, sizeBytes: object.length }
    }
  }

  async delete(keys: readonly string[], options: ObjectStoreOptions = {}): Promise<void> {
    keys.forEach(checkKey)
    throwIfAborted(options.signal)
    for (const key of keys) this.#objects.delete(key)
  }
}

async function* oneChunk(
  bytes: Buffer,
  signal: AbortSignal | undefined,
): AsyncIterable<Uint8Array> {
  throwIfAborted(signal)
  if (bytes.length > 0) yield Buffer.from(bytes)
}
