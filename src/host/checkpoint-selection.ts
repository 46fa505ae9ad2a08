/**
 * Which checkpoint a job goes on from: its newest, one of its own by id, or a snapshot from elsewhere.
 *
 * Invariants
 * V1 A checkpoint of a later attempt (epoch) is newer than any of an earlier one, whatever the ids: an attempt that did not know yet that
 *    it was fenced may have published a higher id.
 * V2 Nothing is passed over unless `walkBack` was asked for, and then it is said.
 */
import type { CompletedCheckpoint } from '../checkpoint/completed-checkpoint.js'
import { mapLimit } from '../common/concurrency.js'
import { isDataError, StateBackendError } from '../errors.js'
import { readCheckpoint } from '../restore/read-checkpoint.js'
import type { SnapshotLocation } from '../restore/snapshot-location.js'
import { verifyCheckpoint } from '../restore/verify-checkpoint.js'
import type { CheckpointStateReader } from '../storage/checkpoint-state-reader.js'
import type { CheckpointStorage } from '../storage/checkpoint-storage.js'

/** `_metadata` objects read at a time. */
const METADATA_READS_MAX = 8

/**
 * - `CLAIM`: the snapshot becomes the job's own: it counts as retained, and is deleted when newer checkpoints take its place.
 * - `NO_CLAIM`: it is never changed or deleted, and the first checkpoint is a full one; after that the job does not need it any more.
 */
export type ClaimMode = 'CLAIM' | 'NO_CLAIM'

/** What to restore. Nothing given: the job's newest checkpoint, or an empty start when there is none. */
export type RestoreSource =
  | {
      /** One of the job's own. Those that are newer are given up when the next checkpoint is completed. */
      readonly checkpointId?: number | undefined
      /**
       * Verifies the checkpoint before it is restored, and goes back to the newest one that verifies; what was passed over is told as
       * warnings. All state is read once more.
       */
      readonly walkBack?: boolean | undefined
    }
  | {
      /** A savepoint, or another job's checkpoint: what `openSnapshot` found. */
      readonly snapshot: SnapshotLocation
      /** Default `NO_CLAIM`. */
      readonly claimMode?: ClaimMode | undefined
    }

export interface RestoredCheckpoint {
  readonly checkpoint: CompletedCheckpoint
  /** To be given to `createKeyedStateBackend` as `checkpointStorage`. */
  readonly state: CheckpointStateReader
}

/** A `_metadata` in the job's folder, and what could be read of it. */
export interface StoredCheckpoint {
  readonly checkpointId: number
  readonly read:
    { readonly checkpoint: CompletedCheckpoint } | { readonly error: StateBackendError }
}

interface Abortable {
  readonly signal?: AbortSignal | undefined
}

/** From the oldest to the newest (V1). Damaged ones are among them; rejects when storage fails. */
export async function storedCheckpoints(
  storage: CheckpointStorage,
  options: Abortable,
): Promise<StoredCheckpoint[]> {
  const stored = await mapLimit(
    await storage.listCheckpoints(options),
    METADATA_READS_MAX,
    async (checkpointId, signal) => ({
      checkpointId,
      read: await readStored(storage, checkpointId, { signal }),
    }),
    options.signal,
  )
  const epochs = stored.flatMap(({ read }) => ('error' in read ? [] : read.checkpoint.epoch))
  // One that cannot be read may be of the newest attempt: it is not passed over for its damage.
  const unknownEpoch = epochs.reduce((highest, epoch) => Math.max(highest, epoch), 0)
  const epochOf = ({ read }: StoredCheckpoint): number =>
    'error' in read ? unknownEpoch : read.checkpoint.epoch
  return stored.sort((a, b) => epochOf(a) - epochOf(b) || a.checkpointId - b.checkpointId)
}

