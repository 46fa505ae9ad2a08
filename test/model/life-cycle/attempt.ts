/**
 * One attempt at running the job: a coordinator, some tasks with real backends, and a bad network between them. Acknowledgements are
 * held back, delivered late, twice or never; notices are lost, or come in another order.
 */
import { setImmediate as turn } from 'node:timers/promises'
import type { CheckpointOptions } from '../../../src/checkpoint/checkpoint-options.js'
import { stateHandlesOf } from '../../../src/checkpoint/completed-checkpoint.js'
import type { SnapshotResult } from '../../../src/checkpoint/snapshotable.js'
import type { Clock } from '../../../src/common/clock.js'
import {
  CheckpointCoordinator,
  type CheckpointMessage,
} from '../../../src/host/checkpoint-coordinator.js'
import type { CheckpointLimits } from '../../../src/host/checkpoint-coordinator-options.js'
import type { CheckpointEvent } from '../../../src/host/checkpoint-events.js'
import type { RestoredCheckpoint } from '../../../src/host/checkpoint-selection.js'
import type { CheckpointTask } from '../../../src/host/pending-checkpoint.js'
import {
  computeKeyGroupForKeyHash,
  computeKeyGroupRangeForOperatorIndex,
  computeOperatorIndexForKeyGroup,
} from '../../../src/record/key-group-range-assignment.js'
import { numberKey } from '../../../src/record/key-serializer.js'
import type { StateBackend } from '../../../src/state-backend.js'
import type { CheckpointStorage } from '../../../src/storage/checkpoint-storage.js'
import type { SeededRandom } from '../../support/random.js'
import type { Backend } from '../../support/state-task.js'
import type { BackendOf } from './keyed-model.js'

const OPERATOR_ID = 'operator'
const MAX_PARALLELISM = 8

/** How tasks acknowledge a checkpoint: by themselves, when the test says so, or some so and some so. */
export type Answers = 'themselves' | 'held' | 'mixed'

/** An acknowledgement on its way. */
export interface Held {
  readonly message: CheckpointMessage
  readonly result: Promise<SnapshotResult>
  /** Whether the coordinator had it before. */
  delivered: boolean
}

export interface AttemptOptions {
  readonly storage: CheckpointStorage
  readonly stateBackend: StateBackend
  readonly limits: CheckpointLimits
  readonly clock: Clock
  readonly random: SeededRandom
  /** How likely it is that a notice does not come when it should. */
  readonly noticeLoss: number
  readonly count: (what: string) => void
  readonly onEvent: (event: CheckpointEvent) => void
}

export async function turns(count: number): Promise<void> {
  for (let done = 0; done < count; done++) await turn()
}

/** Backends of `parallelism` subtasks, restored; when one cannot be, none is left open. */
export async function openBackends(
  stateBackend: StateBackend,
  parallelism: number,
  restored: RestoredCheckpoint | undefined,
): Promise<Backend[]> {
  const opening = Array.from({ length: parallelism }, (_, index) =>
    stateBackend.createKeyedStateBackend<number>({
      operatorId: OPERATOR_ID,
      keySerializer: numberKey,
      maxParallelism: MAX_PARALLELISM,
      keyGroupRange: computeKeyGroupRangeForOperatorIndex(MAX_PARALLELISM, parallelism, index),
      stateHandles: stateHandlesOf(restored?.checkpoint, OPERATOR_ID),
      checkpointStorage: restored?.state,
    }),
  )
  const opened = await Promise.allSettled(opening)
  const backends = opened.flatMap((each) => (each.status === 'fulfilled' ? each.value : []))
  const failed = opened.find((each) => each.status === 'rejected')
  if (failed === undefined) return backends
  await Promise.all(backends.map((backend) => backend.close()))
  throw failed.reason
}

export function backendOf(backends: readonly Backend[]): BackendOf {
  return (key) => {
    const hash = numberKey.hashCode(numberKey.identityOf(key))
    const keyGroup = computeKeyGroupForKeyHash(hash, MAX_PARALLELISM)
    const index = computeOperatorIndexForKeyGroup(MAX_PARALLELISM, backends.length, keyGroup)
    const backend = backends[index]
    if (backend === undefined) throw new Error(`no subtask has key ${key}`)
    return backend
  }
}

export class Attempt {
  readonly coordinator: CheckpointCoordinator
  readonly events = new Map<number, CheckpointEvent>()
  /** Ids that were triggered. */
  readonly triggered: number[] = []
  /** Everything that a task ever brought to storage and told of. */
  readonly brought = new Set<string>()
  held: Held[] = []
  notices: (() => void)[] = []
  backends: readonly Backend[] = []
  epoch = 0
  /** Snapshots whose asynchronous part is going on. */
  readonly running = new Set<Promise<unknown>>()
  /** Why the host must stop it. */
  failure: Error | undefined
  lost = 0
  answers: Answers = 'themselves'
  readonly #options: AttemptOptions

  constructor(options: AttemptOptions) {
    this.#options = options
    const { storage, clock, limits, count, onEvent } = options
    this.coordinator = new CheckpointCoordinator({
      storage,
      clock,
      ...limits,
      onCheckpoint: (event) => {
        if (this.events.has(event.checkpointId)) throw new Error('a checkpoint ended twice')
        this.events.set(event.checkpointId, event)
        count(event.status === 'completed' ? `${event.snapshotType} completed` : event.reason)
        if (event.status === 'completed') count(event.kind)
        onEvent(event)
      },
      onWarning: () => count('warning'),
      failJob: (error) => {
        this.failure = error
      },
    })
  }

