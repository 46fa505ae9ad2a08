/**
 * A stream job in this process: one source, one keyed operator in several subtasks, checkpoints, restore. For programs that need no
 * cluster, for tests, and as a model of what a host must do. What one run of it does is in `local-stream-run.ts`.
 */
import type { CompletedCheckpoint } from '../checkpoint/completed-checkpoint.js'
import type { Clock } from '../common/clock.js'
import { StateBackendError } from '../errors.js'
import {
  checkParallelismPreconditions,
  computeDefaultMaxParallelism,
} from '../record/key-group-range-assignment.js'
import type { KeySerializer } from '../record/key-serializer.js'
import type { KeyedStateBackend } from '../state/keyed-state-backend.js'
import type { StateBackend } from '../state-backend.js'
import type { CheckpointStorage } from '../storage/checkpoint-storage.js'
import { checkInteger } from './check-integer.js'
import type { SavepointOptions } from './checkpoint-coordinator.js'
import { checkedLimits, type CheckpointLimits } from './checkpoint-coordinator-options.js'
import type { CheckpointEvent } from './checkpoint-events.js'
import type { RestoreSource } from './checkpoint-selection.js'
import { LocalStreamRun } from './local-stream-run.js'
import type { StreamSource } from './stream-source.js'

export interface StreamOperator<R> {
  /**
   * Processes a record; the current key is set. Nothing else happens meanwhile: no other record, no snapshot, also while a returned
   * promise is awaited. Return nothing where nothing is awaited: a promise per record costs more than most states.
   */
  process(record: R): void | Promise<void>
}

export interface LocalSubtask<K, O> {
  readonly subtaskIndex: number
  readonly backend: KeyedStateBackend<K>
  readonly operator: O
}

/** When checkpoints are taken, and how many are kept. Neither `everyRecords` nor `intervalMs`: only the final one. */
export interface LocalCheckpointOptions extends CheckpointLimits {
  /**
   * At the end of the first batch with which so many records, from 1, have come since the last barrier. The same input gives the same
   * barriers, however fast it is read: records wait while the checkpoint before is in flight.
   */
  readonly everyRecords?: number | undefined
  /** So many milliseconds, from 1, after the last time; later when records or a checkpoint are in the way. */
  readonly intervalMs?: number | undefined
  /** Whether the end of the input is a barrier. Default true. */
  readonly atEnd?: boolean | undefined
}

export interface LocalStreamJobOptions<R, K, O extends StreamOperator<R>> {
  readonly source: StreamSource<R>
  /** The key of a record: the same for the same record, always. */
  readonly keyOf: (record: R) => K
  readonly keySerializer: KeySerializer<K>
  /** Makes a subtask's operator, which gets its states from `backend`. The backend is the job's to close. */
  readonly createOperator: (backend: KeyedStateBackend<K>, subtaskIndex: number) => O
  /** Names the operator's state in checkpoints. Default `operator`. */
  readonly operatorId?: string | undefined
  /** Subtasks, each with a keyed backend of its own, 1 to `maxParallelism`. Default 1. */
  readonly parallelism?: number | undefined
  /** Key groups, 1 to 32,768. Fixed for the life of the state. Default as in Flink: 128 up to a parallelism of 85. */
  readonly maxParallelism?: number | undefined
  readonly stateBackend: StateBackend
  /** Its job id must not be in use by another running job. */
  readonly checkpointStorage: CheckpointStorage
  readonly checkpoints?: LocalCheckpointOptions | undefined
  readonly clock?: Clock | undefined
  /** Called when state and position were restored, before the first record. */
  readonly onRestored?: ((checkpoint: CompletedCheckpoint) => void) | undefined
  readonly onCheckpoint?: ((event: CheckpointEvent) => void) | undefined
  readonly onWarning?: ((warning: StateBackendError) => void) | undefined
}

export interface LocalRunOptions<K, O> {
  /** What to restore. Default: the newest checkpoint in storage, or an empty start when there is none. */
  readonly restore?: RestoreSource | undefined
  /** Stops the job between two records; `run` rejects with `SNAPSHOT_ABORTED`, or the signal's own `StateBackendError`. */
  readonly signal?: AbortSignal | undefined
  /** Called at the end of the input, after the final checkpoint, with the state still there: to read results. */
  readonly scan?: ((subtasks: readonly LocalSubtask<K, O>[]) => void | Promise<void>) | undefined
}

