/** How many checkpoints may fail in a row before the job does, and which failures count. */
import { StateBackendError } from '../errors.js'
import {
  isIdTaken,
  type CheckpointAbortedEvent,
  type CheckpointAbortReason,
} from './checkpoint-events.js'

/** The others are no sign that the next checkpoint will fail as well. As in Flink's `CheckpointFailureManager`. */
const counted: ReadonlySet<CheckpointAbortReason> = new Set([
  'declined',
  'expired',
  'not-published',
])

export class CheckpointFailureManager {
  readonly #tolerable: number
  #failedInARow = 0
  #lastCompletedId = 0

  /** `tolerable` from 0; `Infinity` for any number. */
  constructor(tolerable: number) {
    this.#tolerable = tolerable
  }

  completed(checkpointId: number): void {
    this.#lastCompletedId = Math.max(this.#lastCompletedId, checkpointId)
    this.#failedInARow = 0
  }

  /** The error to fail the job with, when this failure is one too many. Savepoints never fail a job: who asked for one is told. */
  failed(event: CheckpointAbortedEvent): StateBackendError | undefined {
    const { checkpointId, snapshotType, reason, cause } = event
    if (!counted.has(reason) || snapshotType === 'savepoint') return undefined
    if (checkpointId < this.#lastCompletedId) return undefined
    if (isIdTaken(cause)) return undefined
    this.#failedInARow++
    if (this.#failedInARow <= this.#tolerable) return undefined
    const why = cause instanceof Error ? `${reason}: ${cause.message}` : reason
    return new StateBackendError(
      'CHECKPOINT_FAILED',
      `Checkpoint ${checkpointId} failed (${why}); ${this.#failedInARow} in a row are more than tolerableFailedCheckpoints ` +
        `(${this.#tolerable}). Remove the cause and start the job again: it continues from the last completed checkpoint.`,
      { cause, details: { checkpointId, reason } },
    )
  }
}
