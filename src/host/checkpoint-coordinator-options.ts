import type { Clock } from '../common/clock.js'
import type { StateBackendError } from '../errors.js'
import type { CheckpointStorage } from '../storage/checkpoint-storage.js'
import { checkInteger } from './check-integer.js'
import type { CheckpointEvent } from './checkpoint-events.js'

const TIMEOUT_DEFAULT_MS = 10 * 60 * 1000
/** Longer than any timer of Node can wait. */
const TIMEOUT_MAX_MS = 2 ** 31 - 1
/** Each pending checkpoint may upload what was written since the last completed one again. */
const CONCURRENT_CHECKPOINTS_MAX = 100

/** When checkpoints may be taken, and how many are kept. */
export interface CheckpointLimits {
  /** How many completed checkpoints are kept, from 1. Default 1. */
  readonly retainedCheckpointsMax?: number | undefined
  /** A checkpoint not completed after so many milliseconds is aborted, 1 to 2^31 - 1. Default 10 minutes. */
  readonly timeoutMs?: number | undefined
  /** Checkpoints in flight, their cleaning included, 1 to 100. Default 1. */
  readonly concurrentCheckpointsMax?: number | undefined
  /** Milliseconds from 0 to 2^31 - 1 between the completion of a checkpoint and the trigger of the next. Default 0. */
  readonly minPauseMs?: number | undefined
  /** Failed checkpoints in a row that a job survives, from 0; `Infinity` for any number. Default 0. */
  readonly tolerableFailedCheckpoints?: number | undefined
}

export interface CheckpointCoordinatorOptions extends CheckpointLimits {
  readonly storage: CheckpointStorage
  readonly clock?: Clock | undefined
  /** Called at the end of every checkpoint and savepoint, after the tasks were told. */
  readonly onCheckpoint?: ((event: CheckpointEvent) => void) | undefined
  /** What went wrong and does not matter to the job: failed deletions, listeners that threw; and what a restore passed over. */
  readonly onWarning?: ((warning: StateBackendError) => void) | undefined
  /**
   * Called when checkpoints failed more often than is tolerable, or a later attempt at running the job has begun (`ATTEMPT_FENCED`). The
   * host stops the job and closes this coordinator.
   */
  readonly failJob: (error: StateBackendError) => void
}

export type CoordinatorSettings = {
  readonly [Name in keyof CheckpointLimits]-?: number
}

/** With the defaults. Throws `INVALID_ARGUMENT` for a limit out of its range. */
export function checkedLimits(limits: CheckpointLimits): CoordinatorSettings {
  const {
    retainedCheckpointsMax = 1,
    timeoutMs = TIMEOUT_DEFAULT_MS,
    concurrentCheckpointsMax = 1,
    minPauseMs = 0,
    tolerableFailedCheckpoints = 0,
  } = limits
  checkInteger('retainedCheckpointsMax', retainedCheckpointsMax, 1)
  checkInteger('timeoutMs', timeoutMs, 1, TIMEOUT_MAX_MS)
  checkInteger('concurrentCheckpointsMax', concurrentCheckpointsMax, 1, CONCURRENT_CHECKPOINTS_MAX)
  checkInteger('minPauseMs', minPauseMs, 0, TIMEOUT_MAX_MS)
  if (tolerableFailedCheckpoints !== Infinity) {
    checkInteger('tolerableFailedCheckpoints', tolerableFailedCheckpoints, 0)
  }
  return {
    retainedCheckpointsMax,
    timeoutMs,
    concurrentCheckpointsMax,
    minPauseMs,
    tolerableFailedCheckpoints,
  }
}
