/**
 * The plug-in that durable bytes go through: a few members, made to fit a directory, S3 and memory
 * alike. Two of them, for what a crash left of puts that never ended, serve cleaning up alone.
 *
 * An object is a key (see `object-key.ts`) with bytes. There are no folders: 'a/b' is one name. But
 * a store may keep objects as files, so no key may be the folder of another: with 'a/b' stored, a
 * put of 'a' may fail.
 *
 * What every store promises, and `test/conformance/object-store-suite.ts` checks:
 * O1 whole: a reader sees an object as one put left it, never a part of it and never a mixture;
 * O2 durable: when a put or delete has resolved, a power failure does not undo it (as far as the
 *    medium can promise that);
 * O3 nothing half-done: a put that failed or was aborted leaves the key as it was, and so does one
 *    whose process was killed. One exception no store can avoid: when only the last answer was lost,
 *    the object may be there, whole;
 * O4 create-only: of any number of `putIfAbsent` calls for a key, in any processes, exactly one
 *    resolves to true.
 *
 * All methods may be called at any time, concurrently. Errors are `StateBackendError`; an aborted
 * call rejects with `SNAPSHOT_ABORTED` or the signal's own `StateBackendError`, and the signal is
 * looked at between chunks, not within one. A bad key, prefix or range is `INVALID_ARGUMENT`. Where
 * the medium fails: `STORAGE_FAILED`, `DISK_FULL` or `DIRECTORY_NOT_WRITABLE`, all of kind
 * 'unavailable', so the call may be repeated.
 */
import { StateBackendError } from '../errors.js'
import type { ObjectBody } from './object-body.js'

export { bodyOfBytes, bodyOfFile, type ObjectBody } from './object-body.js'

export interface ObjectInfo {
  readonly key: string
  readonly sizeBytes: number
  /**
   * When its bytes were stored, in milliseconds since the epoch: by the store's own clock, which may
   * differ from this machine's, and as fine as the medium keeps it (whole seconds on S3). Never a
   * reason to take one of two objects for the later one.
   */
  readonly lastModifiedMs: number
}

/**
 * What a put holds in the store while it is running, and leaves there when its process is killed.
 * No object: it has no key, `list` never shows it, nothing can be read from it.
 */
export interface UnfinishedUpload {
  /** The store's own name for it, of any form. Only `discardUnfinished` of the same store takes it. */
  readonly id: string
  /** What it holds so far; 0 where the store cannot tell. */
  readonly sizeBytes: number
  /** When it was last written to, or begun where the store keeps only that; as in `ObjectInfo`. */
  readonly lastModifiedMs: number
}

export interface ObjectStoreOptions {
  readonly signal?: AbortSignal | undefined
}

/** Bytes [offset, offset + length) of an object, both integers from 0. */
export interface ObjectRange {
  readonly offset: number
  readonly length: number
}

export interface ObjectGetOptions extends ObjectStoreOptions {
  readonly range?: ObjectRange | undefined
}

export interface ObjectStore {
  /** For messages: 'directory /x/y'. Never holds a secret. */
  readonly description: string

  readonly supports: {
    /**
     * Whether `putIfAbsent` is known to keep O4. Where not, it refuses every call; or it leaves what
     * is there as it is and fails to tell two calls at once apart, which may both resolve to true,
     * and the bytes of one of them stay.
     */
    readonly conditionalPut: boolean
  }

  /**
   * Stores the body under `key`, in place of what was there. A body that does not make its
   * `sizeBytes` is `STORAGE_FAILED`.
   */
  put(key: string, body: ObjectBody, options?: ObjectStoreOptions): Promise<void>

  /**
   * Stores `bytes` under `key` if nothing is there; see `supports.conditionalPut`. True: created.
   * False: something is there already, and was left as it is. `bytes` must not change until the promise settles.
   */
  putIfAbsent(key: string, bytes: Uint8Array, options?: ObjectStoreOptions): Promise<boolean>

  /**
   * The object's bytes, or those of `range`. Rejects with `OBJECT_MISSING` when there is none; an
   * object deleted right after may reject at the first chunk instead.
   *
   * A range is clipped to the object: one that reaches past the end gives the bytes there are, one
   * that starts at or past the end, or has length 0, gives none. So who needs an exact length
   * counts. The result can be iterated once; nothing is held open before the first chunk or after
   * the iteration ends. Chunks are the caller's own.
   */
  get(key: string, options?: ObjectGetOptions): Promise<AsyncIterable<Uint8Array>>

  /**
   * All objects whose key starts with `prefix`, in the order of their keys' UTF-8 bytes. `prefix`
   * is a plain string:
   *
   * - `list('')` gives everything;
   * - `list('a')` gives 'a', 'a/b' and also 'ab'; pass 'a/' for what lies below `a`;
   * - `list('a/b')` gives 'a/b', 'a/b/c' and 'a/bc'.
   *
   * An object that is there from start to end is given once; one put or deleted meanwhile, once or
   * not at all.
   */
  list(prefix: string, options?: ObjectStoreOptions): AsyncIterable<ObjectInfo>

  /**
   * Deletes any number of objects; absent ones are fine. On failure some may be gone: repeat the
   * call.
   */
  delete(keys: readonly string[], options?: ObjectStoreOptions): Promise<void>

  /**
   * The unfinished uploads of the whole store, whichever job's and whichever process's, in no order.
   * Those of puts that are running are among them: only their age tells who was left by a crash.
   * When no put is running anywhere and none was killed, there are none.
   */
  listUnfinished(options?: ObjectStoreOptions): AsyncIterable<UnfinishedUpload>

  /**
   * Removes unfinished uploads; absent ones are fine, an id of another form than the store's own is
   * `INVALID_ARGUMENT`. Touches no object, whatever the ids are. A put whose upload is removed under
   * it fails, with its key left as it was (O3). On failure some may be gone: repeat the call.
   */
  discardUnfinished(ids: readonly string[], options?: ObjectStoreOptions): Promise<void>
}

/** The error of `get` where nothing is stored. */
export function objectMissing(
  key: string,
  description: string,
  cause?: unknown,
): StateBackendError {
  return new StateBackendError(
    'OBJECT_MISSING',
    `There is no object ${key} in ${description}. Check that this is the storage it was written to, and that nothing else ` +
      'deletes from it; an earlier checkpoint may still be whole.',
    { cause, details: { key } },
  )
}

/** Throws `INVALID_ARGUMENT` unless both numbers of the range are integers from 0. */
export function checkRange(range: ObjectRange | undefined): void {
  if (range === undefined) return
  const { offset, length } = range
  if (Number.isSafeInteger(offset) && Number.isSafeInteger(length) && offset >= 0 && length >= 0) {
    return
  }
  throw new StateBackendError(
    'INVALID_ARGUMENT',
    `A range of offset ${offset} and length ${length} names no bytes. Both must be integers from 0.`,
    { details: { offset, length } },
  )
}