  get of(): BackendOf {
    return backendOf(this.backends)
  }

  /** After the coordinator's restore. Rejects when storage does; then it is to be closed. */
  async start(restored: RestoredCheckpoint | undefined, parallelism: number): Promise<void> {
    this.backends = await openBackends(this.#options.stateBackend, parallelism, restored)
    this.coordinator.start([
      {
        operatorId: OPERATOR_ID,
        maxParallelism: MAX_PARALLELISM,
        tasks: this.backends.map((backend, index) => this.#taskOf(backend, index)),
      },
    ])
  }

  #taskOf(backend: Backend, subtaskIndex: number): CheckpointTask {
    const told = (tell: () => void): void => this.#told(tell)
    return {
      snapshot: (checkpointId, timestampMs, options, signal) =>
        this.#snapshot(backend, subtaskIndex, { checkpointId, timestampMs, options, signal }),
      notifyCheckpointComplete: (id) => told(() => backend.notifyCheckpointComplete(id)),
      notifyCheckpointAborted: (id) => told(() => backend.notifyCheckpointAborted(id)),
      notifyCheckpointSubsumed: (id) => told(() => backend.notifyCheckpointSubsumed(id)),
    }
  }

  #snapshot(
    backend: Backend,
    subtaskIndex: number,
    request: {
      checkpointId: number
      timestampMs: number
      options: CheckpointOptions
      signal: AbortSignal
    },
  ): Promise<SnapshotResult> | undefined {
    const { storage, random } = this.#options
    const { checkpointId, timestampMs, options, signal } = request
    this.epoch = options.target.epoch ?? 0
    if (subtaskIndex === 0) this.triggered.push(checkpointId)
    const factory = storage.streamFactory(checkpointId, options.target)
    const context = { signal }
    const result = backend.snapshot(checkpointId, timestampMs, factory, options, context)
    const run = result.then(
      ({ jobManagerOwnedSnapshot: handle }) => this.#noteBrought(handle?.objects()),
      () => undefined,
    )
    this.running.add(run)
    void run.then(() => this.running.delete(run))
    const byItself =
      this.answers === 'themselves' || (this.answers === 'mixed' && random.chance(0.5))
    const message = { checkpointId, operatorId: OPERATOR_ID, subtaskIndex }
    // What a task said by itself may be said again.
    if (byItself && random.chance(0.9)) return result
    this.held.push({ message, result, delivered: byItself })
    return byItself ? result : undefined
  }

  #noteBrought(objects: { shared: string[]; exclusive: string[] } | undefined): void {
    for (const location of objects?.shared ?? []) this.brought.add(location)
    for (const location of objects?.exclusive ?? []) this.brought.add(location)
  }

  #told(tell: () => void): void {
    const { random, noticeLoss, count } = this.#options
    if (!random.chance(noticeLoss)) tell()
    else if (random.chance(0.5)) count('notice lost')
    else this.notices.push(tell)
  }

  /** Takes an acknowledgement off its way, and leaves it there when it is to come again. */
  async deliver(held: Held, again: boolean): Promise<void> {
    const { count } = this.#options
    if (!again) this.held = this.held.filter((each) => each !== held)
    const { message, result, delivered } = held
    let answer: string
    try {
      const { coordinator } = this
      const acknowledgement = await result
      const ended = this.events.get(message.checkpointId)
      answer = coordinator.acknowledgeCheckpoint({ ...message, result: acknowledgement })
      this.#checkAnswer(answer, ended, delivered)
    } catch (cause) {
      if (cause instanceof WrongAnswer) throw cause
      this.coordinator.declineCheckpoint({ ...message, cause })
      answer = 'declined'
    }
    held.delivered = true
    count(`ack ${answer}`)
  }

  #checkAnswer(answer: string, ended: CheckpointEvent | undefined, delivered: boolean): void {
    const right = rightAnswers(ended, delivered)
    if (!right.includes(answer)) {
      throw new WrongAnswer(`${answer} instead of ${right.join(' or ')}: ${JSON.stringify(ended)}`)
    }
  }

  /** All that is on its way arrives, until nothing is in flight. */
  async deliverAll(): Promise<void> {
    while (this.held.length > 0) {
      const [held] = this.held
      if (held !== undefined) await this.deliver(held, false)
    }
    await this.settle()
  }

  /** Until every asynchronous part has ended. */
  async settle(): Promise<void> {
    while (this.running.size > 0) await Promise.all(this.running)
    await turn()
  }

  async closeBackends(): Promise<void> {
    await Promise.all(this.backends.map((backend) => backend.close()))
  }
}

class WrongAnswer extends Error {}

function rightAnswers(ended: CheckpointEvent | undefined, delivered: boolean): string[] {
  if (ended?.status === 'completed') return ['duplicate']
  // An abort may be on its way, of which there is no event yet.
  if (ended === undefined) return delivered ? ['duplicate'] : ['accepted', 'late']
  return delivered ? ['duplicate', 'late'] : ['late']
}
