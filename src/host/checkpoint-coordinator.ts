/**
 * Coordinates the checkpoints of a job: triggers, gathers the acknowledgements, publishes, tells the tasks. It knows neither records
 * nor positions: the host calls `triggerCheckpoint` at a barrier. What is kept and deleted is the `CompletedCheckpointStore`'s.
 *
 * Order of calls: `restore`, `start`, any number of triggers, `close`; `INVALID_ARGUMENT` in any other.
 */
import { CheckpointOptions } from '../checkpoint/checkpoint-options.js'
import type { OperatorCheckpoint } from '../checkpoint/completed-checkpoint.js'
import { copyOfJsonValue, type JsonValue } from '../checkpoint/json-value.js'
import type { SnapshotResult } from '../checkpoint/snapshotable.js'
import { assert } from '../common/assert.js'
import { systemClock, type Clock } from '../common/clock.js'
import { StateBackendError } from '../errors.js'
import type { CheckpointStorage } from '../storage/checkpoint-storage.js'
import { checkOperators } from './check-operators.js'
import {
  checkedLimits,
  type CheckpointCoordinatorOptions,
  type CoordinatorSettings,
} from './checkpoint-coordinator-options.js'
import type { CheckpointEvent } from './checkpoint-events.js'
import { CheckpointFailureManager } from './checkpoint-failure-manager.js'
import { CheckpointFinalizer } from './checkpoint-finalizer.js'
import type { RestoredCheckpoint, RestoreSource } from './checkpoint-selection.js'
import { CompletedCheckpointStore } from './completed-checkpoint-store.js'
import { PendingCheckpoint, type CoordinatedOperator } from './pending-checkpoint.js'
import { TaskNotifier } from './task-notifier.js'

export type { CheckpointCoordinatorOptions } from './checkpoint-coordinator-options.js'
export type { CheckpointTask, CoordinatedOperator } from './pending-checkpoint.js'

/** Savepoints in flight: each is asked for by somebody, and uploads all state. */
const SAVEPOINTS_IN_FLIGHT_MAX = 8
/** Ended savepoints that a late acknowledgement is still known for. */
const ENDED_SAVEPOINTS_MAX = 100

/** Names one task's part of a checkpoint. */
export interface CheckpointMessage {
  readonly checkpointId: number
  readonly operatorId: string
  readonly subtaskIndex: number
  /**
   * `options.target.epoch` of the `snapshot` that this answers. For tasks that may outlive the process that asked them: an id that an attempt
   * never published may be given again by the next one. Without it whoever answers is taken for a task of this attempt.
   */
  readonly epoch?: number | undefined
}

export interface SavepointOptions {
  /**
   * In the object store: where nothing is yet, outside the job's folder, without a '/' at its end. Default: a new one below `savepoints/`.
   */
  readonly folder?: string | undefined
  /** Whether the job ends with it: checkpoints that are pending are aborted when it is completed, and tasks are told. Default false. */
  readonly stop?: boolean | undefined
}

type Phase = 'created' | 'restored' | 'running' | 'closed'

interface InFlight {
  readonly pending: PendingCheckpoint
  /** Settled from the start until its tasks were asked, which happens in one stretch that nobody sees. */
  ended: Promise<unknown>
}

export class CheckpointCoordinator {
  readonly #options: CheckpointCoordinatorOptions
  readonly #settings: CoordinatorSettings
  readonly #storage: CheckpointStorage
  readonly #clock: Clock
  readonly #checkpoints: CompletedCheckpointStore
  readonly #notifier: TaskNotifier
  /** By checkpoint id, ascending. */
  readonly #inFlight = new Map<number, InFlight>()
  readonly #endedSavepoints = new Map<number, PendingCheckpoint>()
  readonly #working = new Set<Promise<unknown>>()
  #phase: Phase = 'created'
  /** Once restored. */
  #finalizer: CheckpointFinalizer | undefined
  #operators: readonly CoordinatedOperator[] = []
  #restoredOperators: readonly OperatorCheckpoint[] = []
  #epoch = 0
  #firstCheckpointId = 1
  #nextCheckpointId = 1
  /** What was restored is not the job's: no checkpoint may name it, so the first to be completed is full. */
  #unclaimed = false

