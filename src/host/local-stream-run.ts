/**
 * One run of a local stream job.
 *
 * One flow: records are processed one at a time across all subtasks. So a barrier is simply a point between two batches: the
 * synchronous parts of all snapshots and the position of the source are taken there, in one stretch; the asynchronous parts run while
 * records go on.
 *
 * Invariants
 * L1 (exactly once) A checkpoint's position and its state are of the same point, and are restored together.
 * L2 When `execute` has settled, nothing of the run is going on or open, whatever happened; but a source may still be busy with a batch
 *    that nobody will take.
 */
import { stateHandlesOf } from '../checkpoint/completed-checkpoint.js'
import type { CheckpointableKeyedStateBackend } from '../checkpoint/checkpointable-keyed-state-backend.js'
import { systemClock, type Clock } from '../common/clock.js'
import { mapLimit, throwIfAborted } from '../common/concurrency.js'
import { Slicer } from '../common/slicer.js'
import { StateBackendError } from '../errors.js'
import { computeKeyGroupRangeForOperatorIndex } from '../record/key-group-range-assignment.js'
import {
  CheckpointCoordinator,
  type CheckpointTask,
  type SavepointOptions,
} from './checkpoint-coordinator.js'
import { isIdTaken, type CheckpointEvent } from './checkpoint-events.js'
import type { RestoredCheckpoint } from './checkpoint-selection.js'
import { InterruptibleReader } from './interruptible-reader.js'
import type {
  LocalRunOptions,
  LocalStreamPlan,
  LocalStreamSummary,
  LocalSubtask,
  StreamOperator,
} from './local-stream-job.js'
import { SavepointRequests, type SavepointRequest } from './savepoint-requests.js'
import { advanced, hostDataOf, readProgress, type SourceProgress } from './source-progress.js'
import { SubtaskRouter } from './subtask-router.js'

/** Backends restored at a time. */
const RESTORES_MAX = 4
/** Ids tried for the last checkpoint: each attempt that this one has overtaken may take one. */
const FINAL_IDS_MAX = 8

interface Subtask<K, O> extends LocalSubtask<K, O> {
  readonly backend: CheckpointableKeyedStateBackend<K>
}

export class LocalStreamRun<R, K, O extends StreamOperator<R>> {
  readonly #plan: LocalStreamPlan<R, K, O>
  readonly #options: LocalRunOptions<K, O>
  readonly #clock: Clock
  readonly #slicer: Slicer
  readonly #coordinator: CheckpointCoordinator
  readonly #backends: CheckpointableKeyedStateBackend<K>[] = []
  readonly #timer = new AbortController()
  readonly #savepoints = new SavepointRequests()
  #router: SubtaskRouter<K, Subtask<K, O>> | undefined
  #reader: InterruptibleReader<R> | undefined
  #progress: SourceProgress = { position: undefined, recordsInState: 0 }
  #restored: RestoredCheckpoint | undefined
  #recordsProcessed = 0
  #recordsSinceBarrier = 0
  #intervalElapsed = false
  /** The folder of the savepoint that ends the run. */
  #stoppedWithSavepoint: string | undefined
  /** What was asked for while the source had nothing to give. */
  #takingSavepoints: Promise<void> | undefined
  /** Why the run ends early. */
  #stopped: { readonly error: unknown } | undefined

