/**
 * One checkpoint or savepoint between its trigger and its end: gathers the acknowledgements, until they are complete or it is aborted.
 * What is done then is the coordinator's business.
 *
 * Invariants
 * E1 Once aborted it accepts nothing more: what arrives for the first time then is `late`.
 * E2 It has at most one outcome.
 */
import { setMaxListeners } from 'node:events'
import type { CheckpointOptions } from '../checkpoint/checkpoint-options.js'
import type { CompletedCheckpoint } from '../checkpoint/completed-checkpoint.js'
import type { JsonValue } from '../checkpoint/json-value.js'
import type { CheckpointListener, SnapshotResult } from '../checkpoint/snapshotable.js'
import { assert } from '../common/assert.js'
import {
  completedEvent,
  type CheckpointAbortedEvent,
  type CheckpointAbortReason,
  type CheckpointCompletedEvent,
  type CheckpointEvent,
} from './checkpoint-events.js'

/** One subtask of an operator, as the coordinator sees it. */
export interface CheckpointTask extends CheckpointListener {
  /**
   * Takes the task's part of a checkpoint. The synchronous part is done when the call returns; all tasks are called in one stretch.
   * A promise is the acknowledgement, its rejection a decline. A task that is elsewhere returns nothing and is answered for with
   * `acknowledgeCheckpoint` or `declineCheckpoint`. After `signal` is aborted the task should stop and leave nothing.
   *
   * The state goes to `storage.streamFactory(checkpointId, options.target)`.
   */
  snapshot(
    checkpointId: number,
    timestampMs: number,
    options: CheckpointOptions,
    signal: AbortSignal,
  ): Promise<SnapshotResult> | undefined
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
  readonly checkpointOptions: CheckpointOptions
  /** The last completed checkpoint at the trigger. */
  readonly baseCheckpointId: number | undefined
  /** Whether the job ends with it. */
  readonly stop: boolean
  readonly jobId: string
  readonly epoch: number
  readonly hostData: JsonValue
  readonly operators: readonly CoordinatedOperator[]
}

export class PendingCheckpoint {
  readonly options: PendingCheckpointOptions
  /** Resolves when every task has acknowledged; rejects with a `CheckpointAbortion`. */
  readonly acknowledged: Promise<void>
  readonly #aborting = new AbortController()
  readonly #results: Map<string, (SnapshotResult | undefined)[]>
  readonly #possibleBaseIds: number[]
  #missing: number
  #outcome: CheckpointEvent | undefined
  #resolve: () => void = () => undefined
  #reject: (abortion: CheckpointAbortion) => void = () => undefined

  constructor(options: PendingCheckpointOptions) {
    this.options = options
    // Each task listens to it; of more than ten Node says that they are a leak. 0: any number.
    setMaxListeners(0, this.#aborting.signal)
    this.#possibleBaseIds = [options.baseCheckpointId].filter((id) => id !== undefined)
    this.#results = new Map(
      options.operators.map(({ operatorId, tasks }) => [operatorId, tasks.map(() => undefined)]),
    )
    this.#missing = options.operators.reduce((count, { tasks }) => count + tasks.length, 0)
    this.acknowledged = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    if (this.#missing === 0) this.#resolve()
  }

  get isSavepoint(): boolean {
    return this.options.checkpointOptions.snapshotType === 'savepoint'
  }

  /** Aborted together with the checkpoint. */
  get signal(): AbortSignal {
    return this.#aborting.signal
  }

  /** How it ended; `undefined` before. */
  get outcome(): CheckpointEvent | undefined {
    return this.#outcome
  }

  /**
   * Completed checkpoints whose objects it may name: the last one at the trigger, since a task may have heard of none that came after; and
   * those that were completed since, of which a task may have heard before it did its part.
   */
  get possibleBaseIds(): readonly number[] {
    return this.#possibleBaseIds
  }

  /** `checkpointId`, an older one, is completed: to be called before the tasks are told. */
  noteCompleted(checkpointId: number): void {
    this.#possibleBaseIds.push(checkpointId)
  }

  hasTask(operatorId: string, subtaskIndex: number): boolean {
    const tasks = this.#results.get(operatorId)
    return tasks !== undefined && subtaskIndex in tasks
  }

  /**
   * Of a task that it has. `late`: the checkpoint was aborted before, the result is to be discarded. `duplicate`: it was accepted before,
   * and nothing is to be done about it, for even of an aborted checkpoint the publication may succeed yet.
   */
  acknowledge(
    operatorId: string,
    subtaskIndex: number,
    result: SnapshotResult,
  ): 'accepted' | 'duplicate' | 'late' {
    const results = this.#results.get(operatorId)
    assert(results !== undefined && subtaskIndex in results, 'the task takes part')
    if (results[subtaskIndex] !== undefined) return 'duplicate'
    if (this.signal.aborted) return 'late'
    results[subtaskIndex] = result
    this.#missing--
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

  /** Accepted so far. */
  get results(): readonly SnapshotResult[] {
    return [...this.#results.values()].flat().filter((result) => result !== undefined)
  }

  /** When all have acknowledged. */
  toCompletedCheckpoint(): CompletedCheckpoint {
    const { checkpointId, checkpointOptions, epoch, timestampMs, jobId, hostData, operators } =
      this.options
    return {
      checkpointId,
      snapshotType: checkpointOptions.snapshotType,
      epoch,
      timestampMs,
      jobId,
      operators: operators.map(({ operatorId, maxParallelism }) => ({
        operatorId,
        maxParallelism,
        subtasks: (this.#results.get(operatorId) ?? []).map((result, subtaskIndex) => ({
          subtaskIndex,
          keyedStateHandle: result?.jobManagerOwnedSnapshot ?? null,
        })),
      })),
      hostData,
    }
  }

  /** It is completed at `nowMs`. */
  complete(nowMs: number): CheckpointCompletedEvent {
    assert(this.#outcome === undefined, 'E2: a checkpoint has one outcome')
    const event = completedEvent(this.#identity, this.results, nowMs - this.options.startMs)
    this.#outcome = event
    return event
  }

  /** It ended without being completed, for the reason it was aborted for. */
  fail(nowMs: number): CheckpointAbortedEvent {
    assert(this.#outcome === undefined, 'E2: a checkpoint has one outcome')
    const abortion: unknown = this.signal.reason
    assert(abortion instanceof CheckpointAbortion, 'a checkpoint is aborted for a reason')
    const { reason, cause } = abortion
    const durationMs = nowMs - this.options.startMs
    const event = { status: 'aborted', ...this.#identity, reason, cause, durationMs } as const
    this.#outcome = event
    return event
  }

  get #identity(): Pick<CheckpointEvent, 'checkpointId' | 'snapshotType' | 'savepointFolder'> {
    const { checkpointId, checkpointOptions } = this.options
    const { snapshotType, target } = checkpointOptions
    return { checkpointId, snapshotType, savepointFolder: target.savepointFolder }
  }
}
