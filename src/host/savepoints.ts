/** What a savepoint that came to nothing leaves in storage, and its removal. */
import { decodeCheckpointMetadata } from '../checkpoint/checkpoint-metadata.js'
import { statesOf } from '../checkpoint/completed-checkpoint.js'
import type { IncrementalRemoteKeyedStateHandle } from '../checkpoint/keyed-state-handle.js'
import { isDataError } from '../errors.js'
import { METADATA_NAME, readMetadataObject } from '../storage/metadata-object.js'
import type { CheckpointStorage } from '../storage/checkpoint-storage.js'
import type { PendingCheckpoint } from './pending-checkpoint.js'

/**
 * Deletes what the tasks acknowledged of an aborted savepoint; `_metadata` first, when its publication was taken for failed and was not.
 * Only what this very savepoint wrote: the folder may be somebody else's by now. Rejects when storage refuses.
 */
export async function discardSavepoint(
  storage: CheckpointStorage,
  { options }: PendingCheckpoint,
  handles: readonly (IncrementalRemoteKeyedStateHandle | null | undefined)[],
): Promise<void> {
  const { checkpointId, epoch, checkpointOptions } = options
  const { target } = checkpointOptions
  const folder = `${target.savepointFolder}/`
  if (await isPublishedBy(storage, folder, epoch, checkpointId)) {
    await storage.objectStore.delete([folder + METADATA_NAME])
  }
  const states = handles.flatMap((handle) => (handle ? statesOf(handle) : []))
  await storage.streamFactory(checkpointId, target).discard(states)
}

async function isPublishedBy(
  { objectStore, jobId }: CheckpointStorage,
  folder: string,
  epoch: number,
  checkpointId: number,
): Promise<boolean> {
  try {
    const bytes = await readMetadataObject(objectStore, folder, {})
    const found = decodeCheckpointMetadata(bytes, folder)
    return found.jobId === jobId && found.epoch === epoch && found.checkpointId === checkpointId
  } catch (error) {
    if (isDataError(error)) return false
    throw error
  }
}
