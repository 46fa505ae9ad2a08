/** What the tests of `CheckpointStorage` have in common: a job over an object store in memory, and stores that do not behave. */
import { Buffer } from 'node:buffer'
import { createHash } from 'node:crypto'
import { expect } from 'vitest'
import {
  CheckpointedStateScope,
  CheckpointStorage,
  type CheckpointStorageOptions,
  type StreamStateHandle,
} from '../../src/storage/checkpoint-storage.js'
import { MemoryObjectStore } from '../../src/storage/memory-object-store.js'
import { bodyOfBytes, type ObjectStore } from '../../src/storage/object-store.js'

/** Too large to be inlined. */
export const large: Buffer = Buffer.alloc(100_000, 'state')

export const sha256 = (bytes: Uint8Array): string =>
  createHash('sha256').update(bytes).digest('hex')

export function setUp(): { store: MemoryObjectStore; storage: CheckpointStorage } {
  const store = new MemoryObjectStore()
  return { store, storage: jobOver(store) }
}

export function jobOver(
  store: ObjectStore,
  options: Partial<CheckpointStorageOptions> = {},
): CheckpointStorage {
  return new CheckpointStorage(store, { jobId: 'job', ...options })
}

/** `store` with some methods replaced. */
export function faulty(store: ObjectStore, faults: Partial<ObjectStore>): ObjectStore {
  return {
    description: store.description,
    supports: store.supports,
    put: (key, body, options) => store.put(key, body, options),
    putIfAbsent: (key, bytes, options) => store.putIfAbsent(key, bytes, options),
    get: (key, options) => store.get(key, options),
    list: (prefix, options) => store.list(prefix, options),
    delete: (keys, options) => store.delete(keys, options),
    listUnfinished: (options) => store.listUnfinished(options),
    discardUnfinished: (ids, options) => store.discardUnfinished(ids, options),
    ...faults,
  }
}

export async function keysOf(store: ObjectStore): Promise<string[]> {
  const keys: string[] = []
  for await (const { key } of store.list('')) keys.push(key)
  return keys
}

export function written(
  storage: CheckpointStorage,
  bytes: Uint8Array = large,
): Promise<StreamStateHandle> {
  const factory = storage.streamFactory(1)
  return factory.write(CheckpointedStateScope.Shared, bodyOfBytes(bytes), { name: 'ldb' })
}

export function locationOf(handle: StreamStateHandle): string {
  return handle.kind === 'object' ? handle.location : expect.unreachable('an inline handle')
}