async function readStored(
  storage: CheckpointStorage,
  checkpointId: number,
  options: Abortable,
): Promise<StoredCheckpoint['read']> {
  try {
    const checkpoint = await readCheckpoint(storage, checkpointId, options)
    if (checkpoint.snapshotType === 'savepoint')
      throw savepointAmongCheckpoints(storage, checkpointId)
    if (checkpoint.checkpointId === checkpointId) return { checkpoint }
    throw new StateBackendError(
      'METADATA_DAMAGED',
      `_metadata of checkpoint ${checkpointId} of job ${storage.jobId} is that of checkpoint ${checkpoint.checkpointId}. Somebody copied ` +
        'it: remove the copy, or restore another checkpoint.',
      { details: { checkpointId, found: checkpoint.checkpointId } },
    )
  } catch (error) {
    if (isDataError(error)) return { error }
    throw error
  }
}

/** What it names is relative to its own folder, and would be looked for, and deleted, elsewhere. */
function savepointAmongCheckpoints(
  { jobId }: CheckpointStorage,
  checkpointId: number,
): StateBackendError {
  return new StateBackendError(
    'METADATA_DAMAGED',
    `_metadata of checkpoint ${checkpointId} of job ${jobId} is a savepoint that somebody put there. Move its folder out of ${jobId}/, then ` +
      'restore it by { snapshot }.',
    { details: { checkpointId } },
  )
}

/** Picks one of `stored`, the job's own. `undefined` when there is none at all. */
export async function selectCheckpoint(
  stored: readonly StoredCheckpoint[],
  storage: CheckpointStorage,
  source: { readonly checkpointId?: number | undefined; readonly walkBack?: boolean | undefined },
  options: Abortable & { readonly onWarning: (warning: StateBackendError) => void },
): Promise<CompletedCheckpoint | undefined> {
  const candidates = [...throughId(stored, storage, source.checkpointId)].reverse()
  let newestDamage: StateBackendError | undefined
  for (const { checkpointId, read } of candidates) {
    const found = await restorable(storage, read, source.walkBack === true, options)
    if (!(found instanceof StateBackendError)) return found
    if (source.walkBack !== true) throw found
    newestDamage ??= found
    options.onWarning(passedOverWarning(checkpointId, found))
  }
  if (newestDamage !== undefined) throw newestDamage
  return undefined
}

function throughId(
  stored: readonly StoredCheckpoint[],
  storage: CheckpointStorage,
  checkpointId: number | undefined,
): readonly StoredCheckpoint[] {
  if (checkpointId === undefined) return stored
  const index = stored.findIndex((each) => each.checkpointId === checkpointId)
  if (index >= 0) return stored.slice(0, index + 1)
  const ids = stored.map((each) => each.checkpointId).join(', ') || 'none'
  throw new StateBackendError(
    'OBJECT_MISSING',
    `Job ${storage.jobId} has no checkpoint ${checkpointId} in ${storage.objectStore.description}. It has: ${ids}.`,
    { details: { jobId: storage.jobId, checkpointId } },
  )
}

/** The checkpoint, or why it cannot be restored. */
async function restorable(
  storage: CheckpointStorage,
  read: StoredCheckpoint['read'],
  verify: boolean,
  options: Abortable,
): Promise<CompletedCheckpoint | StateBackendError> {
  if ('error' in read) return read.error
  const damage = verify ? await damageOf(storage, read.checkpoint, options) : undefined
  return damage ?? read.checkpoint
}

async function damageOf(
  storage: CheckpointStorage,
  checkpoint: CompletedCheckpoint,
  { signal }: Abortable,
): Promise<StateBackendError | undefined> {
  const { problems } = await verifyCheckpoint(storage, checkpoint, { signal })
  const [first] = problems
  if (first === undefined) return undefined
  const { checkpointId } = checkpoint
  return new StateBackendError(
    first.code,
    `Checkpoint ${checkpointId} cannot be restored: ${problems.length} of its objects are missing or damaged. ${first.message}`,
    { details: { checkpointId, object: first.location, problems: problems.length } },
  )
}

function passedOverWarning(checkpointId: number, cause: StateBackendError): StateBackendError {
  return new StateBackendError(
    cause.code,
    `CHECKPOINT ${checkpointId} WAS PASSED OVER, because walking back was asked for: what happened after the checkpoint before it will be ` +
      `done again. ${cause.message}`,
    { cause, details: { checkpointId } },
  )
}
