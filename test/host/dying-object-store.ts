/**
 * What storage sees of a process that is killed: up to some operation everything, from then on nothing. The operations of the dead never
 * settle, until `bury` makes them fail so that the test can clean up.
 */
import { StateBackendError } from '../../src/errors.js'
import type {
  ObjectBody,
  ObjectGetOptions,
  ObjectInfo,
  ObjectStore,
  ObjectStoreOptions,
  UnfinishedUpload,
} from '../../src/storage/object-store.js'

export class DyingObjectStore implements ObjectStore {
  readonly description = 'storage of a process that dies'
  readonly supports: { readonly conditionalPut: boolean }
  /** Resolves when the process is dead. */
  readonly died: Promise<void>
  operations = 0
  readonly #inner: ObjectStore
  readonly #deadlyOperation: number
  readonly #carriesOutTheLast: boolean
  #dead = false
  #buried = false
  #tellDied: () => void = () => undefined
  readonly #hanging = new Set<(error: StateBackendError) => void>()

  /** Dies in its `deadlyOperation`th operation, from 1, before or after that was carried out. */
  constructor(inner: ObjectStore, deadlyOperation = Infinity, carriesOutTheLast = false) {
    this.#inner = inner
    this.#deadlyOperation = deadlyOperation
    this.#carriesOutTheLast = carriesOutTheLast
    this.supports = inner.supports
    this.died = new Promise((resolve) => {
      this.#tellDied = resolve
    })
  }

  die(): void {
    this.#dead = true
    this.#tellDied()
  }

  /** Lets everything that hangs fail, and what comes: the process is gone, only its memory is still here. */
  bury(): void {
    this.die()
    this.#buried = true
    for (const fail of this.#hanging) fail(buried())
  }

  put(key: string, body: ObjectBody, options?: ObjectStoreOptions): Promise<void> {
    return this.#live(() => this.#inner.put(key, body, options))
  }

  putIfAbsent(key: string, bytes: Uint8Array, options?: ObjectStoreOptions): Promise<boolean> {
    return this.#live(() => this.#inner.putIfAbsent(key, bytes, options))
  }

  get(key: string, options?: ObjectGetOptions): Promise<AsyncIterable<Uint8Array>> {
    return this.#live(() => this.#inner.get(key, options))
  }

  async *list(prefix: string, options?: ObjectStoreOptions): AsyncGenerator<ObjectInfo> {
    const infos: ObjectInfo[] = []
    await this.#live(async () => {
      for await (const info of this.#inner.list(prefix, options)) infos.push(info)
    })
    yield* infos
  }

  delete(keys: readonly string[], options?: ObjectStoreOptions): Promise<void> {
    return this.#live(() => this.#inner.delete(keys, options))
  }

  async *listUnfinished(options?: ObjectStoreOptions): AsyncGenerator<UnfinishedUpload> {
    const uploads: UnfinishedUpload[] = []
    await this.#live(async () => {
      for await (const upload of this.#inner.listUnfinished(options)) uploads.push(upload)
    })
    yield* uploads
  }

  discardUnfinished(ids: readonly string[], options?: ObjectStoreOptions): Promise<void> {
    return this.#live(() => this.#inner.discardUnfinished(ids, options))
  }

  async #live<T>(run: () => Promise<T>): Promise<T> {
    if (this.#dead) return this.#never()
    this.operations++
    if (this.operations < this.#deadlyOperation) return run()
    this.die()
    if (this.#carriesOutTheLast) await run()
    return this.#never()
  }

  #never(): Promise<never> {
    if (this.#buried) return Promise.reject(buried())
    return new Promise((_, reject) => this.#hanging.add(reject))
  }
}

function buried(): StateBackendError {
  return new StateBackendError('STORAGE_FAILED', 'The process is dead.')
}
