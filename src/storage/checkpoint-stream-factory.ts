/**
 * The way of one attempt's state into storage. The caller owns what `write` returned: it becomes
 * part of a checkpoint, or is given to `discard`. What a failed `write` made, `write` removes.
 */
import { Buffer } from 'node:buffer'
import { createHash } from 'node:crypto'
import { assert } from '../common/assert.js'
import { StateBackendError } from '../errors.js'
import { METADATA_NAME } from './metadata-object.js'
import { checkedChunks } from './object-body.js'
import type { ObjectBody, ObjectStore } from './object-store.js'
import type { StreamStateHandle } from './stream-state-handle.js'

export const CheckpointedStateScope = {
  /** Of one checkpoint, and deleted with it. */
  Exclusive: 'exclusive',
  /** Of every checkpoint that names it; the registry deletes it. */
  Shared: 'shared',
} as const
export type CheckpointedStateScope =
  (typeof CheckpointedStateScope)[keyof typeof CheckpointedStateScope]

export interface CheckpointStreamWriteOptions {
  readonly signal?: AbortSignal | undefined
  /**
   * Lower-case hexadecimal. `OBJECT_DAMAGED` when the bytes are others: then the local file changed
   * under us.
   */
  readonly expectedSha256?: string | undefined
  /**
   * The ending of the object's name, 1 to 16 letters or digits: 'ldb'. It helps people who look
   * into the store.
   */
  readonly name?: string | undefined
}

/** Made per checkpoint and attempt. All methods may run concurrently. */
export interface CheckpointStreamFactory {
  readonly checkpointId: number

  /** Where it writes; a snapshot with `CheckpointOptions` for another target is refused. Not said: not compared. */
  readonly target?: CheckpointTarget | undefined

  /**
   * Stores the body's bytes, in the handle itself when they are few, and resolves when they are
   * durable. The handle's SHA-256 is computed from the very bytes that were sent (C2). On failure
   * or abort nothing of it is left.
   */
  write(
    scope: CheckpointedStateScope,
    body: ObjectBody,
    options?: CheckpointStreamWriteOptions,
  ): Promise<StreamStateHandle>

  /**
   * Deletes what `write` made, for an attempt that failed or was aborted. Inline handles and absent
   * objects are fine.
   */
  discard(handles: readonly StreamStateHandle[]): Promise<void>
}

/** Where an attempt's state goes. */
export interface CheckpointTarget {
  /** The attempt's, in the names of its objects: nobody deletes what belongs to a later one (C6). Default 0. */
  readonly epoch?: number | undefined
  /** Of a savepoint, which keeps all its state in it: a key prefix without a '/' at its end. */
  readonly savepointFolder?: string | undefined
}

export interface CheckpointStreamWriterOptions {
  readonly checkpointId: number
  readonly target: CheckpointTarget
  readonly objectStore: ObjectStore
  readonly inlineThresholdBytes: number
  /** Each call gives another name. */
  readonly newName: () => string
  /** What locations are relative to. Empty, or ends in '/'. */
  readonly root: string
  /** Relative to `root`, empty or ending in '/', by scope. */
  readonly folders: Readonly<Record<CheckpointedStateScope, string>>
}

export class CheckpointStreamWriter implements CheckpointStreamFactory {
  readonly checkpointId: number
  readonly target: CheckpointTarget
  readonly #options: CheckpointStreamWriterOptions

  constructor(options: CheckpointStreamWriterOptions) {
    this.checkpointId = options.checkpointId
    this.target = options.target
    this.#options = options
  }

  async write(
    scope: CheckpointedStateScope,
    body: ObjectBody,
    options: CheckpointStreamWriteOptions = {},
  ): Promise<StreamStateHandle> {
    const location = this.#newLocation(scope, options.name)
    const hashed = new HashedBody(location, body, options.expectedSha256)
    const { inlineThresholdBytes, objectStore, root } = this.#options
    if (body.sizeBytes <= inlineThresholdBytes) {
      return this.#inline(location, hashed, options.signal)
    }
    const key = root + location
    try {
      await objectStore.put(key, hashed, { signal: options.signal })
      return { kind: 'object', location, sizeBytes: body.sizeBytes, sha256: hashed.sha256 }
    } catch (error) {
      // When only the answer was lost the object is there, under a name nobody knows. A second
      // failure leaves it so.
      await objectStore.delete([key]).catch(() => undefined)
      throw error
    }
  }

