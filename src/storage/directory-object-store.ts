/**
 * Objects as files below one directory, on a local disk or a mounted one; the key is the path.
 *
 * The way of a put: a new file in `<root>/.pending/`, its bytes, fsync; then `rename` to its name
 * (`link` for create-only), then fsync of the directory that name is in. Directories made on the
 * way are fsynced into their parents first.
 *
 * D1 a name outside `.pending` always stands for a whole, synced file (O1, O3). What a crash leaves
 *    in `.pending` has no key and is an unfinished upload; `discardUnfinished` deletes there and
 *    nowhere else.
 * D2 when a put resolves, its file, its name and every directory above it are synced;
 *    `DurableDirectories` does the latter.
 * D3 the name exists before it is durable, so a failed fsync of its directory is the one failure
 *    that can leave the object.
 *
 * The root may be missing until the first put. Create-only needs a file system with hard links.
 */
import { Buffer } from 'node:buffer'
import { randomUUID } from 'node:crypto'
import { dirname, join, resolve } from 'node:path'
import { mapLimit, throwIfAborted } from '../common/concurrency.js'
import { errnoOf, fileSystemError } from '../common/node-errors.js'
import { absentErrnos, DurableDirectories } from './durable-directories.js'
import { bodyOfBytes, checkedChunks, fileChunkBytes } from './object-body.js'
import { checkKey, checkPrefix, checkSegment, compareKeys, faultOfKey } from './object-key.js'
import {
  checkRange,
  objectMissing,
  type ObjectBody,
  type ObjectGetOptions,
  type ObjectInfo,
  type ObjectRange,
  type ObjectStore,
  type ObjectStoreOptions,
  type UnfinishedUpload,
} from './object-store.js'
import {
  nodeFileSystem,
  type StorageFile,
  type StorageFileInfo,
  type StorageFileSystem,
} from './storage-file-system.js'

/** Starts with a dot, so no key leads into it. */
const pendingFolder = '.pending'
/** Enough to keep the four threads of Node's file system pool busy. */
const deletesInFlightMax = 8

export interface DirectoryObjectStoreOptions {
  readonly fileSystem?: StorageFileSystem | undefined
  /** Names pending files; each call must give another name. Default: random UUIDs. */
  readonly randomId?: (() => string) | undefined
}

/** What lies in a folder: an object, or another folder, with a key that ends with '/'. */
type Entry = { readonly folder: string } | { readonly folder: undefined; readonly info: ObjectInfo }

export class DirectoryObjectStore implements ObjectStore {
  readonly description: string
  readonly supports: { readonly conditionalPut: boolean } = { conditionalPut: true }
  readonly #root: string
  readonly #fileSystem: StorageFileSystem
  readonly #randomId: () => string
  readonly #directories: DurableDirectories

  /**
   * Touches nothing yet. A relative `directory` is resolved now, so a later `chdir` does not move
   * the store.
   */
  constructor(directory: string, options: DirectoryObjectStoreOptions = {}) {
    this.#root = resolve(directory)
    this.#fileSystem = options.fileSystem ?? nodeFileSystem
    this.#directories = new DurableDirectories(this.#root, this.#fileSystem)
    this.#randomId = options.randomId ?? randomUUID
    this.description = `directory ${this.#root}`
  }

