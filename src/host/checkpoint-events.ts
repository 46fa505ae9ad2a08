/** What a coordinator tells about its checkpoints while a job runs. */
import type { SnapshotResult } from '../checkpoint/snapshotable.js'

/**
 * - `declined`: the snapshot of a task failed.
 * - `expired`: it took longer than the timeout.
 * - `not-published`: all tasks acknowledged, but `_metadata` could not be written.
 * - `closed`: the coordinator was closed.
 */
export type CheckpointAbortReason = 'declined' | 'expired' | 'not-published' | 'closed'

export interface CheckpointCompletedEvent {
  readonly status: 'completed'
  readonly checkpointId: number
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

export interface CheckpointAbortedEvent {
  readonly status: 'aborted'
  readonly checkpointId: number
  readonly reason: CheckpointAbortReason
  /** What went wrong; `undefined` when nothing did (`expired`, `closed`). */
  readonly cause: unknown
  readonly durationMs: number
}

export type CheckpointEvent = CheckpointCompletedEvent | CheckpointAbortedEvent

/** From least to most work. */
const kinds: readonly SnapshotResult['kind'][] = ['none', 'delta', 'merge', 'rebase']

export function completedEvent(
  checkpointId: number,
  results: readonly SnapshotResult[],
  durationMs: number,
): CheckpointCompletedEvent {
  const ranks = results.map((result) => kinds.indexOf(result.kind))
  return {
    status: 'completed',
    checkpointId,
    kind: kinds[Math.max(0, ...ranks)] ?? 'none',
    uploadedBytes: results.reduce((bytes, result) => bytes + result.uploadedBytes, 0),
    stateBytes: results.reduce((bytes, result) => bytes + result.stateBytes, 0),
    syncMs: Math.max(0, ...results.map((result) => result.syncMs)),
    asyncMs: Math.max(0, ...results.map((result) => result.asyncMs)),
    durationMs,
  }
}