  constructor(plan: LocalStreamPlan<R, K, O>, options: LocalRunOptions<K, O>) {
    this.#plan = plan
    this.#options = options
    this.#clock = plan.clock ?? systemClock
    this.#slicer = new Slicer(this.#clock)
    this.#coordinator = new CheckpointCoordinator({
      ...plan.checkpoints,
      storage: plan.checkpointStorage,
      clock: this.#clock,
      onCheckpoint: plan.onCheckpoint,
      onWarning: plan.onWarning,
      failJob: (error) => this.#stop(error),
    })
  }

  async execute(): Promise<LocalStreamSummary> {
    const { signal, scan } = this.#options
    throwIfAborted(signal)
    const onAbort = (): void => this.#stopAborted()
    signal?.addEventListener('abort', onAbort, { once: true })
    try {
      const subtasks = await this.#restore()
      await this.#processAll()
      await this.#finish()
      if (!this.#ended) await scan?.(subtasks)
    } catch (error) {
      // What ended the run is what matters; what it was busy with may have failed because of it.
      const failure = this.#stopped?.error ?? error
      await this.#close().catch(() => undefined)
      throw failure
    } finally {
      signal?.removeEventListener('abort', onAbort)
    }
    await this.#close()
    return {
      recordsProcessed: this.#recordsProcessed,
      recordsInState: this.#progress.recordsInState,
      restoredCheckpointId: this.#restored?.checkpoint.checkpointId,
      lastCheckpointId: this.#coordinator.lastCompletedCheckpointId,
      stoppedWithSavepoint: this.#stoppedWithSavepoint,
    }
  }

  async #restore(): Promise<Subtask<K, O>[]> {
    const { parallelism, operatorId, maxParallelism, onRestored } = this.#plan
    const { signal, restore } = this.#options
    const restored = await this.#coordinator.restore(restore, { signal })
    this.#restored = restored
    if (restored !== undefined) {
      this.#progress = readProgress(restored.checkpoint, { operatorId, maxParallelism })
    }
    const indices = Array.from({ length: parallelism }, (_, subtaskIndex) => subtaskIndex)
    const subtasks = await mapLimit(
      indices,
      RESTORES_MAX,
      (subtaskIndex, restoring) => this.#restoreSubtask(subtaskIndex, restoring),
      signal,
    )
    this.#router = new SubtaskRouter(this.#plan.keySerializer, maxParallelism, subtasks)
    const tasks = subtasks.map(({ backend }) => this.#taskOf(backend))
    this.#coordinator.start([{ operatorId, maxParallelism, tasks }])
    if (restored !== undefined) onRestored?.(restored.checkpoint)
    return subtasks
  }

  async #restoreSubtask(subtaskIndex: number, signal: AbortSignal): Promise<Subtask<K, O>> {
    const { operatorId, keySerializer, maxParallelism, parallelism, stateBackend } = this.#plan
    const backend = await stateBackend.createKeyedStateBackend({
      operatorId,
      keySerializer,
      maxParallelism,
      keyGroupRange: computeKeyGroupRangeForOperatorIndex(
        maxParallelism,
        parallelism,
        subtaskIndex,
      ),
      stateHandles: stateHandlesOf(this.#restored?.checkpoint, operatorId),
      checkpointStorage: this.#restored?.state,
      signal,
    })
    this.#backends.push(backend)
    return { subtaskIndex, backend, operator: this.#plan.createOperator(backend, subtaskIndex) }
  }

  #taskOf(backend: CheckpointableKeyedStateBackend<K>): CheckpointTask {
    const storage = this.#plan.checkpointStorage
    return {
      snapshot: (checkpointId, timestampMs, options, signal) =>
        backend.snapshot(
          checkpointId,
          timestampMs,
          storage.streamFactory(checkpointId, options.target),
          options,
          { signal },
        ),
      notifyCheckpointComplete: (checkpointId) => backend.notifyCheckpointComplete(checkpointId),
      notifyCheckpointAborted: (checkpointId) => backend.notifyCheckpointAborted(checkpointId),
      notifyCheckpointSubsumed: (checkpointId) => backend.notifyCheckpointSubsumed(checkpointId),
    }
  }

  async #processAll(): Promise<void> {
    this.#throwIfStopped()
    // A source may go on counting in what it is given.
    const position = structuredClone(this.#progress.position)
    const reader = new InterruptibleReader(this.#plan.source, position)
    this.#reader = reader
    this.#watchInterval(reader)
    for (;;) {
      const reading = reader.next()
      // What was asked for while none could be taken: the source may have nothing to give for long.
      void this.#takeSavepoints()
      const batch = await reading
      await this.#takingSavepoints
      if (batch === undefined || this.#ended) return
      await this.#process(batch.records)
      const count = batch.records.length
      this.#progress = advanced(this.#progress, batch.position, count)
      this.#recordsProcessed += count
      this.#recordsSinceBarrier += count
      this.#throwIfStopped()
      await this.#takeDueSnapshots()
      if (this.#ended) return
    }
  }

  /** The hot path: nothing is allocated or awaited per record unless the operator or the backend asks for it. */
  async #process(records: readonly R[]): Promise<void> {
    const { keyOf } = this.#plan
    const router = this.#router
    if (router === undefined) return
    for (const record of records) {
      const key = keyOf(record)
      const { backend, operator } = router.subtaskOf(key)
      backend.setCurrentKey(key)
      const processing = operator.process(record)
      if (processing !== undefined) await processing
      if (backend.needsDrain) await backend.drain()
      if (this.#slicer.due()) {
        await this.#slicer.pause()
        this.#throwIfStopped()
      }
    }
  }

  async #takeDueSnapshots(): Promise<void> {
    await this.#takeSavepoints()
    if (this.#ended) return
    const { everyRecords = Infinity } = this.#plan.checkpoints ?? {}
    const countReached = this.#recordsSinceBarrier >= everyRecords
    if (countReached) {
      await this.#coordinator.freeSlot()
      this.#throwIfStopped()
    }
    if ((countReached || this.#intervalElapsed) && this.#coordinator.canTrigger)
      void this.#barrier()
  }

  get #ended(): boolean {
    return this.#stoppedWithSavepoint !== undefined
  }

  /** Taken at the next point between two batches; at once while the source has nothing to give. */
  requestSavepoint(options: SavepointOptions): Promise<CheckpointEvent> {
    const event = this.#savepoints.add(options)
    if (this.#reader?.waiting === true) void this.#takeSavepoints()
    return event
  }

  /** One after the other, all that were asked for, also meanwhile. Never rejects: the outcome is for who asked. */
  async #takeSavepoints(): Promise<void> {
    if (!this.#savepoints.isEmpty && !this.#ended) this.#takingSavepoints ??= this.#takeRequested()
    await this.#takingSavepoints
  }

  async #takeRequested(): Promise<void> {
    for (;;) {
      const request = this.#ended ? undefined : this.#savepoints.next()
      if (request === undefined) break
      await this.#take(request)
    }
    // Nothing was awaited since the last look: no request is left lying.
    this.#takingSavepoints = undefined
  }

  async #take({ options, resolve, reject }: SavepointRequest): Promise<void> {
    try {
      this.#throwIfStopped()
      const ending = this.#coordinator.triggerSavepoint(hostDataOf(this.#progress), options)
      ending.then(resolve, reject)
      // Whether it succeeds decides whether there is a next record.
      if (options.stop === true) this.#noteStop(await ending)
    } catch (error) {
      reject(error)
    }
  }

  #noteStop(event: CheckpointEvent): void {
    if (event.status !== 'completed') return
    this.#stoppedWithSavepoint = event.savepointFolder
    this.#reader?.end()
  }

  #barrier(options: { final?: boolean } = {}): Promise<CheckpointEvent> {
    this.#recordsSinceBarrier = 0
    this.#intervalElapsed = false
    const hostData = hostDataOf(this.#progress)
    return this.#coordinator.triggerCheckpoint(hostData, { ignoreMinPause: options.final })
  }

  /** A source that has nothing to give must not keep a checkpoint from being taken. */
  #watchInterval(reader: InterruptibleReader<R>): void {
    const { intervalMs } = this.#plan.checkpoints ?? {}
    if (intervalMs === undefined) return
    const tick = (): void => {
      this.#intervalElapsed = true
      const free = reader.waiting && this.#coordinator.canTrigger
      try {
        if (free && this.#stopped === undefined) void this.#barrier()
      } catch (error) {
        this.#stop(error)
      }
      wait()
    }
    const wait = (): void => {
      this.#clock.sleep(intervalMs, this.#timer.signal).then(tick, () => undefined)
    }
    wait()
  }

  async #finish(): Promise<void> {
    this.#timer.abort()
    await this.#takeSavepoints()
    await this.#coordinator.idle()
    this.#throwIfStopped()
    if (this.#plan.checkpoints?.atEnd === false || this.#ended) return
    const event = await this.#finalCheckpoint()
    if (event.status === 'completed') return
    throw new StateBackendError(
      'CHECKPOINT_FAILED',
      `The final checkpoint ${event.checkpointId} failed (${event.reason}), so the end of the input is in no checkpoint. Run the job ` +
        'again: it continues from the last completed one.',
      { cause: event.cause, details: { checkpointId: event.checkpointId, reason: event.reason } },
    )
  }

  async #finalCheckpoint(): Promise<CheckpointEvent> {
    for (let ids = 1; ; ids++) {
      const event = await this.#barrier({ final: true })
      this.#throwIfStopped()
      const again = event.status === 'aborted' && isIdTaken(event.cause) && ids < FINAL_IDS_MAX
      if (!again) return event
    }
  }

  #stopAborted(): void {
    try {
      throwIfAborted(this.#options.signal)
    } catch (error) {
      this.#stop(error)
    }
  }

  /** Ends the run at the next point where it can; the first reason counts. */
  #stop(error: unknown): void {
    this.#stopped ??= { error }
    this.#reader?.interrupt(error)
    void this.#coordinator.close()
  }

  #throwIfStopped(): void {
    if (this.#stopped !== undefined) throw this.#stopped.error
  }

  async #close(): Promise<void> {
    this.#timer.abort()
    this.#savepoints.close()
    await this.#reader?.close()
    // A snapshot of a backend ends when the backend is closed, and the coordinator waits for it.
    const coordinatorClosed = this.#coordinator.close()
    const closed = await Promise.allSettled(this.#backends.map((backend) => backend.close()))
    await coordinatorClosed
    for (const result of closed) if (result.status === 'rejected') throw result.reason
  }
}
