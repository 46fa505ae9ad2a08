/**
 * Where a job's checkpoints live in an object store: the layout, the naming, and the check of every
 * byte that comes back. What the bytes mean is not known here.
 *
 *     <job>/chk-<id>/_metadata      the checkpoint; it exists exactly when this object does
 *     <job>/chk-<id>/<unique>       exclusive state: of this checkpoint alone, deleted with it
 *     <job>/shared/<unique>.ldb     shared state: of any number of checkpoints, deleted by their registry
 *
 * C2 a handle is made only after its bytes are durable, and its SHA-256 is of the very bytes that
 *    were sent;
 * C3 `_metadata` is written once, whole, create-if-absent; and deleted before anything it names;
 * C4 a name is made for each write from a random id, never from content or a file number.
 *
 * `location` in a handle is relative to `<job>/`, so a job's folder can be moved or copied whole.
 */
import { Buffer } from 'node:buffer'
import { randomUUID } from 'node:crypto'
import { open, unlink } from 'node:fs/promises'
import { assert } from '../common/assert.js'
import { errnoOf, fileSystemError } from '../common/node-errors.js'
import { StateBackendError } from '../errors.js'
import { checkSegment } from './object-key.js'
import type { ObjectStore, ObjectStoreOptions } from './object-store.js'
import {
  CheckpointStreamWriter,
  type CheckpointStreamFactory,
} from './checkpoint-stream-factory.js'
import { verifiedChunks, type StreamStateHandle } from './stream-state-handle.js'

export {
  CheckpointedStateScope,
  type CheckpointStreamFactory,
  type CheckpointStreamWriteOptions,
} from './checkpoint-stream-factory.js'
export type { StreamStateHandle } from './stream-state-handle.js'

/**
 * State at or under this size is kept in the handle: one small object per state would cost more
 * than it holds.
 */
const inlineThresholdDefaultBytes = 20 * 1024
/** All inline state of a checkpoint is held in memory and in one `_metadata`. */
const inlineThresholdMaxBytes = 1024 * 1024
/** What `readBytes` takes into memory; larger state is downloaded. */
const readBytesMaxBytes = 64 * 1024 * 1024
/** A `_metadata` object: a thousand tasks with a thousand tables each fit. */
const metadataMaxBytes = 256 * 1024 * 1024
/** Keys gathered from a listing before they are deleted. */
const discardBatchKeys = 1000

const metadataName = '_metadata'

export interface CheckpointStorageOptions {
  /** One valid segment of an object key. Two running jobs must not share it within a store. */
  readonly jobId: string
  /** In bytes, 0 to `inlineThresholdMaxBytes`, both included. */
  readonly inlineThresholdBytes?: number | undefined
  /**
   * Each call must give another name, never given before to this job by any process. Default:
   * random UUIDs.
   */
  readonly randomId?: (() => string) | undefined
}

export class CheckpointStorage {
  readonly jobId: string
  readonly #objectStore: ObjectStore
  readonly #inlineThresholdBytes: number
  readonly #randomId: () => string

  /** Touches nothing yet. `INVALID_ARGUMENT` for a job id or threshold out of its range. */
  constructor(objectStore: ObjectStore, options: CheckpointStorageOptions) {
    checkSegment('a job id', options.jobId)
    const threshold = options.inlineThresholdBytes ?? inlineThresholdDefaultBytes
    if (!Number.isSafeInteger(threshold) || threshold < 0 || threshold > inlineThresholdMaxBytes) {
      throw new StateBackendError(
        'INVALID_ARGUMENT',
        `inlineThresholdBytes is ${threshold}. Give an integer from 0 to ${inlineThresholdMaxBytes}, or leave it out.`,
      )
    }
    this.jobId = options.jobId
    this.#objectStore = objectStore
    this.#inlineThresholdBytes = threshold
    this.#randomId = options.randomId ?? randomUUID
  }

