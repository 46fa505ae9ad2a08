/**
 * The end of a checkpoint: publishes it when all tasks have acknowledged, tells the tasks and the host, and deletes what is not needed
 * any more.
 *
 * Invariants
 * C3 `_metadata` is written last: after every task has acknowledged, and so after all it names is durable.
 * C6 A checkpoint is completed when its `_metadata` was written and no later attempt had begun by then: the later one has seen it, or this
 *    attempt sees the later one and says nothing. Nothing of another attempt's is deleted, and nothing at all once a later one is known.
 * H3 Whether a checkpoint is completed is decided by the outcome of its publication alone. When that fails, the object may be there
 *    all the same; so it is deleted before anything it names, and not before a later checkpoint is completed (D5).
 * H4 Tasks hear of each checkpoint's end once, unless the process dies: completed, or aborted. Completions are told in the order of ids,
 *    each after the aborts of what is older and was pending. Of the completion of a savepoint they hear only when the job ends with it.
 */
import { encodeCheckpointMetadata } from '../checkpoint/checkpoint-metadata.js'
import type { SnapshotResult } from '../checkpoint/snapshotable.js'
import type { Clock } from '../common/clock.js'
import { throwIfAborted } from '../common/concurrency.js'
import { SerialQueue } from '../common/serial-queue.js'
import { StateBackendError } from '../errors.js'
import type { CheckpointStorage } from '../storage/checkpoint-storage.js'
import { isIdTaken, type CheckpointEvent } from './checkpoint-events.js'
import type { CheckpointFailureManager } from './checkpoint-failure-manager.js'
import type { Abortion } from './checkpoints-cleaner.js'
import type { CompletedCheckpointStore } from './completed-checkpoint-store.js'
import type { PendingCheckpoint } from './pending-checkpoint.js'
import { discardSavepoint } from './savepoints.js'
import type { TaskNotifier } from './task-notifier.js'

export interface CheckpointFinalizerOptions {
  readonly storage: CheckpointStorage
  readonly clock: Clock
  readonly checkpoints: CompletedCheckpointStore
  readonly failures: CheckpointFailureManager
  readonly notifier: TaskNotifier
  readonly onCheckpoint: ((event: CheckpointEvent) => void) | undefined
  readonly failJob: (error: StateBackendError) => void
  /** All that are in flight, ascending. */
  readonly inFlight: () => readonly PendingCheckpoint[]
  readonly epoch: number
}

export class CheckpointFinalizer {
  readonly #options: CheckpointFinalizerOptions
  readonly #publications = new SerialQueue()
  #lastCompletionMs = -Infinity
  #fencedBy: StateBackendError | undefined
  /** The last publication ended without hearing that no later attempt had begun. */
  #mustLookFirst = false

  constructor(options: CheckpointFinalizerOptions) {
    this.#options = options
  }

  /** By the monotonic clock: when a checkpoint was completed last. */
  get lastCompletionMs(): number {
    return this.#lastCompletionMs
  }

  /** Why this attempt can complete nothing any more. */
  get fencedBy(): StateBackendError | undefined {
    return this.#fencedBy
  }

  /** Waits for the acknowledgements and brings the checkpoint to its end, cleaning included. Never rejects. */
  async finalize(pending: PendingCheckpoint): Promise<CheckpointEvent> {
    const publication = await this.#publish(pending)
    const event =
      pending.outcome ?? this.#abort(pending, publication === 'done' ? 'doubtful' : publication)
    if (event.status === 'aborted' && event.reason === 'fenced') this.#fence(event.cause)
    if (!pending.isSavepoint) await this.clean({ epochChecked: publication === 'done' })
    else if (event.status === 'aborted') await this.discardSavepoint(pending, pending.results)
    return event
  }

