import { decodeCheckpointMetadata } from '../checkpoint/checkpoint-metadata.js'
import type { CompletedCheckpoint } from '../checkpoint/completed-checkpoint.js'
import type { CheckpointStorage } from '../storage/checkpoint-storage.js'
import type { ObjectStoreOptions } from '../storage/object-store.js'

/**
 * The `_metadata` in the folder of a job's checkpoint. Rejects with `OBJECT_MISSING`, `METADATA_DAMAGED`, `METADATA_VERSION_UNKNOWN` or a
 * storage code. It may say another id, where somebody copied it.
 */
export async function readCheckpoint(
  storage: CheckpointStorage,
  checkpointId: number,
  options: ObjectStoreOptions = {},
): Promise<CompletedCheckpoint> {
  const bytes = await storage.readMetadata(checkpointId, options)
  const name = `_metadata of checkpoint ${checkpointId} of job ${storage.jobId}`
  return decodeCheckpointMetadata(bytes, name)
}
