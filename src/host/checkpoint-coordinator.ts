/**
 * Coordinates the checkpoints of a job: triggers, gathers the acknowledgements, publishes, tells the tasks. It knows neither records
 * nor positions: the host calls `triggerCheckpoint` at a barrier. What is kept and deleted is the `CompletedCheckpointStore`'s.
 *
 * Order of calls: `restoreLatest`, `start`, any number of `triggerCheckpoint`, `close`. One checkpoint is in flight at a time, its
 * cleaning included.
 *
 * Invariants
 * C3 `_metadata` is written last: after every task has acknowledged, and so after all it names is durable.
 * H3 Whether a checkpoint is completed is decided by the outcome of writing `_metadata` alone. When that fails, the object may be there
 *    all the same; so it is deleted before anything it names.
 * H4 Tasks hear of each checkpoint's end once, in the order of ids, unless the process dies: completed, or aborted.
 */
import type { CompletedCheckpoint } from '../checkpoint/completed-checkpoint.js'
import { CheckpointOptions } from '../checkpoint/checkpoint-options.js'
import { checkJsonValue, type JsonValue } from '../checkpoint/json-value.js'
import type { CheckpointListener, SnapshotResult } from '../checkpoint/snapshotable.js'
import { assert } from '../common/assert.js'
import { systemClock, type Clock } from '../common/clock.js'
import { StateBackendError } from '../errors.js'
import type { CheckpointStorage } from '../storage/checkpoint-storage.js'
import { checkInteger } from './check-integer.js'
import {
  completedEvent,
  type CheckpointAbortedEvent,
  type CheckpointEvent,
} from './checkpoint-events.js'
import { CompletedCheckpointStore } from './completed-checkpoint-store.js'
import {
  CheckpointAbortion,
  PendingCheckpoint,
  type CheckpointTask,
  type CoordinatedOperator,
} from './pending-checkpoint.js'

export type { CheckpointTask, CoordinatedOperator } from './pending-checkpoint.js'

const TIMEOUT_DEFAULT_MS = 10 * 60 * 1000
/** Longer than any timer of Node can wait. */
const TIMEOUT_MAX_MS = 2 ** 31 - 1

export interface CheckpointCoordinatorOptions {
  readonly storage: CheckpointStorage
  /** How many completed checkpoints are kept, from 1. Default 1. */
  readonly retainedCheckpointsMax?: number | undefined
  /** A checkpoint not completed after so many milliseconds is aborted, 1 to 2^31 - 1. Default 10 minutes. */
  readonly timeoutMs?: number | undefined
  /** Failed checkpoints in a row that a job survives, from 0; `Infinity` for any number. Default 0. */
  readonly tolerableFailedCheckpoints?: number | undefined
  readonly clock?: Clock | undefined
  /** Called at the end of every checkpoint, after the tasks were told. */
  readonly onCheckpoint?: ((event: CheckpointEvent) => void) | undefined
  /** What went wrong and does not matter to the job: failed deletions, listeners that threw. */
  readonly onWarning?: ((warning: StateBackendError) => void) | undefined
  /** Called when checkpoints failed more often than is tolerable. The host stops the job and closes this coordinator. */
  readonly failJob: (error: StateBackendError) => void
}

export class CheckpointCoordinator {
  readonly #options: CheckpointCoordinatorOptions
  readonly #storage: CheckpointStorage
  readonly #clock: Clock
  readonly #checkpoints: CompletedCheckpointStore
  readonly #acknowledging = new Set<Promise<void>>()
  #phase: 'created' | 'restored' | 'running' | 'closed' = 'created'
  #operators: readonly CoordinatedOperator[] = []
  #nextCheckpointId = 1
  #failedInARow = 0
  #pending: PendingCheckpoint | undefined
  #inFlight: Promise<CheckpointEvent> | undefined

