/** How far a job had read its source at a checkpoint: what a `LocalStreamJob` keeps as host data. */
import type { CompletedCheckpoint } from '../checkpoint/completed-checkpoint.js'
import { copyOfJsonValue, type JsonValue } from '../checkpoint/json-value.js'
import { StateBackendError } from '../errors.js'

export interface SourceProgress {
  /** `undefined` before the first batch. */
  readonly position: JsonValue | undefined
  /** Records whose effect is in the state. */
  readonly recordsInState: number
}

/**
 * After `records` more, which end at `position`: a copy, since the source may change its own while it reads on. Throws `INVALID_ARGUMENT` for
 * a position that JSON cannot hold; `undefined` is one, and would be read as the beginning.
 */
export function advanced(
  { recordsInState }: SourceProgress,
  position: JsonValue,
  records: number,
): SourceProgress {
  return {
    position: copyOfJsonValue('position', position),
    recordsInState: recordsInState + records,
  }
}

export function hostDataOf({ position, recordsInState }: SourceProgress): JsonValue {
  return position === undefined ? { recordsInState } : { position, recordsInState }
}

/** Throws `RESTORE_MISMATCH` when the checkpoint is not one of such an operator in a local job. */
export function readProgress(
  { checkpointId, operators, hostData }: CompletedCheckpoint,
  job: { operatorId: string; maxParallelism: number },
): SourceProgress {
  const found = operators.map(({ operatorId, maxParallelism }) => `${operatorId}/${maxParallelism}`)
  const wanted = `${job.operatorId}/${job.maxParallelism}`
  const fields = typeof hostData === 'object' && hostData !== null ? { ...hostData } : {}
  const { position, recordsInState } = fields as Record<string, JsonValue | undefined>
  if (found.join() === wanted && typeof recordsInState === 'number') {
    return { position, recordsInState }
  }
  throw new StateBackendError(
    'RESTORE_MISMATCH',
    `Checkpoint ${checkpointId} has the operators ${found.join(', ')} (operator id/maximum parallelism); this job has ${wanted}` +
      `${typeof recordsInState === 'number' ? '' : ', and the checkpoint was not taken by a LocalStreamJob'}. Give the job the ids it ` +
      'had, or another job id to start from nothing.',
    { details: { checkpointId } },
  )
}
