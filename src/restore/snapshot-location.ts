/**
 * Finds a savepoint, or a checkpoint of any job, by the folder it is in: wherever it was moved or copied to.
 *
 * N1 Nothing here writes but `disposeSnapshot`, which deletes `_metadata` first, and no object that another checkpoint beside it names.
 */
import { decodeCheckpointMetadata } from '../checkpoint/checkpoint-metadata.js'
import type { CompletedCheckpoint } from '../checkpoint/completed-checkpoint.js'
import { objectsOf } from '../checkpoint/completed-checkpoint.js'
import { isDataError, StateBackendError } from '../errors.js'
import { CheckpointStateReader } from '../storage/checkpoint-state-reader.js'
import { METADATA_NAME, readMetadataObject } from '../storage/metadata-object.js'
import type { ObjectStore, ObjectStoreOptions } from '../storage/object-store.js'

export interface SnapshotLocation {
  readonly objectStore: ObjectStore
  /** Without a '/' at its end; empty for the root of the store. */
  readonly folder: string
  readonly checkpoint: CompletedCheckpoint
  /** Reads the state that the handles of `checkpoint` name: to be given to `createKeyedStateBackend` with them. */
  readonly state: CheckpointStateReader
}

/**
 * `pointer` is the folder or the `_metadata` in it: 'savepoints/before-upgrade', 'flights/chk-7/_metadata', or '' where the store's root is
 * the savepoint itself. Rejects with `OBJECT_MISSING` when there is no `_metadata`, `METADATA_DAMAGED`, `METADATA_VERSION_UNKNOWN`, or
 * `INVALID_ARGUMENT` for a checkpoint whose job's folder lies above the store's root.
 */
export async function openSnapshot(
  objectStore: ObjectStore,
  pointer: string,
  options: ObjectStoreOptions = {},
): Promise<SnapshotLocation> {
  const folder = pointer.replace(/(^|\/)_metadata$/, '').replace(/\/$/, '')
  const bytes = await readMetadataObject(objectStore, withSlash(folder), options)
  const name = `${withSlash(folder)}${METADATA_NAME} in ${objectStore.description}`
  const checkpoint = decodeCheckpointMetadata(bytes, name)
  const root = rootOf(folder, checkpoint)
  return {
    objectStore,
    folder,
    checkpoint,
    state: new CheckpointStateReader(objectStore, { root }),
  }
}

/** What the locations in the handles are relative to. */
function rootOf(folder: string, { snapshotType, checkpointId }: CompletedCheckpoint): string {
  if (snapshotType === 'savepoint') return withSlash(folder)
  const own = `chk-${checkpointId}`
  if (folder === own || folder.endsWith(`/${own}`)) return folder.slice(0, -own.length)
  throw new StateBackendError(
    'INVALID_ARGUMENT',
    `${folder || 'The root of the store'} holds checkpoint ${checkpointId}, whose tables lie beside its folder ${own}, not in it. Open a ` +
      `store that holds the whole folder of the job, and name <job>/${own}. To copy state elsewhere, take a savepoint.`,
    { details: { folder, checkpointId } },
  )
}

function withSlash(folder: string): string {
  return folder === '' ? '' : `${folder}/`
}

/**
 * Deletes the snapshot: `_metadata`, then what it names. Of a checkpoint, shared state that another checkpoint of the same job names
 * stays; all of it does when another one cannot be read. May be repeated after a failure.
 */
export async function disposeSnapshot(
  { objectStore, folder, checkpoint }: SnapshotLocation,
  options: ObjectStoreOptions = {},
): Promise<void> {
  await objectStore.delete([withSlash(folder) + METADATA_NAME], options)
  const root = rootOf(folder, checkpoint)
  const { shared, exclusive } = objectsOf(checkpoint)
  const needed = await neededBeside(objectStore, root, checkpoint, options)
  const unneeded = needed === undefined ? [] : shared.filter((location) => !needed.has(location))
  await objectStore.delete(
    [...exclusive, ...unneeded].map((location) => root + location),
    options,
  )
}

/** The shared state that the other checkpoints of the job name; `undefined` when that cannot be told. */
async function neededBeside(
  objectStore: ObjectStore,
  root: string,
  { snapshotType }: CompletedCheckpoint,
  options: ObjectStoreOptions,
): Promise<Set<string> | undefined> {
  const needed = new Set<string>()
  if (snapshotType === 'savepoint') return needed
  for await (const { key } of objectStore.list(`${root}chk-`, options)) {
    const folder = /^(chk-[0-9]+)\/_metadata$/.exec(key.slice(root.length))?.[1]
    if (folder === undefined) continue
    try {
      const { checkpoint } = await openSnapshot(objectStore, root + folder, options)
      for (const location of objectsOf(checkpoint).shared) needed.add(location)
    } catch (error) {
      if (isDataError(error)) return undefined
      throw error
    }
  }
  return needed
}
