/**
 * An object store whose writes fail when a test says so, as storage fails: before anything was done, or after all of it was, when
 * only the answer is lost.
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

export type FaultOperation = 'put' | 'putIfAbsent' | 'get' | 'delete' | 'discardUnfinished'

/** `before`: the operation is not carried out. `after`: it is, and fails all the same. */
export type Fault = 'before' | 'after' | undefined

export type FaultPlan = (operation: FaultOperation, key: string) => Fault | Promise<Fault>

const noFaults: FaultPlan = () => undefined

/** Fails the operations whose key contains `part`. */
export function failing(
  operation: FaultOperation,
  part: string,
  fault: 'before' | 'after' = 'before',
): FaultPlan {
  return (tried, key) => (tried === operation && key.includes(part) ? fault : undefined)
}

export class FaultObjectStore implements ObjectStore {
  readonly description = 'faulty store'
  readonly supports: { readonly conditionalPut: boolean }
  /** Asked before each operation; it may also wait, or do something else first. */
  plan: FaultPlan = noFaults
  faults = 0
  readonly #inner: ObjectStore

  constructor(inner: ObjectStore) {
    this.#inner = inner
    this.supports = inner.supports
  }

  heal(): void {
    this.plan = noFaults
  }

  put(key: string, body: ObjectBody, options?: ObjectStoreOptions): Promise<void> {
    return this.#guard('put', key, () => this.#inner.put(key, body, options))
  }

  putIfAbsent(key: string, bytes: Uint8Array, options?: ObjectStoreOptions): Promise<boolean> {
    return this.#guard('putIfAbsent', key, () => this.#inner.putIfAbsent(key, bytes, options))
  }

  get(key: string, options?: ObjectGetOptions): Promise<AsyncIterable<Uint8Array>> {
    return this.#guard('get', key, () => this.#inner.get(key, options))
  }

  list(prefix: string, options?: ObjectStoreOptions): AsyncIterable<ObjectInfo> {
    return this.#inner.list(prefix, options)
  }

  delete(keys: readonly string[], options?: ObjectStoreOptions): Promise<void> {
    return this.#guard('delete', keys.join(' '), () => this.#inner.delete(keys, options))
  }

  listUnfinished(options?: ObjectStoreOptions): AsyncIterable<UnfinishedUpload> {
    return this.#inner.listUnfinished(options)
  }

  discardUnfinished(ids: readonly string[], options?: ObjectStoreOptions): Promise<void> {
    return this.#guard('discardUnfinished', ids.join(' '), () =>
      this.#inner.discardUnfinished(ids, options),
    )
  }

  async #guard<T>(operation: FaultOperation, key: string, run: () => Promise<T>): Promise<T> {
    const fault = await this.plan(operation, key)
    if (fault === undefined) return run()
    this.faults++
    if (fault === 'after') await run()
    throw new StateBackendError('STORAGE_FAILED', `${operation} of ${key} failed ${fault}.`)
  }
}
