/**
 * How the state that handles name is read back: from an object store, below a root that the locations in the handles are relative to.
 * So a folder can be moved or copied whole, and read where it is now.
 *
 * R1 Every byte is counted and hashed on its way; who has read to the end has verified state.
 */
import { Buffer } from 'node:buffer'
import { open, unlink } from 'node:fs/promises'
import { errnoOf, fileSystemError } from '../common/node-errors.js'
import { StateBackendError } from '../errors.js'
import type { ObjectStore, ObjectStoreOptions } from './object-store.js'
import { verifiedChunks, type StreamStateHandle } from './stream-state-handle.js'

/** What `readBytes` takes into memory; larger state is downloaded. */
const readBytesMaxBytes = 64 * 1024 * 1024

export interface CheckpointStateReaderOptions {
  /** Empty, or ends in '/'. */
  readonly root: string
  /** Locations that begin so may be named by later checkpoints. Default: none. */
  readonly reusable?: string | undefined
}

export class CheckpointStateReader {
  readonly #objectStore: ObjectStore
  readonly #root: string
  readonly #reusable: string | undefined

  constructor(objectStore: ObjectStore, { root, reusable }: CheckpointStateReaderOptions) {
    this.#objectStore = objectStore
    this.#root = root
    this.#reusable = reusable
  }

  /** For messages. */
  get description(): string {
    return this.#root === ''
      ? this.#objectStore.description
      : `${this.#root} in ${this.#objectStore.description}`
  }

  /**
   * Whether a later checkpoint of the job that reads here may name this state again. What it may not name (a savepoint's, another
   * job's) it uploads again, so that each owns all it consists of.
   */
  isReusable(handle: StreamStateHandle): boolean {
    if (handle.kind === 'inline') return true
    return this.#reusable !== undefined && handle.location.startsWith(this.#reusable)
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
    for await (const chunk of this.#chunks(handle, options)) chunks.push(chunk)
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
        for await (const chunk of this.#chunks(handle, options)) await file.writeFile(chunk)
      } finally {
        await file.close()
      }
    } catch (error) {
      // The failure above is the one to report; the folder is scratch and swept by its owner.
      await unlink(path).catch(() => undefined)
      throw failed(error)
    }
  }

  /** Reads the state of a handle to its end and keeps nothing: rejects as `readBytes` does, whatever its size. */
  async verify(handle: StreamStateHandle, options: ObjectStoreOptions = {}): Promise<void> {
    const chunks = this.#chunks(handle, options)[Symbol.asyncIterator]()
    for (let step = await chunks.next(); step.done !== true;) step = await chunks.next()
  }

  async *#chunks(
    handle: StreamStateHandle,
    options: ObjectStoreOptions,
  ): AsyncIterable<Uint8Array> {
    if (handle.kind === 'inline') {
      const name = `inline state of ${this.description}`
      yield* verifiedChunks(name, handle, [Buffer.from(handle.data, 'base64')])
      return
    }
    const key = this.#root + handle.location
    yield* verifiedChunks(key, handle, await this.#objectStore.get(key, options))
  }
}

function fileExists(path: string, cause: unknown): StateBackendError {
  return new StateBackendError(
    'DIRECTORY_NOT_EMPTY',
    `${path} is there already and was left as it is. Download into a new file of an empty directory.`,
    { cause, details: { path } },
  )
}