  async put(key: string, body: ObjectBody, options: ObjectStoreOptions = {}): Promise<void> {
    const target = this.#pathOf(key)
    await this.#withPending(key, body, options.signal, async (pending) => {
      await this.#directories.with(dirname(target), () => this.#fileSystem.rename(pending, target))
      await this.#directories.sync(dirname(target))
    })
  }

  async putIfAbsent(
    key: string,
    bytes: Uint8Array,
    options: ObjectStoreOptions = {},
  ): Promise<boolean> {
    const target = this.#pathOf(key)
    return this.#withPending(key, bodyOfBytes(bytes), options.signal, async (pending) => {
      const created = await this.#directories.with(dirname(target), () =>
        this.#link(pending, target),
      )
      if (created) await this.#directories.sync(dirname(target))
      await this.#removePending(pending)
      return created
    })
  }

  /** Resolves to whether `pending` now has the name `target` as well. */
  async #link(pending: string, target: string): Promise<boolean> {
    try {
      await this.#fileSystem.link(pending, target)
      return true
    } catch (error) {
      if (errnoOf(error) !== 'EEXIST') throw error
      // On NFS the answer to a link that succeeded may be lost, and its repetition fails: two names
      // tell (open(2), O_EXCL).
      return (await this.#fileSystem.info(pending)).links === 2
    }
  }

  /**
   * Writes the body to a pending file and hands that to `publish`. On any failure the pending file
   * is removed.
   */
  async #withPending<Result>(
    key: string,
    body: ObjectBody,
    signal: AbortSignal | undefined,
    publish: (pending: string) => Promise<Result>,
  ): Promise<Result> {
    throwIfAborted(signal)
    const pending = join(this.#root, pendingFolder, this.#randomId())
    try {
      const file = await this.#directories.with(dirname(pending), () =>
        this.#fileSystem.create(pending),
      )
      try {
        await this.#fill(file, checkedChunks(key, body, signal))
        throwIfAborted(signal)
        return await publish(pending)
      } catch (error) {
        await this.#removePending(pending)
        throw error
      }
    } catch (error) {
      throw fileSystemError(error, 'store', join(this.#root, key), 'STORAGE_FAILED')
    }
  }

  /**
   * Never fails: the put's own outcome is the one to report, and D1 says what a file left there
   * means.
   */
  async #removePending(pending: string): Promise<void> {
    await this.#fileSystem.unlink(pending).catch(() => undefined)
  }

  async #fill(file: StorageFile, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    try {
      for await (const chunk of chunks) await file.write(chunk)
      await file.sync()
    } finally {
      await file.close()
    }
  }

  async get(key: string, options: ObjectGetOptions = {}): Promise<AsyncIterable<Uint8Array>> {
    const path = this.#pathOf(key)
    checkRange(options.range)
    throwIfAborted(options.signal)
    const info = await this.#fileSystem.info(path).catch((error: unknown) => {
      throw this.#readError(key, error)
    })
    if (info.kind !== 'file') throw objectMissing(key, this.description)
    return this.#chunks(key, options.range ?? { offset: 0, length: Infinity }, options.signal)
  }

  async *#chunks(
    key: string,
    range: ObjectRange,
    signal: AbortSignal | undefined,
  ): AsyncIterable<Uint8Array> {
    throwIfAborted(signal)
    const file = await this.#fileSystem.openToRead(this.#pathOf(key)).catch((error: unknown) => {
      throw this.#readError(key, error)
    })
    try {
      const end = Math.min(range.offset + range.length, await file.sizeBytes())
      for (let position = range.offset; position < end;) {
        throwIfAborted(signal)
        const chunk = Buffer.allocUnsafeSlow(Math.min(fileChunkBytes, end - position))
        const bytesRead = await file.read(chunk, position)
        if (bytesRead === 0) return
        position += bytesRead
        yield chunk.subarray(0, bytesRead)
      }
    } catch (error) {
      throw this.#readError(key, error)
    } finally {
      await file.close()
    }
  }

  #readError(key: string, error: unknown): Error {
    if (absentErrnos.has(errnoOf(error))) return objectMissing(key, this.description, error)
    return fileSystemError(error, 'read', join(this.#root, key), 'STORAGE_FAILED')
  }

  list(prefix: string, options: ObjectStoreOptions = {}): AsyncIterable<ObjectInfo> {
    checkPrefix(prefix)
    return this.#infosIn(prefix.slice(0, prefix.lastIndexOf('/') + 1), prefix, options.signal)
  }

  /**
   * `folder` is '' or ends with '/'. As deep as a key may be, since longer names are no keys and
   * are passed over.
   */
  async *#infosIn(
    folder: string,
    prefix: string,
    signal: AbortSignal | undefined,
  ): AsyncIterable<ObjectInfo> {
    for (const entry of await this.#entriesOf(folder, prefix, signal)) {
      throwIfAborted(signal)
      if (entry.folder === undefined) yield entry.info
      else yield* this.#infosIn(entry.folder, prefix, signal)
    }
  }

  /** What is in `folder` and fits `prefix`, in the order of the keys it leads to. */
  async #entriesOf(
    folder: string,
    prefix: string,
    signal: AbortSignal | undefined,
  ): Promise<Entry[]> {
    throwIfAborted(signal)
    const entries: Entry[] = []
    for (const name of await this.#namesIn(folder)) {
      const key = folder + name
      if (faultOfKey(key) !== undefined) continue
      if (!key.startsWith(prefix) && !prefix.startsWith(`${key}/`)) continue
      const info = await this.#infoOf(key)
      if (info?.kind === 'directory') entries.push({ folder: `${key}/` })
      if (info?.kind !== 'file') continue
      const { sizeBytes, lastModifiedMs } = info
      entries.push({ folder: undefined, info: { key, sizeBytes, lastModifiedMs } })
    }
    const sortKey = (entry: Entry): string => entry.folder ?? entry.info.key
    return entries.sort((a, b) => compareKeys(sortKey(a), sortKey(b)))
  }

  /** `path` is relative to the root. Undefined where nothing is: a put or delete beside us. */
  async #infoOf(path: string): Promise<StorageFileInfo | undefined> {
    try {
      return await this.#fileSystem.info(join(this.#root, path))
    } catch (error) {
      if (absentErrnos.has(errnoOf(error))) return undefined
      throw this.#readError(path, error)
    }
  }

  async #namesIn(folder: string): Promise<string[]> {
    try {
      return await this.#fileSystem.readDirectory(join(this.#root, folder))
    } catch (error) {
      const errno = errnoOf(error)
      if (errno === 'ENOENT' || (errno === 'ENOTDIR' && folder !== '')) return []
      throw fileSystemError(error, 'list', join(this.#root, folder), 'STORAGE_FAILED')
    }
  }

  async delete(keys: readonly string[], options: ObjectStoreOptions = {}): Promise<void> {
    const paths = keys.map((key) => this.#pathOf(key))
    await mapLimit(paths, deletesInFlightMax, (path) => this.#unlink(path), options.signal)
    const directories = [...new Set(paths.map((path) => dirname(path)))]
    await mapLimit(directories, deletesInFlightMax, (directory) => this.#tidy(directory))
  }

  async #unlink(path: string): Promise<void> {
    try {
      await this.#fileSystem.unlink(path)
    } catch (error) {
      // EISDIR: a folder stands there, so there is no such object.
      if (absentErrnos.has(errnoOf(error)) || errnoOf(error) === 'EISDIR') return
      throw fileSystemError(error, 'delete', path, 'STORAGE_FAILED')
    }
  }

  async #tidy(directory: string): Promise<void> {
    try {
      await this.#directories.removeIfEmpty(directory)
    } catch (error) {
      throw fileSystemError(error, 'delete from', directory, 'STORAGE_FAILED')
    }
  }

  async *listUnfinished(options: ObjectStoreOptions = {}): AsyncIterable<UnfinishedUpload> {
    throwIfAborted(options.signal)
    for (const id of await this.#namesIn(pendingFolder)) {
      throwIfAborted(options.signal)
      if (faultOfKey(id) !== undefined) continue
      const info = await this.#infoOf(join(pendingFolder, id))
      if (info?.kind !== 'file') continue
      yield { id, sizeBytes: info.sizeBytes, lastModifiedMs: info.lastModifiedMs }
    }
  }

  /** What a power failure brings back is found by the next `listUnfinished`: nothing is synced. */
  async discardUnfinished(ids: readonly string[], options: ObjectStoreOptions = {}): Promise<void> {
    for (const id of ids) checkSegment('the id of an unfinished upload', id)
    const paths = ids.map((id) => join(this.#root, pendingFolder, id))
    await mapLimit(paths, deletesInFlightMax, (path) => this.#unlink(path), options.signal)
  }

  #pathOf(key: string): string {
    checkKey(key)
    return join(this.#root, key)
  }
}
