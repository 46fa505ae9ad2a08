/** What the parts of the suite share: the fixture, small bodies, and reading back. */
import { Buffer } from 'node:buffer'
import { afterEach, beforeEach } from 'vitest'
import {
  bodyOfBytes,
  type ObjectBody,
  type ObjectInfo,
  type ObjectStore,
  type UnfinishedUpload,
} from '../../../src/storage/object-store.js'

export interface ObjectStoreFixture {
  readonly store: ObjectStore
  /** What a key may have at most, where that is less than the contract's 1,024: a prefix takes its part. */
  readonly keyMaxBytes?: number
  cleanup(): Promise<void>
  /**
   * Leaves in the store what a process leaves that is killed in the middle of a put, after it sent
   * `sizeBytes` bytes of it. To be left out for a store where nothing can be left.
   */
  leaveUnfinished?(sizeBytes: number): Promise<void>
}

export type ObjectStoreFactory = () => Promise<ObjectStoreFixture>

/** Hands every test of the surrounding `describe` a fixture of its own, and cleans up after it. */
export function eachTest(
  factory: ObjectStoreFactory,
  use: (fixture: ObjectStoreFixture) => void,
): void {
  let fixture: ObjectStoreFixture
  beforeEach(async () => {
    fixture = await factory()
    use(fixture)
  })
  afterEach(() => fixture.cleanup())
}

export const text = (value: string): ObjectBody => bodyOfBytes(Buffer.from(value))

/** Chunks `0..count-1`, each of `chunkBytes` bytes; `before` runs before each. */
export function body(
  count: number,
  chunkBytes: number,
  before: (index: number) => void = () => undefined,
  sizeBytes: number = count * chunkBytes,
): ObjectBody {
  return {
    sizeBytes,
    async *chunks() {
      for (let index = 0; index < count; index++) {
        before(index)
        yield Buffer.alloc(chunkBytes, index)
      }
    },
  }
}

export async function bytesOf(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = []
  for await (const chunk of chunks) all.push(chunk)
  return Buffer.concat(all)
}

export async function readText(store: ObjectStore, key: string): Promise<string> {
  return (await bytesOf(await store.get(key))).toString()
}

export async function listed(store: ObjectStore, prefix: string): Promise<ObjectInfo[]> {
  const all: ObjectInfo[] = []
  for await (const info of store.list(prefix)) all.push(info)
  return all
}

export async function sizesOf(
  store: ObjectStore,
  prefix: string,
): Promise<{ key: string; sizeBytes: number }[]> {
  return (await listed(store, prefix)).map(({ key, sizeBytes }) => ({ key, sizeBytes }))
}

export async function keysOf(store: ObjectStore, prefix: string): Promise<string[]> {
  return (await listed(store, prefix)).map(({ key }) => key)
}

export async function unfinishedIn(store: ObjectStore): Promise<UnfinishedUpload[]> {
  const all: UnfinishedUpload[] = []
  for await (const upload of store.listUnfinished()) all.push(upload)
  return all
}
