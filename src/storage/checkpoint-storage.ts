/**
 * Where a job's checkpoints live in an object store: the layout and the naming. What the bytes mean is not known here.
 *
 *     <job>/chk-<id>/_metadata              the checkpoint; it exists exactly when this object does
 *     <job>/chk-<id>/<epoch>-<unique>       exclusive state: of this checkpoint alone, deleted with it
 *     <job>/shared/<epoch>-<unique>.ldb     shared state: of any number of checkpoints, deleted by their registry
 *     <job>/epochs/<n>                      claimed by the n-th attempt at running the job
 *     <savepoint folder>/_metadata          a savepoint: one folder of the user's choice, outside `<job>/`
 *     <savepoint folder>/<epoch>-<unique>.ldb
 *
 * C2 a handle is made only after its bytes are durable, and its SHA-256 is of the very bytes that
 *    were sent;
 * C3 `_metadata` is written once, whole, create-if-absent; and deleted before anything it names;
 * C4 a name is made for each write from a random id, never from content or a file number;
 * C6 a name begins with the epoch of the attempt that made it; only the highest epoch may complete a checkpoint.
 *
 * `location` in a handle is relative to `<job>/`, or to the savepoint's folder, so either can be moved or copied whole.
 */
import type { Buffer } from 'node:buffer'
import { randomUUID } from 'node:crypto'
import { assert } from '../common/assert.js'
import { StateBackendError } from '../errors.js'
import { CheckpointStateReader } from './checkpoint-state-reader.js'
import {
  CheckpointStreamWriter,
  type CheckpointStreamFactory,
  type CheckpointTarget,
} from './checkpoint-stream-factory.js'
import { METADATA_NAME, readMetadataObject, writeMetadataObject } from './metadata-object.js'
import { checkPrefix, checkSegment } from './object-key.js'
import type { ObjectInfo, ObjectStore, ObjectStoreOptions } from './object-store.js'

export {
  CheckpointedStateScope,
  type CheckpointStreamFactory,
  type CheckpointStreamWriteOptions,
  type CheckpointTarget,
} from './checkpoint-stream-factory.js'
export type { StreamStateHandle } from './stream-state-handle.js'

/**
 * State at or under this size is kept in the handle: one small object per state would cost more
 * than it holds.
 */
const inlineThresholdDefaultBytes = 20 * 1024
/** All inline state of a checkpoint is held in memory and in one `_metadata`. */
const inlineThresholdMaxBytes = 1024 * 1024
/** Keys gathered from a listing before they are deleted. */
const discardBatchKeys = 1000
/** Attempts that may be starting at the same time as this one, each claiming an epoch before it. */
const epochClaimsMax = 64

const sharedFolder = 'shared/'
const epochsFolder = 'epochs/'
/** Where savepoints are put that nobody names a folder for: no job may own it. */
const savepointsFolder = 'savepoints'

export interface CheckpointStorageOptions {
  /** One valid segment of an object key. Two running jobs must not share it within a store. */
  readonly jobId: string
  /** In bytes, 0 to `inlineThresholdMaxBytes`, both included. */
  readonly inlineThresholdBytes?: number | undefined
  /**
   * Each call must give another name, never given before to this job by any process. Default:
   * random UUIDs. Objects with names of another form are never taken for orphans.
   */
  readonly randomId?: (() => string) | undefined
}

/** An object below the job's folder. */
export interface CheckpointObject extends Omit<ObjectInfo, 'key'> {
  /** Relative to the job's folder. */
  readonly location: string
}

/** Also reads the state of handles: those of the job's own checkpoints. */
export class CheckpointStorage extends CheckpointStateReader {
  readonly jobId: string
  readonly objectStore: ObjectStore
  readonly #inlineThresholdBytes: number
  readonly #randomId: () => string

  /** Touches nothing yet. `INVALID_ARGUMENT` for a job id or threshold out of its range. */
  constructor(objectStore: ObjectStore, options: CheckpointStorageOptions) {
    checkSegment('a job id', options.jobId)
    if (options.jobId === savepointsFolder) {
      throw new StateBackendError(
        'INVALID_ARGUMENT',
        `A job cannot be called ${savepointsFolder}: that folder holds the savepoints of all jobs. Give it another jobId.`,
      )
    }
    const threshold = options.inlineThresholdBytes ?? inlineThresholdDefaultBytes
    if (!Number.isSafeInteger(threshold) || threshold < 0 || threshold > inlineThresholdMaxBytes) {
      throw new StateBackendError(
        'INVALID_ARGUMENT',
        `inlineThresholdBytes is ${threshold}. Give an integer from 0 to ${inlineThresholdMaxBytes}, or leave it out.`,
      )
    }
    super(objectStore, { root: `${options.jobId}/`, reusable: sharedFolder })
    this.jobId = options.jobId
    this.objectStore = objectStore
    this.#inlineThresholdBytes = threshold
    this.#randomId = options.randomId ?? randomUUID
  }