  async #inline(
    location: string,
    body: HashedBody,
    signal: AbortSignal | undefined,
  ): Promise<StreamStateHandle> {
    const chunks: Uint8Array[] = []
    for await (const chunk of checkedChunks(location, body, signal)) chunks.push(chunk)
    const data = Buffer.concat(chunks).toString('base64')
    return { kind: 'inline', data, sizeBytes: body.sizeBytes, sha256: body.sha256 }
  }

  #newLocation(scope: CheckpointedStateScope, name: string | undefined): string {
    if (name !== undefined && !/^[A-Za-z0-9]{1,16}$/.test(name)) {
      throw new StateBackendError(
        'INVALID_ARGUMENT',
        `${JSON.stringify(name)} cannot end an object's name. Use 1 to 16 letters or digits, such as 'ldb'.`,
      )
    }
    const { folders, newName } = this.#options
    return folders[scope] + newName() + (name === undefined ? '' : `.${name}`)
  }

  async discard(handles: readonly StreamStateHandle[]): Promise<void> {
    const locations = handles.flatMap((handle) => (handle.kind === 'object' ? handle.location : []))
    for (const location of locations) this.#assertWritten(location)
    if (locations.length === 0) return
    const { objectStore, root } = this.#options
    await objectStore.delete(locations.map((location) => root + location))
  }

  /** Never another checkpoint's state, and never `_metadata`, which an attempt does not own. */
  #assertWritten(location: string): void {
    const nameAt = location.lastIndexOf('/') + 1
    const ours = Object.values(this.#options.folders).includes(location.slice(0, nameAt))
    assert(
      ours && location.slice(nameAt) !== METADATA_NAME,
      'an attempt discards only what it wrote',
      { checkpointId: this.checkpointId, location },
    )
  }
}

/**
 * A body that is hashed as it is read, each time from the start; the hash is that of the last
 * reading that came to its end.
 */
class HashedBody implements ObjectBody {
  readonly sizeBytes: number
  readonly #location: string
  readonly #body: ObjectBody
  readonly #expectedSha256: string | undefined
  #sha256: string | undefined

  constructor(location: string, body: ObjectBody, expectedSha256: string | undefined) {
    this.sizeBytes = body.sizeBytes
    this.#location = location
    this.#body = body
    this.#expectedSha256 = expectedSha256
  }

  get sha256(): string {
    assert(this.#sha256 !== undefined, 'a store reads a body to its end before it calls it stored')
    return this.#sha256
  }

  async *chunks(): AsyncIterable<Uint8Array> {
    this.#sha256 = undefined
    const hash = createHash('sha256')
    let sizeBytes = 0
    for await (const chunk of this.#body.chunks()) {
      sizeBytes += chunk.length
      // A file that grew may never end: say so now, and not with the store's own error for a wrong
      // size.
      if (sizeBytes > this.sizeBytes) this.#checkExpected('another size')
      hash.update(chunk)
      yield chunk
    }
    const sha256 = hash.digest('hex')
    if (sha256 !== this.#expectedSha256) this.#checkExpected(`SHA-256 ${sha256}`)
    this.#sha256 = sha256
  }

  #checkExpected(found: string): void {
    if (this.#expectedSha256 === undefined) return
    throw new StateBackendError(
      'OBJECT_DAMAGED',
      `The bytes read for ${this.#location} have ${found} instead of SHA-256 ${this.#expectedSha256}; nothing was stored. ` +
        'The local file changed or its disk is failing: restore the task from its last checkpoint.',
      { details: { location: this.#location } },
    )
  }
}
