/** What a coordinator tells about its checkpoints while a job runs. */
import type { SnapshotType } from '../checkpoint/checkpoint-options.js'
import type { SnapshotResult } from '../checkpoint/snapshotable.js'
import { StateBackendError } from '../errors.js'

/**
 * - `declined`: the snapshot of a task failed.
 * - `expired`: it took longer than the timeout.
 * - `subsumed`: a later checkpoint was completed first.
 * - `not-published`: all tasks acknowledged, but `_metadata` could not be written.
 * - `fenced`: a later attempt at running the job has begun.
 * - `closed`: the coordinator was closed, or a task that was asked is.
 */
export type CheckpointAbortReason =
  'declined' | 'expired' | 'subsumed' | 'not-published' | 'fenced' | 'closed'

interface CheckpointIdentity {
  readonly checkpointId: number
  readonly snapshotType: SnapshotType
  /** Of a savepoint: where in the object store it is, or would have been. */
  readonly savepointFolder: string | undefined
}

export interface CheckpointCompletedEvent extends CheckpointIdentity {
  readonly status: 'completed'
  /** What the tasks did, reduced to the word for the most work among them. */
  readonly kind: SnapshotResult['kind']
  /** Bytes of state that all tasks together brought to storage, `_metadata` not counted. */
  readonly uploadedBytes: number
  /** Bytes of all state the checkpoint leads to. */
  readonly stateBytes: number
  /** The longest synchronous and asynchronous part among the tasks. */
  readonly syncMs: number
  readonly asyncMs: number
  /** From the trigger until `_metadata` was durable. */
  readonly durationMs: number
}

export interface CheckpointAbortedEvent extends CheckpointIdentity {
  readonly status: 'aborted'
  readonly reason: CheckpointAbortReason
  /** What went wrong; `undefined` when nothing did (`expired`, `subsumed`, `closed`). */
  readonly cause: unknown
  readonly durationMs: number
}

export type CheckpointEvent = CheckpointCompletedEvent | CheckpointAbortedEvent

/** From least to most work. */
const kinds: readonly SnapshotResult['kind'][] = ['none', 'delta', 'merge', 'rebase']

export function completedEvent(
  identity: CheckpointIdentity,
  results: readonly SnapshotResult[],
  durationMs: number,
): CheckpointCompletedEvent {
  const ranks = results.map((result) => kinds.indexOf(result.kind))
  return {
    status: 'completed',
    ...identity,
    kind: kinds[Math.max(0, ...ranks)] ?? 'none',
    uploadedBytes: results.reduce((bytes, result) => bytes + result.uploadedBytes, 0),
    stateBytes: results.reduce((bytes, result) => bytes + result.stateBytes, 0),
    syncMs: Math.max(0, ...results.map((result) => result.syncMs)),
    asyncMs: Math.max(0, ...results.map((result) => result.asyncMs)),
    durationMs,
  }
}

/**
 * Whether a checkpoint came to nothing since its id was taken: by an attempt that did not know yet that it was overtaken. The next id is
 * another.
 */
export function isIdTaken(cause: unknown): boolean {
  return cause instanceof StateBackendError && cause.code === 'OBJECT_EXISTS'
}