  /**
   * For one attempt at checkpoint `checkpointId`, an integer from 1. `target` is that of the `CheckpointOptions` that a coordinator
   * gave.
   */
  streamFactory(checkpointId: number, target: CheckpointTarget = {}): CheckpointStreamFactory {
    checkCheckpointId(checkpointId)
    const { epoch = 0, savepointFolder } = target
    const inSavepoint = savepointFolder !== undefined
    return new CheckpointStreamWriter({
      checkpointId,
      target,
      objectStore: this.objectStore,
      inlineThresholdBytes: this.#inlineThresholdBytes,
      newName: () => `${epoch}-${this.#randomId()}`,
      root: inSavepoint ? this.#savepointRoot(savepointFolder) : `${this.jobId}/`,
      folders: {
        exclusive: inSavepoint ? '' : chkFolder(checkpointId),
        shared: inSavepoint ? '' : sharedFolder,
      },
    })
  }

  /** A folder for a savepoint that nobody else makes, outside the job's own, which may be deleted without it. */
  newSavepointFolder(checkpointId: number): string {
    return `${savepointsFolder}/${this.jobId}-${checkpointId}-${this.#randomId().slice(0, 8)}`
  }

  /** With a '/' at its end. `INVALID_ARGUMENT`: no folder, or one that belongs to the job's own checkpoints. */
  #savepointRoot(folder: string): string {
    const root = `${folder}/`
    checkPrefix(root)
    if (!root.startsWith(`${this.jobId}/`)) return root
    throw new StateBackendError(
      'INVALID_ARGUMENT',
      `A savepoint cannot be in ${folder}: ${this.jobId}/ holds the job's own checkpoints. Give it a folder beside that.`,
      { details: { folder } },
    )
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
    await writeMetadataObject(this.objectStore, this.#folderOf(checkpointId), bytes, options)
  }

