/**
 * The `_metadata` object of a folder: a checkpoint or savepoint exists exactly when it does.
 *
 * C3 It is written once, whole, create-if-absent; and deleted before anything it names.
 */
import { Buffer } from 'node:buffer'
import { StateBackendError } from '../errors.js'
import type { ObjectStore, ObjectStoreOptions } from './object-store.js'

/** A `_metadata` object: a thousand tasks with a thousand tables each fit. */
const metadataMaxBytes = 256 * 1024 * 1024

export const METADATA_NAME = '_metadata'

/** `folder` ends in '/'. `OBJECT_EXISTS` when something was published there before; that stays as it is. */
export async function writeMetadataObject(
  objectStore: ObjectStore,
  folder: string,
  bytes: Uint8Array,
  options: ObjectStoreOptions,
): Promise<void> {
  const key = folder + METADATA_NAME
  if (bytes.length > metadataMaxBytes) {
    throw new StateBackendError(
      'INVALID_ARGUMENT',
      `Metadata of ${bytes.length} bytes is more than the ${metadataMaxBytes} that can be read back. ` +
        'Inline less state (inlineThresholdBytes).',
      { details: { key, sizeBytes: bytes.length } },
    )
  }
  if (await objectStore.putIfAbsent(key, bytes, options)) return
  throw new StateBackendError(
    'OBJECT_EXISTS',
    `${key} is in ${objectStore.description} already and was left as it is. Checkpoint ids and savepoint folders are used once: go on ` +
      'above highestCheckpointId(), or give the savepoint another folder, and see that no second attempt of the job is running.',
    { details: { key } },
  )
}

/** The bytes are the caller's own. `OBJECT_MISSING` when the folder holds no checkpoint and no savepoint. */
export async function readMetadataObject(
  objectStore: ObjectStore,
  folder: string,
  options: ObjectStoreOptions,
): Promise<Buffer> {
  const key = folder + METADATA_NAME
  const chunks: Uint8Array[] = []
  let sizeBytes = 0
  for await (const chunk of await objectStore.get(key, options)) {
    sizeBytes += chunk.length
    if (sizeBytes > metadataMaxBytes) {
      throw new StateBackendError(
        'METADATA_DAMAGED',
        `${key} is larger than any metadata this package writes (${metadataMaxBytes} bytes). Restore another checkpoint.`,
        { details: { key } },
      )
    }
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}
