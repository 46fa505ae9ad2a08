/** A checkpoint of a whole job: one handle per subtask of every operator, and what the host wants back with them. */
import type { SnapshotType } from './checkpoint-options.js'
import type { JsonValue } from './json-value.js'
import type { IncrementalRemoteKeyedStateHandle } from './keyed-state-handle.js'
import type { StreamStateHandle } from '../storage/checkpoint-storage.js'

export interface SubtaskState {
  /** From 0. */
  readonly subtaskIndex: number
  /** `null` for a subtask that had no state at all. */
  readonly keyedStateHandle: IncrementalRemoteKeyedStateHandle | null
}

export interface OperatorCheckpoint {
  readonly operatorId: string
  readonly maxParallelism: number
  /** One per subtask, ascending from index 0. */
  readonly subtasks: readonly SubtaskState[]
}

/** A checkpoint that is, or is about to be, published. Immutable. */
export interface CompletedCheckpoint {
  readonly checkpointId: number
  readonly snapshotType: SnapshotType
  /** Of the attempt at running the job that took it: a later attempt's checkpoint is newer, whatever the ids. 0 without a coordinator. */
  readonly epoch: number
  /** When it was triggered, in milliseconds since the epoch. For people. */
  readonly timestampMs: number
  readonly jobId: string
  readonly operators: readonly OperatorCheckpoint[]
  /** The host's own, as it was at the barrier. */
  readonly hostData: JsonValue
}

/** The handles of an operator, to be given to the `createKeyedStateBackend` of each of its subtasks, which picks its own. */
export function stateHandlesOf(
  checkpoint: CompletedCheckpoint | undefined,
  operatorId: string,
): IncrementalRemoteKeyedStateHandle[] {
  const operator = checkpoint?.operators.find((each) => each.operatorId === operatorId)
  return (operator?.subtasks ?? []).flatMap(({ keyedStateHandle }) => keyedStateHandle ?? [])
}

/** Of all subtasks that had state. */
export function handlesOf({ operators }: CompletedCheckpoint): IncrementalRemoteKeyedStateHandle[] {
  return operators
    .flatMap(({ subtasks }) => subtasks)
    .flatMap(({ keyedStateHandle }) => keyedStateHandle ?? [])
}

/** What a handle names: meta information and tables. */
export function statesOf(handle: IncrementalRemoteKeyedStateHandle): StreamStateHandle[] {
  return [handle.metaState, ...handle.sharedState.map(({ state }) => state)]
}

/** Each object and each inlined state once, however many tasks name it. */
export function distinctStates(states: readonly StreamStateHandle[]): StreamStateHandle[] {
  const distinct = new Map<string, StreamStateHandle>()
  for (const state of states) {
    distinct.set(state.kind === 'object' ? state.location : `inline ${state.sha256}`, state)
  }
  return [...distinct.values()]
}

/** Locations of the objects that the checkpoint names, some perhaps more than once; inline state has none. */
export function objectsOf(checkpoint: CompletedCheckpoint): {
  shared: string[]
  exclusive: string[]
} {
  const objects = handlesOf(checkpoint).map((handle) => handle.objects())
  return {
    shared: objects.flatMap(({ shared }) => shared),
    exclusive: objects.flatMap(({ exclusive }) => exclusive),
  }
}
