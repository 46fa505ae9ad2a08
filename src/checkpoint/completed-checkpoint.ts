/** A checkpoint of a whole job: one handle per subtask of every operator, and what the host wants back with them. */
import type { JsonValue } from './json-value.js'
import type { IncrementalRemoteKeyedStateHandle } from './keyed-state-handle.js'

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
