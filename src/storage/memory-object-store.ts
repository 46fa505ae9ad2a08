/**
 * Objects in this process's memory, for tests and for jobs that need no durability: gone with the
 * process, and bounded only by its heap. The same contract as every other store, so what passes
 * here is right about everything but the disk.
 */
import { Buffer } from 'node:buffer'
import { systemClock, type Clock } from '../common/clock.js'
import { throwIfAborted } from '../common/concurrency.js'
import { fileSystemError } from '../common/node-errors.js'
import { checkedChunks } from './object-body.js'
import { checkKey, checkPrefix, checkSegment, compareKeys } from './object-key.js'
import {
  checkRange,
  objectMissing,
  type ObjectBody,
  type ObjectGetOptions,
  type ObjectInfo,
  type ObjectStore,
  type ObjectStoreOptions,
  type UnfinishedUpload,
} from './object-store.js'

export interface MemoryObjectStoreOptions {
  /** Says when an object was stored. Default: the system's. */
  readonly clock?: Clock | undefined
}

interface StoredObject {
  readonly bytes: Buffer
  readonly lastModifiedMs: number
}

export class MemoryObjectStore implements ObjectStore {
  readonly description: string = 'memory'
  readonly supports: { readonly conditionalPut: boolean } = { conditionalPut: true }
  /**
   * Bytes are never changed once here: a put replaces the whole Buffer, so a reader keeps the one
   * it began with.
   */
  readonly #objects = new Map<string, StoredObject>()
  readonly #clock: Clock

  constructor(options: MemoryObjectStoreOptions = {}) {
    this.#clock = options.clock ?? systemClock
  }

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
    this.#store(key, Buffer.concat(chunks))
  }

  async putIfAbsent(
    key: string,
    bytes: Uint8Array,
    options: ObjectStoreOptions = {},
  ): Promise<boolean> {
    checkKey(key)
    throwIfAborted(options.signal)
    if (this.#objects.has(key)) return false
    this.#store(key, Buffer.from(bytes))
    return true
  }

  #store(key: string, bytes: Buffer): void {
    this.#objects.set(key, { bytes, lastModifiedMs: this.#clock.wallClockMs() })
  }

  async get(key: string, options: ObjectGetOptions = {}): Promise<AsyncIterable<Uint8Array>> {
    checkKey(key)
    checkRange(options.range)
    throwIfAborted(options.signal)
    const bytes = this.#objects.get(key)?.bytes
    if (bytes === undefined) throw objectMissing(key, this.description)
    const { offset, length } = options.range ?? { offset: 0, length: bytes.length }
    return oneChunk(bytes.subarray(offset, offset + length), options.signal)
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
      if (object === undefined) continue
      yield { key, sizeBytes: object.bytes.length, lastModifiedMs: object.lastModifiedMs }
    }
  }

  async delete(keys: readonly string[], options: ObjectStoreOptions = {}): Promise<void> {
    keys.forEach(checkKey)
    throwIfAborted(options.signal)
    for (const key of keys) this.#objects.delete(key)
  }

  /** Never any: what a put has gathered is the put's own, and gone with it. */
  async *listUnfinished(options: ObjectStoreOptions = {}): AsyncIterable<UnfinishedUpload> {
    throwIfAborted(options.signal)
    yield* []
  }

  async discardUnfinished(ids: readonly string[], options: ObjectStoreOptions = {}): Promise<void> {
    for (const id of ids) checkSegment('the id of an unfinished upload', id)
    throwIfAborted(options.signal)
  }
}

async function* oneChunk(
  bytes: Buffer,
  signal: AbortSignal | undefined,
): AsyncIterable<Uint8Array> {
  throwIfAborted(signal)
  if (bytes.length > 0) yield Buffer.from(bytes)
}
