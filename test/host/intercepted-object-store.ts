/** An object store whose every operation passes through one place, where a test can hold it up or end it. */
import type {
  ObjectBody,
  ObjectGetOptions,
  ObjectInfo,
  ObjectStore,
  ObjectStoreOptions,
  UnfinishedUpload,
} from '../../src/storage/object-store.js'

export abstract class InterceptedObjectStore implements ObjectStore {
  readonly description: string
  readonly supports: { readonly conditionalPut: boolean }
  readonly #inner: ObjectStore

  constructor(inner: ObjectStore, description: string = inner.description) {
    this.#inner = inner
    this.description = description
    this.supports = inner.supports
  }

  /** Called for each operation; `run` carries it out. A listing is one operation. */
  protected abstract intercept<T>(run: () => Promise<T>): Promise<T>

  put(key: string, body: ObjectBody, options?: ObjectStoreOptions): Promise<void> {
    return this.intercept(() => this.#inner.put(key, body, options))
  }

  putIfAbsent(key: string, bytes: Uint8Array, options?: ObjectStoreOptions): Promise<boolean> {
    return this.intercept(() => this.#inner.putIfAbsent(key, bytes, options))
  }

  get(key: string, options?: ObjectGetOptions): Promise<AsyncIterable<Uint8Array>> {
    return this.intercept(() => this.#inner.get(key, options))
  }

  async *list(prefix: string, options?: ObjectStoreOptions): AsyncGenerator<ObjectInfo> {
    yield* await this.intercept(() => gathered(this.#inner.list(prefix, options)))
  }

  delete(keys: readonly string[], options?: ObjectStoreOptions): Promise<void> {
    return this.intercept(() => this.#inner.delete(keys, options))
  }

  async *listUnfinished(options?: ObjectStoreOptions): AsyncGenerator<UnfinishedUpload> {
    yield* await this.intercept(() => gathered(this.#inner.listUnfinished(options)))
  }

  discardUnfinished(ids: readonly string[], options?: ObjectStoreOptions): Promise<void> {
    return this.intercept(() => this.#inner.discardUnfinished(ids, options))
  }
}

async function gathered<T>(listing: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = []
  for await (const item of listing) items.push(item)
  return items
}