  async #publish(pending: PendingCheckpoint): Promise<Abortion | 'done'> {
    let begun = false
    try {
      await pending.acknowledged
      // One at a time: so none is completed while an earlier one may still be.
      await this.#publications.push(() => {
        throwIfAborted(pending.signal)
        begun = true
        return this.#publishAndComplete(pending)
      })
      return 'done'
    } catch (error) {
      const brokenOff = pending.signal.aborted
      pending.abort(isFencing(error) ? 'fenced' : 'not-published', error)
      if (!begun) return 'aborted'
      return brokenOff ? 'broken-off' : 'doubtful'
    }
  }

  /**
   * Publishes, and looks at the epoch afterwards (C6). Not before as well, but where a publication ended without that look: so an attempt
   * that was overtaken takes at most one id from the later one, which goes on with the next.
   */
  async #publishAndComplete(pending: PendingCheckpoint): Promise<void> {
    const { storage, epoch } = this.#options
    const { signal } = pending
    if (this.#mustLookFirst) await storage.checkEpoch(epoch, { signal })
    this.#mustLookFirst = true
    try {
      await this.#write(pending)
    } catch (error) {
      // Perhaps by a later attempt: then this one is fenced.
      if (isIdTaken(error)) await storage.checkEpoch(epoch, { signal })
      throw error
    }
    await storage.checkEpoch(epoch, { signal })
    this.#mustLookFirst = false
    this.#complete(pending)
  }

  async #write(pending: PendingCheckpoint): Promise<void> {
    const { storage, checkpoints } = this.#options
    const { signal } = pending
    const { savepointFolder } = pending.options.checkpointOptions.target
    const checkpoint = pending.toCompletedCheckpoint()
    if (savepointFolder === undefined) return checkpoints.publish(checkpoint, { signal })
    const bytes = encodeCheckpointMetadata(checkpoint)
    await storage.writeSavepointMetadata(savepointFolder, bytes, { signal })
  }

  #complete(pending: PendingCheckpoint): void {
    const { clock, checkpoints, failures, onCheckpoint } = this.#options
    const { checkpointId, stop } = pending.options
    const event = pending.complete(clock.monotonicMs())
    if (!pending.isSavepoint) this.#noteBase(checkpointId)
    if (!pending.isSavepoint || stop) {
      this.#abortOlder(checkpointId)
      this.#tell(pending, checkpointId, 'notifyCheckpointComplete')
    }
    if (!pending.isSavepoint) {
      this.#lastCompletionMs = clock.monotonicMs()
      failures.completed(checkpointId)
      for (const id of checkpoints.add(checkpointId)) {
        this.#tell(pending, id, 'notifyCheckpointSubsumed')
      }
    }
    this.#call('onCheckpoint', checkpointId, () => onCheckpoint?.(event))
  }

  #noteBase(checkpointId: number): void {
    for (const newer of this.#options.inFlight()) {
      // A savepoint names nothing of anybody's.
      if (newer.isSavepoint || newer.options.checkpointId <= checkpointId) continue
      if (newer.outcome === undefined) newer.noteCompleted(checkpointId)
    }
  }

  /** Of what is older nothing can be completed any more (H4). */
  #abortOlder(checkpointId: number): void {
    for (const older of this.#options.inFlight()) {
      if (older.isSavepoint || older.options.checkpointId >= checkpointId) continue
      if (older.outcome !== undefined) continue
      older.abort('subsumed')
      this.#abort(older)
    }
  }

  #abort(pending: PendingCheckpoint, why: Abortion = 'aborted'): CheckpointEvent {
    const { clock, checkpoints, failures, failJob, onCheckpoint } = this.#options
    const { checkpointId } = pending.options
    const event = pending.fail(clock.monotonicMs())
    if (!pending.isSavepoint) checkpoints.abort(checkpointId, why)
    this.#tell(pending, checkpointId, 'notifyCheckpointAborted')
    this.#call('onCheckpoint', checkpointId, () => onCheckpoint?.(event))
    const error = failures.failed(event)
    if (error !== undefined) this.#call('failJob', checkpointId, () => failJob(error))
    return event
  }

  #fence(cause: unknown): void {
    if (this.#fencedBy !== undefined || !isFencing(cause)) return
    this.#fencedBy = cause
    for (const pending of this.#options.inFlight()) pending.abort('fenced', cause)
    this.#call('failJob', 0, () => this.#options.failJob(cause))
  }

  /**
   * Deletes what no checkpoint needs. `epochChecked`: no later attempt had begun a moment ago. Never rejects, and does nothing once this
   * attempt is fenced.
   */
  async clean({ epochChecked }: { epochChecked: boolean }): Promise<void> {
    const { storage, checkpoints, epoch, inFlight, notifier } = this.#options
    if (this.#fencedBy !== undefined || !checkpoints.hasToClean) return
    const mustCheck = !epochChecked || checkpoints.hasDoubts
    const published = await checkpoints.settleDoubts(epoch)
    try {
      if (mustCheck) await storage.checkEpoch(epoch)
    } catch (cause) {
      this.#fence(cause)
      if (!isFencing(cause)) notifier.warn(notCleaned(cause))
      return
    }
    const baseIds = (): readonly number[] =>
      inFlight().flatMap(({ outcome, possibleBaseIds }) =>
        outcome === undefined ? possibleBaseIds : [],
      )
    await checkpoints.clean(epoch, baseIds, published)
  }

  /** Removes what the tasks brought to storage for a savepoint that came to nothing. Never rejects. */
  async discardSavepoint(
    pending: PendingCheckpoint,
    results: readonly SnapshotResult[],
  ): Promise<void> {
    const { storage, notifier } = this.#options
    try {
      const handles = results.map((result) => result.jobManagerOwnedSnapshot)
      await discardSavepoint(storage, pending, handles)
    } catch (cause) {
      const folder = pending.options.checkpointOptions.target.savepointFolder
      const message = `What was written of the savepoint in ${folder} could not be deleted. It takes room and does no other harm: delete the folder.`
      notifier.warn(new StateBackendError('STORAGE_FAILED', message, { cause }))
    }
  }

  #tell(
    { options }: PendingCheckpoint,
    checkpointId: number,
    notice: 'notifyCheckpointComplete' | 'notifyCheckpointAborted' | 'notifyCheckpointSubsumed',
  ): void {
    this.#options.notifier.tell(options.operators, checkpointId, (task) =>
      task[notice](checkpointId),
    )
  }

  #call(whom: string, checkpointId: number, call: () => void): void {
    this.#options.notifier.call(whom, checkpointId, call)
  }
}

function isFencing(error: unknown): error is StateBackendError {
  return error instanceof StateBackendError && error.code === 'ATTEMPT_FENCED'
}

function notCleaned(cause: unknown): StateBackendError {
  return new StateBackendError(
    'STORAGE_FAILED',
    'What no checkpoint needs was not deleted, because storage did not say whether a later attempt has begun. It is tried again after ' +
      'the next checkpoint.',
    { cause },
  )
}
