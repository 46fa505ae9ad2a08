/**
 * An object store in memory that holds a job to its promises at every single operation.
 *
 * A1 When a `_metadata` is stored, everything that it names is there.
 * A2 While a `_metadata` is there, nothing that it names is deleted.
 * A3 A `_metadata` that is protected is not deleted.
 *
 * Of a job's attempts A2 holds as long as no later one had begun when the `_metadata` was stored: what a fenced attempt stores is no
 * completed checkpoint.
 */
import { Buffer } from 'node:buffer'
import { decodeCheckpointMetadata } from '../../../src/checkpoint/checkpoint-metadata.js'
import {
  objectsOf,
  type CompletedCheckpoint,
} from '../../../src/checkpoint/completed-checkpoint.js'
import type { Clock } from '../../../src/common/clock.js'
import { MemoryObjectStore } from '../../../src/storage/memory-object-store.js'
import type { ObjectBody, ObjectStoreOptions } from '../../../src/storage/object-store.js'

const METADATA = '/_metadata'

/** A `_metadata` that is in storage. */
export interface Published {
  readonly key: string
  readonly folder: string
  readonly checkpoint: CompletedCheckpoint
  /** Keys of all objects that it names. */
  readonly names: ReadonlySet<string>
  /** Stored when a later attempt had begun: perhaps not whole. */
  late: boolean
}

export class AuditedObjectStore extends MemoryObjectStore {
  /** By key. */
  readonly published = new Map<string, Published>()
  /** Keys of `_metadata` objects that nobody may delete. */
  readonly protected = new Set<string>()
  readonly violations: string[] = []
  readonly #jobId: string
  readonly #keys = new Set<string>()
  #highestEpoch = 0

  constructor(options: { jobId: string; clock: Clock }) {
    super(options)
    this.#jobId = options.jobId
  }

  get keys(): ReadonlySet<string> {
    return this.#keys
  }

  get highestEpoch(): number {
    return this.#highestEpoch
  }

  /** Whether it is of the job's own checkpoints, and not of a savepoint. */
  isOwn({ key }: { readonly key: string }): boolean {
    return key.startsWith(`${this.#jobId}/`)
  }

  override async put(key: string, body: ObjectBody, options?: ObjectStoreOptions): Promise<void> {
    await super.put(key, body, options)
    this.#keys.add(key)
  }

  override async putIfAbsent(
    key: string,
    bytes: Uint8Array,
    options?: ObjectStoreOptions,
  ): Promise<boolean> {
    const stored = await super.putIfAbsent(key, bytes, options)
    if (!stored) return false
    this.#keys.add(key)
    const epoch = key.startsWith(`${this.#jobId}/epochs/`) ? Number(key.split('/').at(-1)) : 0
    this.#highestEpoch = Math.max(this.#highestEpoch, epoch)
    if (key.endsWith(METADATA)) this.#publish(key, bytes)
    return true
  }

  #publish(key: string, bytes: Uint8Array): void {
    const checkpoint = decodeCheckpointMetadata(Buffer.from(bytes), key)
    const folder = key.slice(0, -METADATA.length)
    const { shared, exclusive } = objectsOf(checkpoint)
    const root = this.isOwn({ key }) ? this.#jobId : folder
    const names = new Set([...shared, ...exclusive].map((location) => `${root}/${location}`))
    const late = checkpoint.epoch < this.#highestEpoch
    this.published.set(key, { key, folder, checkpoint, names, late })
    if (late) return
    for (const name of names) {
      if (!this.#keys.has(name)) this.violations.push(`A1: ${key} names ${name}, which is missing`)
    }
  }

  override async delete(keys: readonly string[], options?: ObjectStoreOptions): Promise<void> {
    for (const key of keys) this.#checkDeletion(key)
    await super.delete(keys, options)
    for (const key of keys) this.#keys.delete(key)
  }

  #checkDeletion(key: string): void {
    if (this.protected.has(key)) this.violations.push(`A3: ${key} was deleted`)
    if (this.published.delete(key) || !this.#keys.has(key)) return
    for (const { key: metadata, late, names } of this.published.values()) {
      if (late || !names.has(key)) continue
      this.violations.push(`A2: ${key} was deleted, which ${metadata} names`)
    }
  }
}