  /** Touches nothing yet. `INVALID_ARGUMENT` for an option out of its range. */
  constructor(options: CheckpointCoordinatorOptions) {
    const { retainedCheckpointsMax = 1, timeoutMs = TIMEOUT_DEFAULT_MS } = options
    const { tolerableFailedCheckpoints = 0 } = options
    checkInteger('retainedCheckpointsMax', retainedCheckpointsMax, 1)
    checkInteger('timeoutMs', timeoutMs, 1, TIMEOUT_MAX_MS)
    if (tolerableFailedCheckpoints !== Infinity) {
      checkInteger('tolerableFailedCheckpoints', tolerableFailedCheckpoints, 0)
    }
    this.#options = options
    this.#storage = options.storage
    this.#clock = options.clock ?? systemClock
    this.#checkpoints = new CompletedCheckpointStore({
      storage: options.storage,
      retainedMax: retainedCheckpointsMax,
      onWarning: (warning) => this.#warn(warning),
    })
  }

  /**
   * The newest completed checkpoint, or `undefined` when there is none. Rejects with `METADATA_DAMAGED`, `METADATA_VERSION_UNKNOWN`
   * or a storage code; then nothing has changed, and the call may be repeated. An older checkpoint that cannot be read is a warning.
   */
  async restoreLatest(
    options: { signal?: AbortSignal | undefined } = {},
  ): Promise<CompletedCheckpoint | undefined> {
    assert(this.#phase === 'created', 'a coordinator restores once, before it starts')
    const { latest, highestCheckpointId } = await this.#checkpoints.recover(options)
    this.#nextCheckpointId = highestCheckpointId + 1
    this.#phase = 'restored'
    return latest
  }

  /** The operators whose tasks take part from now on. */
  start(operators: readonly CoordinatedOperator[]): void {
    assert(this.#phase === 'restored', 'a coordinator starts once, after restoreLatest')
    this.#operators = operators
    this.#phase = 'running'
  }

  get lastCompletedCheckpointId(): number | undefined {
    return this.#checkpoints.lastCheckpointId
  }

  /** While true, `triggerCheckpoint` must not be called. */
  get checkpointInFlight(): boolean {
    return this.#inFlight !== undefined
  }

  /** Resolves when no checkpoint is in flight. */
  async idle(): Promise<void> {
    await this.#inFlight
  }

  /**
   * Starts a checkpoint. When the call returns, the synchronous part of every task is done: records may go on. `hostData` comes back
   * with the checkpoint. The promise never rejects: a failure is an event, and too many of them are `failJob`.
   *
   * @throws StateBackendError `INVALID_ARGUMENT`: host data that JSON cannot hold. `CHECKPOINT_FAILED`: one is in flight.
   */
  triggerCheckpoint(hostData: JsonValue): Promise<CheckpointEvent> {
    assert(this.#phase === 'running', 'checkpoints are triggered between start and close')
    if (this.#inFlight !== undefined) {
      throw new StateBackendError(
        'CHECKPOINT_FAILED',
        'A checkpoint is still in flight. Await idle() before the next one.',
      )
    }
    checkJsonValue('hostData', hostData)
    const pending = new PendingCheckpoint({
      checkpointId: this.#nextCheckpointId++,
      timestampMs: this.#clock.wallClockMs(),
      startMs: this.#clock.monotonicMs(),
      baseCheckpointId: this.lastCompletedCheckpointId,
      jobId: this.#storage.jobId,
      hostData,
      operators: this.#operators,
    })
    this.#pending = pending
    this.#inFlight = this.#carryOut(pending).finally(() => {
      this.#inFlight = undefined
    })
    return this.#inFlight
  }

  /** Aborts what is in flight and waits for it. Completed checkpoints stay. May be called again. Never rejects. */
  async close(): Promise<void> {
    this.#phase = 'closed'
    this.#pending?.abort('closed')
    await this.#inFlight
    await Promise.all(this.#acknowledging)
  }

  /** Up to its first `await` the synchronous part. */
  async #carryOut(pending: PendingCheckpoint): Promise<CheckpointEvent> {
    const timer = new AbortController()
    this.#expireLater(pending, timer.signal)
    for (const [operatorIndex, { tasks }] of pending.options.operators.entries()) {
      for (const [subtaskIndex, task] of tasks.entries()) {
        this.#keepAcknowledging(this.#snapshot(pending, operatorIndex, subtaskIndex, task))
      }
    }
    const failure = await this.#publish(pending)
    timer.abort()
    this.#pending = undefined
    const event = failure === undefined ? this.#complete(pending) : this.#abort(pending, failure)
    await this.#clean()
    return event
  }

  #expireLater(pending: PendingCheckpoint, timer: AbortSignal): void {
    const { timeoutMs = TIMEOUT_DEFAULT_MS } = this.#options
    this.#clock.sleep(timeoutMs, timer).then(
      () => pending.abort('expired'),
      () => undefined,
    )
  }

  #keepAcknowledging(acknowledging: Promise<void>): void {
    this.#acknowledging.add(acknowledging)
    void acknowledging.then(() => this.#acknowledging.delete(acknowledging))
  }

  /** Never rejects. Registers before it looks whether anybody still wants the result (C4). */
  async #snapshot(
    pending: PendingCheckpoint,
    operatorIndex: number,
    subtaskIndex: number,
    task: CheckpointTask,
  ): Promise<void> {
    const { checkpointId, timestampMs, baseCheckpointId } = pending.options
    const options = CheckpointOptions.checkpoint(baseCheckpointId)
    let result: SnapshotResult
    try {
      result = await task.snapshot(checkpointId, timestampMs, options, pending.signal)
    } catch (error) {
      pending.abort('declined', error)
      return
    }
    this.#checkpoints.registerAcknowledged(checkpointId, result.jobManagerOwnedSnapshot)
    if (pending.acknowledge(operatorIndex, subtaskIndex, result) === 'accepted') return
    this.#checkpoints.abort(checkpointId)
    await this.#clean()
  }

  /** What kept the checkpoint from being completed, if anything. */
  async #publish(pending: PendingCheckpoint): Promise<{ error: unknown } | undefined> {
    try {
      await pending.acknowledged
      const { signal } = pending
      await this.#checkpoints.publish(pending.toCompletedCheckpoint(), { signal })
      return undefined
    } catch (error) {
      return { error }
    }
  }

  #complete(pending: PendingCheckpoint): CheckpointEvent {
    const { checkpointId, startMs } = pending.options
    const durationMs = this.#clock.monotonicMs() - startMs
    const event = completedEvent(checkpointId, pending.results, durationMs)
    this.#failedInARow = 0
    const subsumed = this.#checkpoints.add(checkpointId)
    this.#notify((task) => task.notifyCheckpointComplete(checkpointId), checkpointId)
    for (const id of subsumed) this.#notify((task) => task.notifyCheckpointSubsumed(id), id)
    this.#call('onCheckpoint', checkpointId, () => this.#options.onCheckpoint?.(event))
    return event
  }

  #abort(pending: PendingCheckpoint, { error }: { error: unknown }): CheckpointEvent {
    const { checkpointId, startMs } = pending.options
    pending.abort('not-published', error)
    const abortion: unknown = pending.signal.reason
    assert(abortion instanceof CheckpointAbortion, 'a checkpoint is aborted for a reason')
    const { reason, cause } = abortion
    const durationMs = this.#clock.monotonicMs() - startMs
    const event = { status: 'aborted', checkpointId, reason, cause, durationMs } as const
    // Whoever made the object owns the folder: nothing in it is ours to delete.
    const taken = error instanceof StateBackendError && error.code === 'OBJECT_EXISTS'
    if (!taken) this.#checkpoints.abort(checkpointId)
    this.#notify((task) => task.notifyCheckpointAborted(checkpointId), checkpointId)
    this.#call('onCheckpoint', checkpointId, () => this.#options.onCheckpoint?.(event))
    if (reason !== 'closed') this.#countFailure(event, taken)
    return event
  }

  #countFailure(event: CheckpointAbortedEvent, taken: boolean): void {
    this.#failedInARow++
    const { tolerableFailedCheckpoints = 0 } = this.#options
    if (this.#failedInARow <= tolerableFailedCheckpoints && !taken) return
    const { checkpointId, reason, cause } = event
    const why = cause instanceof Error ? `${reason}: ${cause.message}` : reason
    const error = new StateBackendError(
      'CHECKPOINT_FAILED',
      `Checkpoint ${checkpointId} failed (${why}); ${this.#failedInARow} in a row are more than tolerableFailedCheckpoints ` +
        `(${tolerableFailedCheckpoints}). Remove the cause and start the job again: it continues from the last completed checkpoint.`,
      { cause, details: { checkpointId, reason } },
    )
    this.#call('failJob', checkpointId, () => this.#options.failJob(error))
  }

  #clean(): Promise<void> {
    return this.#checkpoints.clean(() => this.#pending?.options.baseCheckpointId)
  }

  #notify(tell: (listener: CheckpointListener) => void, checkpointId: number): void {
    for (const task of this.#operators.flatMap(({ tasks }) => tasks)) {
      this.#call('A task that was told about it', checkpointId, () => tell(task))
    }
  }

  /** Calls others' code, whose failure must not touch the checkpoint. */
  #call(whom: string, checkpointId: number, call: () => void): void {
    try {
      call()
    } catch (cause) {
      const message = `${whom} threw at the end of checkpoint ${checkpointId}. The checkpoint is not affected.`
      const details = { checkpointId }
      this.#warn(new StateBackendError('CHECKPOINT_FAILED', message, { cause, details }))
    }
  }

  #warn(warning: StateBackendError): void {
    try {
      this.#options.onWarning?.(warning)
    } catch {
      // There is nobody left to tell, and a warning must not stop a job.
    }
  }
}
