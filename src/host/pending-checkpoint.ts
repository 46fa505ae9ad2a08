/**
 * One checkpoint between its trigger and its end: gathers the acknowledgements, until they are complete or it is aborted. What is done
 * then is the coordinator's business.
 *
 * Invariant: once aborted it stays so; what arrives later is `late`.
 */
import type { CompletedCheckpoint } from '../checkpoint/completed-checkpoint.js'
import type { JsonValue } from '../checkpoint/json-value.js'
import type { CheckpointListener, SnapshotResult } from '../checkpoint/snapshotable.js'
import type { CheckpointOptions } from '../checkpoint/checkpoint-options.js'
import type { CheckpointAbortReason } from './checkpoint-events.js'

/** One subtask of an operator, as the coordinator sees it. */
export interface CheckpointTask extends CheckpointListener {
  /**
   * Takes the task's part of a checkpoint. The synchronous part is done when the call returns; all tasks are called in one stretch.
   * The promise is the acknowledgement, its rejection a decline. After `signal` is aborted the task should reject and leave nothing.
   */
  snapshot(
    checkpointId: number,
    timestampMs: number,
    options: CheckpointOptions,
    signal: AbortSignal,
  ): Promise<SnapshotResult>
}

export interface CoordinatedOperator {
  readonly operatorId: string
  readonly maxParallelism: number
  /** By subtask index. */
  readonly tasks: readonly CheckpointTask[]
}

/** Thrown by `acknowledged`. */
export class CheckpointAbortion extends Error {
  readonly reason: CheckpointAbortReason

  constructor(reason: CheckpointAbortReason, cause: unknown) {
    super(`the checkpoint was aborted: ${reason}`, { cause })
    this.reason = reason
  }
}

export interface PendingCheckpointOptions {
  readonly checkpointId: number
  readonly timestampMs: number
  readonly startMs: number
  /** The last completed checkpoint at the trigger: increments are built on its objects. */
  readonly baseCheckpointId: number | undefined
  readonly jobId: string
  readonly hostData: JsonValue
  readonly operators: readonly CoordinatedOperator[]
}

export class PendingCheckpoint {
  readonly options: PendingCheckpointOptions
  /** Resolves when every task has acknowledged; rejects with a `CheckpointAbortion`. */
  readonly acknowledged: Promise<void>
  readonly #aborting = new AbortController()
  readonly #results: (SnapshotResult | undefined)[][]
  #missing: number
  #resolve: () => void = () => undefined
  #reject: (abortion: CheckpointAbortion) => void = () => undefined

  constructor(options: PendingCheckpointOptions) {
    this.options = options
    this.#results = options.operators.map(({ tasks }) => tasks.map(() => undefined))
    this.#missing = this.#results.reduce((count, tasks) => count + tasks.length, 0)
    this.acknowledged = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    if (this.#missing === 0) this.#resolve()
  }

  /** Aborted together with the checkpoint. */
  get signal(): AbortSignal {
    return this.#aborting.signal
  }

  /** `late`: the checkpoint was aborted before, the result is to be discarded. */
  acknowledge(
    operatorIndex: number,
    subtaskIndex: number,
    result: SnapshotResult,
  ): 'accepted' | 'late' {
    if (this.signal.aborted) return 'late'
    const results = this.#results[operatorIndex]
    if (results !== undefined && results[subtaskIndex] === undefined) {
      results[subtaskIndex] = result
      this.#missing--
    }
    if (this.#missing === 0) this.#resolve()
    return 'accepted'
  }

  /** Changes nothing the second time. */
  abort(reason: CheckpointAbortReason, cause?: unknown): void {
    if (this.signal.aborted) return
    const abortion = new CheckpointAbortion(reason, cause)
    this.#aborting.abort(abortion)
    this.#reject(abortion)
  }

  get results(): readonly SnapshotResult[] {
    return this.#results.flat().filter((result) => result !== undefined)
  }

  /** When all have acknowledged. */
  toCompletedCheckpoint(): CompletedCheckpoint {
    const { checkpointId, timestampMs, jobId, hostData, operators } = this.options
    return {
      checkpointId,
      timestampMs,
      jobId,
      operators: operators.map(({ operatorId, maxParallelism, tasks }, operatorIndex) => ({
        operatorId,
        maxParallelism,
        subtasks: tasks.map((_, subtaskIndex) => ({
          subtaskIndex,
          keyedStateHandle:
            this.#results[operatorIndex]?.[subtaskIndex]?.jobManagerOwnedSnapshot ?? null,
        })),
      })),
      hostData,
    }
  }
}