  /** Touches nothing yet. `INVALID_ARGUMENT` for an option out of its range. */
  constructor(options: CheckpointCoordinatorOptions) {
    this.#options = options
    this.#settings = checkedLimits(options)
    this.#storage = options.storage
    this.#clock = options.clock ?? systemClock
    this.#notifier = new TaskNotifier(options.onWarning)
    this.#checkpoints = new CompletedCheckpointStore({
      storage: options.storage,
      retainedMax: this.#settings.retainedCheckpointsMax,
      onWarning: (warning) => this.#notifier.warn(warning),
    })
  }

  /**
   * Begins an attempt at running the job and finds what it goes on from: its newest checkpoint, `undefined` when there is none, or what
   * `source` names. From here on no earlier attempt can complete a checkpoint. Rejects with `METADATA_DAMAGED`,
   * `METADATA_VERSION_UNKNOWN`, `OBJECT_MISSING`, `OBJECT_DAMAGED` or a storage code; the call may then be repeated.
   */
  async restore(
    source: RestoreSource = {},
    options: { signal?: AbortSignal | undefined } = {},
  ): Promise<RestoredCheckpoint | undefined> {
    this.#checkPhase('created', 'restore() is called first, and once')
    this.#epoch = await this.#storage.claimEpoch(options)
    const { restored, highestCheckpointId } = await this.#checkpoints.recover(source, options)
    this.#nextCheckpointId = highestCheckpointId + 1
    this.#firstCheckpointId = this.#nextCheckpointId
    this.#unclaimed = 'snapshot' in source && source.claimMode !== 'CLAIM'
    this.#finalizer = this.#newFinalizer()
    this.#restoredOperators = restored?.checkpoint.operators ?? []
    this.#phase = 'restored'
    return restored
  }

  #newFinalizer(): CheckpointFinalizer {
    const { onCheckpoint, failJob } = this.#options
    return new CheckpointFinalizer({
      storage: this.#storage,
      clock: this.#clock,
      checkpoints: this.#checkpoints,
      failures: new CheckpointFailureManager(this.#settings.tolerableFailedCheckpoints),
      notifier: this.#notifier,
      onCheckpoint,
      failJob,
      inFlight: () => [...this.#inFlight.values()].map(({ pending }) => pending),
      epoch: this.#epoch,
    })
  }

  /**
   * The operators whose tasks take part from now on. `INVALID_ARGUMENT`: two have one id. `RESTORE_MISMATCH`: one has another maximum
   * parallelism than in the restored checkpoint, or one that has state there is missing. With `allowNonRestoredState` the state of the
   * missing is given up: the next checkpoint does not have it.
   */
  start(
    operators: readonly CoordinatedOperator[],
    options: { readonly allowNonRestoredState?: boolean | undefined } = {},
  ): void {
    this.#checkPhase('restored', 'start() is called once, after restore() and before close()')
    checkOperators(operators, this.#restoredOperators, options.allowNonRestoredState ?? false)
    this.#operators = operators
    this.#phase = 'running'
  }

  /** Of this job's own; `undefined` before the first, also after a restore from elsewhere. */
  get lastCompletedCheckpointId(): number | undefined {
    return this.#checkpoints.lastCheckpointId
  }

  get #checkpointsInFlight(): readonly InFlight[] {
    return [...this.#inFlight.values()].filter(({ pending }) => !pending.isSavepoint)
  }

  /** Whether `triggerCheckpoint` may be called: few enough are in flight, and the minimum pause is over. */
  get canTrigger(): boolean {
    return this.#hasFreeSlot && this.#pauseIsOver
  }

  get #pauseIsOver(): boolean {
    const lastCompletionMs = this.#finalizer?.lastCompletionMs ?? -Infinity
    return this.#clock.monotonicMs() - lastCompletionMs >= this.#settings.minPauseMs
  }

  get #fencedBy(): StateBackendError | undefined {
    return this.#finalizer?.fencedBy
  }

  get #hasFreeSlot(): boolean {
    if (this.#phase !== 'running' || this.#fencedBy !== undefined) return false
    return this.#checkpointsInFlight.length < this.#settings.concurrentCheckpointsMax
  }

  /** Resolves when so few checkpoints are in flight that another may be; the minimum pause may still be running. */
  async freeSlot(): Promise<void> {
    while (this.#checkpointsInFlight.length >= this.#settings.concurrentCheckpointsMax) {
      await Promise.race(this.#checkpointsInFlight.map(({ ended }) => ended))
    }
  }

  /** Resolves when no checkpoint and no savepoint is in flight. */
  async idle(): Promise<void> {
    await Promise.all([...this.#inFlight.values()].map(({ ended }) => ended))
  }

  /**
   * Starts a checkpoint. When the call returns, the synchronous part of every task is done: records may go on. `hostData` comes back
   * with the checkpoint. The promise never rejects: a failure is an event, and too many of them are `failJob`.
   *
   * @throws StateBackendError `INVALID_ARGUMENT`: host data that JSON cannot hold. `CHECKPOINT_FAILED`: not now, see `canTrigger`.
   * `ATTEMPT_FENCED`: never again.
   */
  triggerCheckpoint(
    hostData: JsonValue,
    options: { readonly ignoreMinPause?: boolean | undefined } = {},
  ): Promise<CheckpointEvent> {
    this.#checkRunning()
    if (!this.#hasFreeSlot || !(this.#pauseIsOver || options.ignoreMinPause === true)) {
      throw new StateBackendError(
        'CHECKPOINT_FAILED',
        'As many checkpoints are in flight as may be, or the minimum pause is not over. Ask canTrigger before the next.',
      )
    }
    const base = this.lastCompletedCheckpointId
    const full = this.#unclaimed && base === undefined
    const target = { epoch: this.#epoch }
    const checkpointOptions = full
      ? CheckpointOptions.fullCheckpoint(base, target)
      : CheckpointOptions.checkpoint(base, target)
    return this.#trigger(checkpointOptions, hostData, false)
  }

  /**
   * Starts a savepoint: self-contained in a folder of its own, which nothing here ever deletes. It may be taken beside checkpoints, counts
   * toward no limit of theirs, and is no base of a later one. Where it is, is in the event.
   *
   * @throws StateBackendError as `triggerCheckpoint`; `CHECKPOINT_FAILED` when many are in flight; `INVALID_ARGUMENT` for the folder.
   */
  triggerSavepoint(hostData: JsonValue, options: SavepointOptions = {}): Promise<CheckpointEvent> {
    this.#checkRunning()
    if (this.#inFlight.size - this.#checkpointsInFlight.length >= SAVEPOINTS_IN_FLIGHT_MAX) {
      throw new StateBackendError(
        'CHECKPOINT_FAILED',
        `${SAVEPOINTS_IN_FLIGHT_MAX} savepoints are in flight. Wait until one has ended.`,
      )
    }
    const id = this.#nextCheckpointId
    const savepointFolder = options.folder ?? this.#storage.newSavepointFolder(id)
    const target = { epoch: this.#epoch, savepointFolder }
    // Refuses a folder that cannot be one before any task is asked.
    this.#storage.streamFactory(id, target)
    return this.#trigger(CheckpointOptions.savepoint(target), hostData, options.stop ?? false)
  }

  #checkRunning(): void {
    if (this.#fencedBy !== undefined) throw this.#fencedBy
    this.#checkPhase(
      'running',
      'checkpoints and savepoints are triggered between start() and close()',
    )
  }

  #checkPhase(phase: Phase, rule: string): void {
    if (this.#phase === phase) return
    throw new StateBackendError(
      'INVALID_ARGUMENT',
      `This coordinator is ${this.#phase}, and ${rule}. Make a new one for a new attempt at running the job.`,
      { details: { phase: this.#phase } },
    )
  }

  #trigger(
    checkpointOptions: CheckpointOptions,
    hostData: JsonValue,
    stop: boolean,
  ): Promise<CheckpointEvent> {
    // It is encoded when all have acknowledged: the host may have changed it by then.
    const ownHostData = copyOfJsonValue('hostData', hostData)
    const pending = new PendingCheckpoint({
      checkpointId: this.#nextCheckpointId++,
      timestampMs: this.#clock.wallClockMs(),
      startMs: this.#clock.monotonicMs(),
      checkpointOptions,
      baseCheckpointId: this.lastCompletedCheckpointId,
      stop,
      jobId: this.#storage.jobId,
      epoch: this.#epoch,
      hostData: ownHostData,
      operators: this.#operators,
    })
    const entry: InFlight = { pending, ended: Promise.resolve() }
    this.#inFlight.set(pending.options.checkpointId, entry)
    const ended = this.#carryOut(pending)
    entry.ended = ended
    return ended
  }

  /** Up to its first `await` the synchronous part. */
  async #carryOut(pending: PendingCheckpoint): Promise<CheckpointEvent> {
    const { checkpointId, operators } = pending.options
    const timer = new AbortController()
    this.#clock.sleep(this.#settings.timeoutMs, timer.signal).then(
      () => pending.abort('expired'),
      () => undefined,
    )
    for (const operator of operators) {
      for (const subtaskIndex of operator.tasks.keys()) {
        this.#snapshot(pending, operator, subtaskIndex)
      }
    }
    assert(this.#finalizer !== undefined, 'there are checkpoints only after restore')
    const event = await this.#finalizer.finalize(pending)
    timer.abort()
    this.#inFlight.delete(checkpointId)
    if (pending.isSavepoint) this.#rememberSavepoint(pending)
    return event
  }

  #rememberSavepoint(pending: PendingCheckpoint): void {
    this.#endedSavepoints.set(pending.options.checkpointId, pending)
    const [oldest] = this.#endedSavepoints.keys()
    if (this.#endedSavepoints.size > ENDED_SAVEPOINTS_MAX && oldest !== undefined) {
      this.#endedSavepoints.delete(oldest)
    }
  }

  #snapshot(pending: PendingCheckpoint, operator: CoordinatedOperator, subtaskIndex: number): void {
    const { checkpointId, timestampMs, checkpointOptions } = pending.options
    const message = { checkpointId, operatorId: operator.operatorId, subtaskIndex }
    let taking: Promise<SnapshotResult> | undefined
    try {
      const task = operator.tasks[subtaskIndex]
      taking = task?.snapshot(checkpointId, timestampMs, checkpointOptions, pending.signal)
    } catch (cause) {
      this.declineCheckpoint({ ...message, cause })
    }
    if (taking === undefined) return
    this.#keepWorking(
      taking.then(
        (result) => void this.acknowledgeCheckpoint({ ...message, result }),
        (cause: unknown) => this.declineCheckpoint({ ...message, cause }),
      ),
    )
  }

  #keepWorking(work: Promise<unknown>): void {
    this.#working.add(work)
    void work.finally(() => this.#working.delete(work))
  }

  /**
   * A task that is elsewhere has done its part. `accepted`; `duplicate`: it had before, or the checkpoint is completed already; `late`: the
   * checkpoint was aborted, and what the result names is removed; `unknown`: it is no checkpoint or task of this attempt, and nothing is
   * touched, since it may be another's.
   */
  acknowledgeCheckpoint(
    message: CheckpointMessage & { readonly result: SnapshotResult },
  ): 'accepted' | 'duplicate' | 'late' | 'unknown' {
    const { checkpointId, operatorId, subtaskIndex, result } = message
    const pending =
      this.#inFlight.get(checkpointId)?.pending ?? this.#endedSavepoints.get(checkpointId)
    const ownId = checkpointId >= this.#firstCheckpointId && checkpointId < this.#nextCheckpointId
    if (!ownId || !this.#isOfThisAttempt(message) || !this.#hasTask(operatorId, subtaskIndex)) {
      return 'unknown'
    }
    const answer = pending?.acknowledge(operatorId, subtaskIndex, result)
    if (pending?.isSavepoint === true) {
      if (answer === 'late') this.#discardLate(pending, result)
      return answer ?? 'late'
    }
    const completed = pending === undefined && !this.#checkpoints.wasAborted(checkpointId)
    // It may be subsumed by now: pending ones may be based on it all the same. Or nobody knows any more.
    if (completed && !this.#checkpoints.isRetained(checkpointId)) return 'duplicate'
    // C4: whatever becomes of the checkpoint, from here on the registry knows what was brought for it.
    this.#checkpoints.registerAcknowledged(checkpointId, result.jobManagerOwnedSnapshot)
    if (completed) return 'duplicate'
    if (answer === 'accepted' || answer === 'duplicate') return answer
    this.#checkpoints.abort(checkpointId)
    this.#keepWorking(this.#finalizer?.clean({ epochChecked: false }) ?? Promise.resolve())
    return 'late'
  }

  #isOfThisAttempt({ epoch = this.#epoch }: CheckpointMessage): boolean {
    return epoch === this.#epoch
  }

  #hasTask(operatorId: string, subtaskIndex: number): boolean {
    const operator = this.#operators.find((each) => each.operatorId === operatorId)
    return operator !== undefined && subtaskIndex in operator.tasks
  }

  #discardLate(pending: PendingCheckpoint, result: SnapshotResult): void {
    this.#keepWorking(this.#finalizer?.discardSavepoint(pending, [result]) ?? Promise.resolve())
  }

  /** A task that is elsewhere could not do its part. Changes nothing where the checkpoint is not pending or the task is not in it. */
  declineCheckpoint(message: CheckpointMessage & { readonly cause: unknown }): void {
    const { checkpointId, operatorId, subtaskIndex, cause } = message
    const pending = this.#inFlight.get(checkpointId)?.pending
    if (!this.#isOfThisAttempt(message)) return
    if (pending?.hasTask(operatorId, subtaskIndex) !== true) return
    const closed = cause instanceof StateBackendError && cause.code === 'BACKEND_CLOSED'
    pending.abort(closed ? 'closed' : 'declined', cause)
  }

  /** Aborts what is in flight and waits for it. Completed checkpoints stay. May be called again. Never rejects. */
  async close(): Promise<void> {
    this.#phase = 'closed'
    for (const { pending } of this.#inFlight.values()) pending.abort('closed')
    await this.idle()
    while (this.#working.size > 0) await Promise.all(this.#working)
  }
}
