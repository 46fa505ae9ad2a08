/**
 * `_metadata`: what a completed checkpoint consists of. A checkpoint exists exactly when this object does (C3).
 *
 * Layout, version 1; integers are little-endian:
 *
 *     offset    bytes
 *     0         8    magic: 4c 53 42 4d 45 54 41 0a, "LSBMETA" and a line feed
 *     8         4    format version: 1
 *     12        4    n, the payload's length in bytes
 *     16        n    payload: one JSON object in UTF-8, readable with `tail -c +17`
 *     16 + n    32   SHA-256 of everything before it
 *
 * The payload is
 *
 *     { checkpointId, snapshotType, epoch, timestampMs, jobId,
 *       operators: [{ operatorId, maxParallelism, subtasks: [{ subtaskIndex, keyedStateHandle }] }],
 *       hostData }
 *
 * with the subtasks of an operator in the order of their indices, so that its parallelism is their number; `keyedStateHandle` is null
 * for a subtask without state, else the fields of an `IncrementalRemoteKeyedStateHandle`; `hostData` is the host's own, such as the
 * position of its source.
 *
 * Written to disk: another meaning of these bytes is another version.
 */
import { Buffer } from 'node:buffer'
import { createHash } from 'node:crypto'
import { StateBackendError } from '../errors.js'
import { parseCheckpointPayload } from './checkpoint-payload.js'
import type { CompletedCheckpoint } from './completed-checkpoint.js'
import { checkJsonValue } from './json-value.js'

const CHECKPOINT_METADATA_VERSION = 1

const MAGIC: Buffer = Buffer.from('LSBMETA\n', 'latin1')
const HEADER_BYTES = 16
const DIGEST_BYTES = 32

/** @throws StateBackendError `INVALID_ARGUMENT`: host data that JSON cannot hold. */
export function encodeCheckpointMetadata(checkpoint: CompletedCheckpoint): Buffer {
  const { checkpointId, snapshotType, epoch, timestampMs, jobId, operators, hostData } = checkpoint
  checkJsonValue('hostData', hostData)
  const payload = Buffer.from(
    JSON.stringify({
      checkpointId,
      snapshotType,
      epoch,
      timestampMs,
      jobId,
      operators,
      hostData,
    }),
  )
  const header = Buffer.alloc(HEADER_BYTES)
  header.set(MAGIC)
  header.writeUInt32LE(CHECKPOINT_METADATA_VERSION, 8)
  header.writeUInt32LE(payload.length, 12)
  return Buffer.concat([header, payload, sha256(header, payload)])
}

/**
 * The inverse. `name` says in errors which object the bytes are. Throws `METADATA_VERSION_UNKNOWN` for a newer format, else
 * `METADATA_DAMAGED` for bytes that `encodeCheckpointMetadata` cannot have written.
 */
export function decodeCheckpointMetadata(bytes: Buffer, name: string): CompletedCheckpoint {
  const magicLength = Math.min(bytes.length, MAGIC.length)
  if (!bytes.subarray(0, magicLength).equals(MAGIC.subarray(0, magicLength))) {
    throw metadataDamaged(name, 'does not begin as a checkpoint does', 0)
  }
  if (bytes.length < HEADER_BYTES) throw metadataDamaged(name, 'is cut off', bytes.length)
  checkVersion(bytes.readUInt32LE(8), name)
  const payloadEnd = HEADER_BYTES + bytes.readUInt32LE(12)
  const end = payloadEnd + DIGEST_BYTES
  if (bytes.length < end) throw metadataDamaged(name, 'is cut off', bytes.length)
  if (bytes.length > end) throw metadataDamaged(name, 'has bytes after its end', end)
  if (!sha256(bytes.subarray(0, payloadEnd)).equals(bytes.subarray(payloadEnd))) {
    throw metadataDamaged(name, 'does not have the SHA-256 it ends with')
  }
  return parseCheckpointPayload(bytes.toString('utf8', HEADER_BYTES, payloadEnd), name)
}

function checkVersion(version: number, name: string): void {
  if (version === CHECKPOINT_METADATA_VERSION) return
  if (version < CHECKPOINT_METADATA_VERSION) {
    throw metadataDamaged(name, `has format version ${version}, which never was`, 8)
  }
  throw new StateBackendError(
    'METADATA_VERSION_UNKNOWN',
    `${name} has format version ${version}, this program reads ${CHECKPOINT_METADATA_VERSION}. Restore it with the version of ` +
      'level-state-backend that wrote it, or a later one.',
    { details: { object: name, version } },
  )
}

function sha256(...parts: readonly Uint8Array[]): Buffer {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(part)
  return hash.digest()
}

function metadataDamaged(name: string, how: string, offset?: number): StateBackendError {
  return new StateBackendError(
    'METADATA_DAMAGED',
    `${name} is damaged: it ${how}${offset === undefined ? '' : ` (byte ${offset})`}. Restore another checkpoint, and check the ` +
      'storage: what else it holds may have suffered too.',
    { details: offset === undefined ? { object: name } : { object: name, offset } },
  )
}