export interface LocalStreamSummary {
  /** By this run, records done again after a restore included. */
  readonly recordsProcessed: number
  /** Whose effect is in the state: since the beginning of the job. */
  readonly recordsInState: number
  readonly restoredCheckpointId: number | undefined
  readonly lastCheckpointId: number | undefined
  /** Of the savepoint that the run was stopped with; `undefined` when it came to the end of the input. */
  readonly stoppedWithSavepoint: string | undefined
}

/** `LocalStreamJobOptions` with what follows from them. */
export interface LocalStreamPlan<R, K, O extends StreamOperator<R>> extends LocalStreamJobOptions<
  R,
  K,
  O
> {
  readonly operatorId: string
  readonly parallelism: number
  readonly maxParallelism: number
}

export class LocalStreamJob<R, K, O extends StreamOperator<R>> {
  readonly #plan: LocalStreamPlan<R, K, O>
  #run: LocalStreamRun<R, K, O> | undefined

  /** Touches nothing yet. `INVALID_ARGUMENT` for an option out of its range. */
  constructor(options: LocalStreamJobOptions<R, K, O>) {
    const { parallelism = 1, operatorId = 'operator', checkpoints = {} } = options
    checkInteger('parallelism', parallelism, 1)
    const { maxParallelism = computeDefaultMaxParallelism(parallelism) } = options
    checkParallelismPreconditions(maxParallelism)
    checkInteger('parallelism', parallelism, 1, maxParallelism)
    const { everyRecords, intervalMs } = checkpoints
    if (everyRecords !== undefined) checkInteger('everyRecords', everyRecords, 1)
    if (intervalMs !== undefined) checkInteger('intervalMs', intervalMs, 1, 2 ** 31 - 1)
    checkedLimits(checkpoints)
    this.#plan = { ...options, operatorId, parallelism, maxParallelism }
  }

  /**
   * Restores the newest checkpoint in storage, if any, or what `restore` names, and processes the source to its end. Rejects with what the
   * source, the operator or a backend threw; with `CHECKPOINT_FAILED` when more checkpoints failed than is tolerable, or the final one did;
   * with `ATTEMPT_FENCED` when the job was started elsewhere; with `RESTORE_MISMATCH` when the checkpoint is another job's; with the codes
   * of a damaged or missing checkpoint. When it has settled, nothing is left open. It may be called again then, and goes on from the last
   * completed checkpoint.
   */
  async run(options: LocalRunOptions<K, O> = {}): Promise<LocalStreamSummary> {
    if (this.#run !== undefined) {
      throw new StateBackendError(
        'INVALID_ARGUMENT',
        'This job is running. Wait for run() to settle before it is called again.',
      )
    }
    this.#run = new LocalStreamRun(this.#plan, options)
    try {
      return await this.#run.execute()
    } finally {
      this.#run = undefined
    }
  }

  /**
   * Takes a savepoint at the next point between two batches, while the job goes on. Rejects with `INVALID_ARGUMENT` while the job does not
   * run, `SNAPSHOT_ABORTED` when the run ends first; that the savepoint failed is in the event.
   */
  async triggerSavepoint(options: SavepointOptions = {}): Promise<CheckpointEvent> {
    if (this.#run !== undefined) return this.#run.requestSavepoint(options)
    throw new StateBackendError(
      'INVALID_ARGUMENT',
      'This job is not running, so there is nothing to take a savepoint of. Call run() first.',
    )
  }

  /**
   * Takes a savepoint at the next point between two batches and ends the run with it: no record is processed after it, and `run` resolves.
   * When the savepoint fails, the job goes on. As `triggerSavepoint` otherwise.
   */
  stopWithSavepoint(options: Omit<SavepointOptions, 'stop'> = {}): Promise<CheckpointEvent> {
    return this.triggerSavepoint({ ...options, stop: true })
  }
}