  /** Publishes a savepoint, as `writeMetadata` does a checkpoint. */
  async writeSavepointMetadata(
    folder: string,
    bytes: Uint8Array,
    options: ObjectStoreOptions = {},
  ): Promise<void> {
    await writeMetadataObject(this.objectStore, this.#savepointRoot(folder), bytes, options)
  }

  /**
   * The bytes of `_metadata`, the caller's own. `OBJECT_MISSING` when there is no such checkpoint.
   */
  async readMetadata(checkpointId: number, options: ObjectStoreOptions = {}): Promise<Buffer> {
    return readMetadataObject(this.objectStore, this.#folderOf(checkpointId), options)
  }

  /** Everything below the job's folder. */
  async *listObjects(options: ObjectStoreOptions = {}): AsyncIterable<CheckpointObject> {
    for await (const { key, ...info } of this.objectStore.list(`${this.jobId}/`, options)) {
      yield { location: key.slice(this.jobId.length + 1), ...info }
    }
  }

  /** The ids of the checkpoints that exist, ascending. */
  async listCheckpoints(options: ObjectStoreOptions = {}): Promise<number[]> {
    const ids: number[] = []
    for await (const { id, name } of this.#checkpointObjects(options)) {
      if (name === METADATA_NAME) ids.push(id)
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
    for await (const { key } of this.objectStore.list(`${folder}chk-`, options)) {
      const [, digits, name] = /^chk-([1-9][0-9]*)\/(.+)$/.exec(key.slice(folder.length)) ?? []
      const id = Number(digits)
      if (name !== undefined && Number.isSafeInteger(id)) yield { id, name }
    }
  }

  /**
   * Takes the publication back: from then on the checkpoint does not exist (C3). What it named stays, and is for `deleteState`; absent is
   * fine.
   */
  async deleteMetadata(checkpointId: number, options: ObjectStoreOptions = {}): Promise<void> {
    await this.objectStore.delete([this.#folderOf(checkpointId) + METADATA_NAME], options)
  }

  /**
   * Deletes a checkpoint and all that is found in its folder; absent is fine, and so is a repetition
   * after a failure. Shared state stays. When this stops half-way, the checkpoint is gone and some
   * exclusive state is left over (C3).
   */
  async discardCheckpoint(checkpointId: number, options: ObjectStoreOptions = {}): Promise<void> {
    await this.deleteMetadata(checkpointId, options)
    await this.#deleteAll(this.#folderOf(checkpointId), options)
  }

  /** Deletes what the attempt with `epoch` wrote for a checkpoint that was not published; absent is fine. */
  async discardUnpublished(
    checkpointId: number,
    epoch: number,
    options: ObjectStoreOptions = {},
  ): Promise<void> {
    await this.#deleteAll(`${this.#folderOf(checkpointId)}${epoch}-`, options)
  }

  async #deleteAll(prefix: string, options: ObjectStoreOptions): Promise<void> {
    let keys: string[] = []
    for await (const { key } of this.objectStore.list(prefix, options)) {
      keys.push(key)
      if (keys.length < discardBatchKeys) continue
      await this.objectStore.delete(keys, options)
      keys = []
    }
    if (keys.length > 0) await this.objectStore.delete(keys, options)
  }

  /**
   * Deletes shared and exclusive state that no `_metadata` in storage needs any more; absent is fine. For who has all of it registered
   * (C4).
   */
  async deleteState(locations: readonly string[], options: ObjectStoreOptions = {}): Promise<void> {
    for (const location of locations) {
      const [, name] = /^(?:shared|chk-[1-9][0-9]*)\/([^/]+)$/.exec(location) ?? []
      const isState = name !== undefined && name !== METADATA_NAME
      assert(isState, 'state alone is deleted as such', { location })
    }
    await this.deleteObjects(locations, options)
  }

  /** Deletes objects of the job, whatever they are; absent is fine. For who has decided that nobody needs them. */
  async deleteObjects(
    locations: readonly string[],
    options: ObjectStoreOptions = {},
  ): Promise<void> {
    if (locations.length === 0) return
    const keys = locations.map((location) => `${this.jobId}/${location}`)
    await this.objectStore.delete(keys, options)
  }

  /**
   * Begins an attempt at running the job: claims the epoch after the highest there is. From then on the attempts before it can complete
   * no checkpoint (C6). `CHECKPOINT_FAILED` when others keep starting at the same time.
   */
  async claimEpoch(options: ObjectStoreOptions = {}): Promise<number> {
    const mark = new TextEncoder().encode(`claimed by ${this.#randomId()}\n`)
    for (let claims = 0; claims < epochClaimsMax; claims++) {
      const epoch = Math.max(0, ...(await this.#epochs(options))) + 1
      if (!(await this.objectStore.putIfAbsent(this.#epochKey(epoch), mark, options))) continue
      // What was listed may have been claimed and removed since: only who sees nobody above has the highest.
      const epochs = await this.#epochs(options)
      if (epochs.some((other) => other > epoch)) continue
      const lower = epochs.filter((other) => other < epoch)
      await this.objectStore.delete(
        lower.map((other) => this.#epochKey(other)),
        options,
      )
      return epoch
    }
    throw new StateBackendError(
      'CHECKPOINT_FAILED',
      `Job ${this.jobId} was started ${epochClaimsMax} times while this attempt began. Let one process at a time run it, and start again.`,
      { details: { jobId: this.jobId } },
    )
  }

  /** Rejects with `ATTEMPT_FENCED` when a later attempt than `epoch` has begun. */
  async checkEpoch(epoch: number, options: ObjectStoreOptions = {}): Promise<void> {
    const highest = Math.max(0, ...(await this.#epochs(options)))
    if (highest <= epoch) return
    throw new StateBackendError(
      'ATTEMPT_FENCED',
      `Attempt ${highest} at running job ${this.jobId} has begun, so this one, ${epoch}, can complete no checkpoint any more. End this ` +
        'process; if the other one was started by mistake, end that and start this again.',
      { details: { jobId: this.jobId, epoch, highest } },
    )
  }

  async #epochs(options: ObjectStoreOptions): Promise<number[]> {
    const folder = `${this.jobId}/${epochsFolder}`
    const epochs: number[] = []
    for await (const { key } of this.objectStore.list(folder, options)) {
      const epoch = Number(/^[1-9][0-9]*$/.exec(key.slice(folder.length))?.[0])
      if (Number.isSafeInteger(epoch)) epochs.push(epoch)
    }
    return epochs
  }

  #epochKey(epoch: number): string {
    return `${this.jobId}/${epochsFolder}${epoch}`
  }

  #folderOf(checkpointId: number): string {
    checkCheckpointId(checkpointId)
    return `${this.jobId}/${chkFolder(checkpointId)}`
  }
}

function chkFolder(checkpointId: number): string {
  return `chk-${checkpointId}/`
}

function checkCheckpointId(checkpointId: number): void {
  if (Number.isSafeInteger(checkpointId) && checkpointId >= 1) return
  throw new StateBackendError(
    'INVALID_ARGUMENT',
    `${checkpointId} is no checkpoint id. Use integers from 1, each higher than all before.`,
    { details: { checkpointId } },
  )
}
