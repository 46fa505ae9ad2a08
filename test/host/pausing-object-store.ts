/**
 * A process that is held up in the middle of an operation on storage, by a long collection of garbage or a virtual machine that is moved:
 * it stands still before or after the operation was carried out, and goes on as if nothing had happened.
 */
import type {
  ObjectBody,
  ObjectGetOptions,
  ObjectInfo,
  ObjectStore,
  ObjectStoreOptions,
  UnfinishedUpload,
} from '../../src/storage/object-store.js'
import { gate } from './fake-task.js'

export class PausingObjectStore implements ObjectStore {
  readonly description: string
  readonly supports: { readonly conditionalPut: boolean }
  readonly #inner: ObjectStore
  readonly #paused = gate()
  readonly #resumed = gate()
  #pauseAt = Infinity
  #when: 'before' | 'after' = 'before'
  #operations = 0

  constructor(inner: ObjectStore) {
    this.#inner = inner
    this.description = inner.description
    this.supports = inner.supports
  }

  /** Stands still in the `operation`th operation from now, counted from 1. */
  pauseIn(operation: number, when: 'before' | 'after'): void {
    this.#operations = 0
    this.#pauseAt = operation
    this.#when = when
  }

  /** Resolves when it stands still. */
  get paused(): Promise<void> {
    return this.#paused.promise
  }

  resume(): void {
    this.#resumed.open()
  }

  put(key: string, body: ObjectBody, options?: ObjectStoreOptions): Promise<void> {
    return this.#pass(() => this.#inner.put(key, body, options))
  }

  putIfAbsent(key: string, bytes: Uint8Array, options?: ObjectStoreOptions): Promise<boolean> {
    return this.#pass(() => this.#inner.putIfAbsent(key, bytes, options))
  }

  get(key: string, options?: ObjectGetOptions): Promise<AsyncIterable<Uint8Array>> {
    return this.#pass(() => this.#inner.get(key, options))
  }

  async *list(prefix: string, options?: ObjectStoreOptions): AsyncGenerator<ObjectInfo> {
    yield* await this.#pass(async () => {
      const infos: ObjectInfo[] = []
      for await (const info of this.#inner.list(prefix, options)) infos.push(info)
      return infos
    })
  }

  delete(keys: readonly string[], options?: ObjectStoreOptions): Promise<void> {
    return this.#pass(() => this.#inner.delete(keys, options))
  }

  listUnfinished(options?: ObjectStoreOptions): AsyncIterable<UnfinishedUpload> {
    return this.#inner.listUnfinished(options)
  }

  discardUnfinished(ids: readonly string[], options?: ObjectStoreOptions): Promise<void> {
    return this.#inner.discardUnfinished(ids, options)
  }

  async #pass<T>(run: () => Promise<T>): Promise<T> {
    const stands = ++this.#operations === this.#pauseAt
    if (stands && this.#when === 'before') await this.#stand()
    const result = await run()
    if (stands && this.#when === 'after') await this.#stand()
    return result
  }

  #stand(): Promise<void> {
    this.#paused.open()
    return this.#resumed.promise
  }
}