  /** For one attempt at checkpoint `checkpointId`, an integer from 1. */
  streamFactory(checkpointId: number): CheckpointStreamFactory {
    checkCheckpointId(checkpointId)
    return new CheckpointStreamWriter({
      checkpointId,
      objectStore: this.#objectStore,
      jobFolder: `${this.jobId}/`,
      inlineThresholdBytes: this.#inlineThresholdBytes,
      randomId: this.#randomId,
    })
  }

  /**
   * The whole state of a handle, verified: `OBJECT_DAMAGED` when size or SHA-256 differ,
   * `OBJECT_MISSING` when the object is gone, `INVALID_ARGUMENT` when it is larger than
   * `readBytesMaxBytes`. The bytes are the caller's own.
   */
  async readBytes(handle: StreamStateHandle, options: ObjectStoreOptions = {}): Promise<Buffer> {
    if (handle.sizeBytes > readBytesMaxBytes) {
      throw new StateBackendError(
        'INVALID_ARGUMENT',
        `State of ${handle.sizeBytes} bytes is more than readBytes takes into memory (${readBytesMaxBytes}). Use download().`,
        { details: { sizeBytes: handle.sizeBytes } },
      )
    }
    const chunks: Uint8Array[] = []
    for await (const chunk of this.#verifiedChunks(handle, options)) chunks.push(chunk)
    return Buffer.concat(chunks)
  }

  /**
   * The state of a handle into a new local file, verified as by `readBytes`, of any size. A file
   * that is there already is `DIRECTORY_NOT_EMPTY` and stays untouched; on any failure the new file
   * is removed. The file is not fsynced: local files are scratch.
   */
  async download(
    handle: StreamStateHandle,
    path: string,
    options: ObjectStoreOptions = {},
  ): Promise<void> {
    const failed = (error: unknown): StateBackendError =>
      fileSystemError(error, 'download into', path, 'STORE_FAILED')
    const file = await open(path, 'wx').catch((error: unknown) => {
      throw errnoOf(error) === 'EEXIST' ? fileExists(path, error) : failed(error)
    })
    try {
      try {
        // Unlike write(), writeFile() goes on after a short write; it starts at the current
        // position.
        for await (const chunk of this.#verifiedChunks(handle, options)) await file.writeFile(chunk)
      } finally {
        await file.close()
      }
    } catch (error) {
      // The failure above is the one to report; the folder is scratch and swept by its owner.
      await unlink(path).catch(() => undefined)
      throw failed(error)
    }
  }

  async *#verifiedChunks(
    handle: StreamStateHandle,
    options: ObjectStoreOptions,
  ): AsyncIterable<Uint8Array> {
    if (handle.kind === 'inline') {
      const name = `inline state of job ${this.jobId}`
      yield* verifiedChunks(name, handle, [Buffer.from(handle.data, 'base64')])
      return
    }
    const key = this.#keyOf(handle.location)
    yield* verifiedChunks(key, handle, await this.#objectStore.get(key, options))
  }

  /**
   * Publishes the checkpoint (C3). `OBJECT_EXISTS` when it was published before; that one stays as
   * it is.
   */
  async writeMetadata(
    checkpointId: number,
    bytes: Uint8Array,
    options: ObjectStoreOptions = {},
  ): Promise<void> {
    const key = this.#metadataKey(checkpointId)
    if (bytes.length > metadataMaxBytes) {
      throw new StateBackendError(
        'INVALID_ARGUMENT',
        `Metadata of ${bytes.length} bytes is more than the ${metadataMaxBytes} that can be read back. ` +
          'Inline less state (inlineThresholdBytes).',
        { details: { checkpointId, sizeBytes: bytes.length } },
      )
    }
    if (await this.#objectStore.putIfAbsent(key, bytes, options)) return
    throw new StateBackendError(
      'OBJECT_EXISTS',
      `Checkpoint ${checkpointId} was already published: ${key} is in ${this.#objectStore.description}. Checkpoint ids are ` +
        'used once: go on above highestCheckpointId(), and see that no second attempt of the job is running.',
      { details: { checkpointId, key } },
    )
  }

  /**
   * The bytes of `_metadata`, the caller's own. `OBJECT_MISSING` when there is no such checkpoint.
   */
  async readMetadata(checkpointId: number, options: ObjectStoreOptions = {}): Promise<Buffer> {
    const key = this.#metadataKey(checkpointId)
    const chunks: Uint8Array[] = []
    let sizeBytes = 0
    for await (const chunk of await this.#objectStore.get(key, options)) {
      sizeBytes += chunk.length
      if (sizeBytes > metadataMaxBytes) {
        throw new StateBackendError(
          'METADATA_DAMAGED',
          `${key} is larger than any metadata this package writes (${metadataMaxBytes} bytes). Restore another checkpoint.`,
          { details: { checkpointId, key } },
        )
      }
      chunks.push(chunk)
    }
    return Buffer.concat(chunks)
  }

  /** The ids of the checkpoints that exist, ascending. */
  async listCheckpoints(options: ObjectStoreOptions = {}): Promise<number[]> {
    const ids: number[] = []
    for await (const { id, name } of this.#checkpointObjects(options)) {
      if (name === metadataName) ids.push(id)
    }
    return ids.sort((a, b) => a - b)
  }

  /**
   * The highest n of any object in a `chk-<n>/`, published or not; 0 when there is none. A new id
   * must be above it.
   */
  async highestCheckpointId(options: ObjectStoreOptions = {}): Promise<number> {
    let highest = 0
    for await (const { id } of this.#checkpointObjects(options)) highest = Math.max(highest, id)
    return highest
  }

  async *#checkpointObjects(
    options: ObjectStoreOptions,
  ): AsyncIterable<{ id: number; name: string }> {
    const folder = `${this.jobId}/`
    for await (const { key } of this.#objectStore.list(`${folder}chk-`, options)) {
      const [, digits, name] = /^chk-([1-9][0-9]*)\/(.+)$/.exec(key.slice(folder.length)) ?? []
      const id = Number(digits)
      if (name !== undefined && Number.isSafeInteger(id)) yield { id, name }
    }
  }

  /**
   * Deletes a checkpoint and its exclusive state; absent is fine, and so is a repetition after a
   * failure. Shared state stays. When this stops half-way, the checkpoint is gone and some
   * exclusive state is left over (C3).
   */
  async discardCheckpoint(checkpointId: number, options: ObjectStoreOptions = {}): Promise<void> {
    await this.#objectStore.delete([this.#metadataKey(checkpointId)], options)
    let keys: string[] = []
    const folder = `${this.jobId}/chk-${checkpointId}/`
    for await (const { key } of this.#objectStore.list(folder, options)) {
      keys.push(key)
      if (keys.length < discardBatchKeys) continue
      await this.#objectStore.delete(keys, options)
      keys = []
    }
    if (keys.length > 0) await this.#objectStore.delete(keys, options)
  }

  /**
   * Deletes shared state that no checkpoint needs any more; absent is fine. For the registry alone
   * (C4).
   */
  async deleteShared(
    locations: readonly string[],
    options: ObjectStoreOptions = {},
  ): Promise<void> {
    for (const location of locations) {
      assert(/^shared\/[^/]+$/.test(location), 'only shared state is deleted as such', { location })
    }
    if (locations.length === 0) return
    const keys = locations.map((location) => this.#keyOf(location))
    await this.#objectStore.delete(keys, options)
  }

  #metadataKey(checkpointId: number): string {
    checkCheckpointId(checkpointId)
    return this.#keyOf(`chk-${checkpointId}/${metadataName}`)
  }

  #keyOf(location: string): string {
    return `${this.jobId}/${location}`
  }
}

function checkCheckpointId(checkpointId: number): void {
  if (Number.isSafeInteger(checkpointId) && checkpointId >= 1) return
  throw new StateBackendError(
    'INVALID_ARGUMENT',
    `${checkpointId} is no checkpoint id. Use integers from 1, each higher than all before.`,
    { details: { checkpointId } },
  )
}

function fileExists(path: string, cause: unknown): StateBackendError {
  return new StateBackendError(
    'DIRECTORY_NOT_EMPTY',
    `${path} is there already and was left as it is. Download into a new file of an empty directory.`,
    { cause, details: { path } },
  )
}
