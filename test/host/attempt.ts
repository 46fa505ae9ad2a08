/** One attempt at running a job of fake tasks: a coordinator over storage, and everything that it says, in a log. */
import { setImmediate as turn } from 'node:timers/promises'
import { expect, onTestFinished } from 'vitest'
import {
  stateHandlesOf,
  type CompletedCheckpoint,
} from '../../src/checkpoint/completed-checkpoint.js'
import type { CheckpointOptions } from '../../src/checkpoint/checkpoint-options.js'
import type { SnapshotResult } from '../../src/checkpoint/snapshotable.js'
import type { StateBackendError } from '../../src/errors.js'
import {
  CheckpointCoordinator,
  type CheckpointCoordinatorOptions,
  type CheckpointTask,
} from '../../src/host/checkpoint-coordinator.js'
import type { CheckpointEvent } from '../../src/host/checkpoint-events.js'
import type { RestoredCheckpoint, RestoreSource } from '../../src/host/checkpoint-selection.js'
import { openSnapshot } from '../../src/restore/snapshot-location.js'
import { verifyCheckpoint } from '../../src/restore/verify-checkpoint.js'
import { CheckpointStorage } from '../../src/storage/checkpoint-storage.js'
import { MemoryObjectStore } from '../../src/storage/memory-object-store.js'
import type { ObjectStore } from '../../src/storage/object-store.js'
import { FaultObjectStore } from '../support/fault-object-store.js'
import { ManualClock } from '../support/manual-clock.js'
import { FakeTask } from './fake-task.js'

export const OPERATOR_ID = 'op'
export const TIMEOUT_MS = 1000

export interface AttemptOptions<
  S extends ObjectStore = ObjectStore,
> extends Partial<CheckpointCoordinatorOptions> {
  /** Default: one in memory that fails when the test says so. */
  readonly objectStore?: S
  readonly jobId?: string
  readonly taskNames?: readonly string[]
  /** Default 0: all state is in objects. */
  readonly inlineThresholdBytes?: number
  /** Of each task; 1: every checkpoint stands alone. */
  readonly rebaseEvery?: number
  /** Default Infinity; undefined: as many as the coordinator tolerates when nothing is said. */
  readonly tolerableFailedCheckpoints?: number | undefined
}

export interface Attempt<S extends ObjectStore = ObjectStore> {
  readonly objectStore: S
  readonly storage: CheckpointStorage
  readonly clock: ManualClock
  readonly coordinator: CheckpointCoordinator
  /** Once begun. */
  readonly tasks: FakeTask[]
  readonly told: string[]
  readonly events: CheckpointEvent[]
  readonly warnings: StateBackendError[]
  readonly failures: StateBackendError[]
  /** Restores and starts. `wrap` gives the coordinator something else in place of a task. */
  begin(
    source?: RestoreSource,
    wrap?: (task: FakeTask) => CheckpointTask,
  ): Promise<RestoredCheckpoint | undefined>
  task(index: number): FakeTask
}

export function attempt<S extends ObjectStore = FaultObjectStore>(
  options?: AttemptOptions<S>,
): Attempt<S>
export function attempt(options: AttemptOptions = {}): Attempt {
  const { objectStore = new FaultObjectStore(new MemoryObjectStore()), jobId = 'job' } = options
  const { taskNames = ['a', 'b'], inlineThresholdBytes = 0 } = options
  const storage = new CheckpointStorage(objectStore, { jobId, inlineThresholdBytes })
  const clock = new ManualClock()
  const events: CheckpointEvent[] = []
  const warnings: StateBackendError[] = []
  const failures: StateBackendError[] = []
  const told: string[] = []
  const tasks: FakeTask[] = []
  const coordinator = new CheckpointCoordinator({
    storage,
    clock,
    timeoutMs: TIMEOUT_MS,
    onCheckpoint: (event) => events.push(event),
    onWarning: (warning) => warnings.push(warning),
    failJob: (error) => failures.push(error),
    tolerableFailedCheckpoints: Infinity,
    ...options,
  })
  onTestFinished(() => coordinator.close())

  const begin: Attempt['begin'] = async (source, wrap = (task) => task) => {
    const restored = await coordinator.restore(source)
    const handles = stateHandlesOf(restored?.checkpoint, OPERATOR_ID)
    for (const [index, name] of taskNames.entries()) {
      const tables = handles[index]?.sharedState ?? []
      const reusable = tables.every(({ state }) => restored?.state.isReusable(state))
      const { rebaseEvery = 3 } = options
      tasks.push(
        new FakeTask({ name, storage, told, rebaseEvery, restored: reusable ? tables : [] }),
      )
    }
    coordinator.start([{ operatorId: OPERATOR_ID, maxParallelism: 128, tasks: tasks.map(wrap) }])
    return restored
  }
  const task = (index: number): FakeTask => {
    const found = tasks[index]
    if (found === undefined) throw new Error(`there is no task ${index} yet`)
    return found
  }
  const parts = { objectStore, storage, clock, coordinator, tasks, told }
  return { ...parts, events, warnings, failures, begin, task }
}

/** An attempt that goes on from the newest checkpoint in storage, if there is one. */
export async function begun<S extends ObjectStore = FaultObjectStore>(
  options?: AttemptOptions<S>,
): Promise<Attempt<S>> {
  const running = attempt(options)
  await running.begin()
  return running
}

/** A task that is elsewhere: it does its part when the test says so, and is answered for by messages. */
export class RemoteTask implements CheckpointTask {
  readonly #task: FakeTask
  readonly #requests = new Map<number, () => Promise<SnapshotResult>>()

  constructor(task: FakeTask) {
    this.#task = task
  }

  snapshot(checkpointId: number, _timestampMs: number, options: CheckpointOptions): undefined {
    this.#requests.set(checkpointId, this.#task.prepare(checkpointId, options))
  }

  /** Brings the state to storage, each time under new names. */
  perform(checkpointId: number): Promise<SnapshotResult> {
    const request = this.#requests.get(checkpointId)
    if (request === undefined) throw new Error(`nobody asked for ${checkpointId}`)
    return request()
  }

  notifyCheckpointComplete(checkpointId: number): void {
    this.#task.notifyCheckpointComplete(checkpointId)
  }

  notifyCheckpointAborted(checkpointId: number): void {
    this.#task.notifyCheckpointAborted(checkpointId)
  }

  notifyCheckpointSubsumed(checkpointId: number): void {
    this.#task.notifyCheckpointSubsumed(checkpointId)
  }
}

/** '3', or '3 expired'. */
export function statuses(events: readonly CheckpointEvent[]): string[] {
  return events.map((event) =>
    event.status === 'completed'
      ? `${event.checkpointId}`
      : `${event.checkpointId} ${event.reason}`,
  )
}

/** Lets everything run that does not wait for the test. */
export async function settle(): Promise<void> {
  for (let turns = 0; turns < 50; turns++) await turn()
}

/** That nothing it names is missing or damaged. */
export async function expectWhole(
  objectStore: ObjectStore,
  folder: string,
): Promise<CompletedCheckpoint> {
  const { checkpoint, state } = await openSnapshot(objectStore, folder)
  expect((await verifyCheckpoint(state, checkpoint)).problems, `${folder} is whole`).toEqual([])
  return checkpoint
}
