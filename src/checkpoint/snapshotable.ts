/** The contracts between a keyed state backend and whoever takes its checkpoints. */
import type { CheckpointStreamFactory } from '../storage/checkpoint-storage.js'
import type { CheckpointOptions } from './checkpoint-options.js'
import type { IncrementalRemoteKeyedStateHandle } from './keyed-state-handle.js'

export interface SnapshotResult {
  /** `undefined` when the backend has no state at all: nothing was written, and there is nothing to restore. */
  readonly jobManagerOwnedSnapshot: IncrementalRemoteKeyedStateHandle | undefined
  /**
   * How the tables came about: the chain was extended by a delta, deltas were merged, or the chain starts anew from a base. The first
   * checkpoint after a restore also counts tables that it had to bring to storage, because the restore cut them or they lie in a
   * savepoint: base tables as a rebase, deltas as a delta. `none`: no table was written since the last completed checkpoint.
   */
  readonly kind: 'none' | 'delta' | 'merge' | 'rebase'
  /** Bytes that went to storage for this snapshot. */
  readonly uploadedBytes: number
  /** Bytes of all state the snapshot leads to. */
  readonly stateBytes: number
  /** For how long the snapshot held the caller, in milliseconds. */
  readonly syncMs: number
  /** From the end of the synchronous part until the handle was there, in milliseconds. */
  readonly asyncMs: number
}

export interface SnapshotContext {
  /** Aborts the asynchronous part: the promise rejects with `SNAPSHOT_ABORTED`, and nothing that was uploaded stays. */
  readonly signal?: AbortSignal | undefined
}

export interface Snapshotable {
  /**
   * Takes a snapshot. The synchronous part is done when the call returns: writes made after it are not in the snapshot. The promise
   * is the asynchronous part; it rejects with `INVALID_ARGUMENT` for an id that is not above that of every snapshot taken here or
   * restored, checkpoint or savepoint, and for a stream factory of another id or target than the options', with
   * `SNAPSHOT_DURING_PROCESSING` when a state callback or scan is in progress, `SNAPSHOT_ABORTED` after an abort, `BACKEND_CLOSED` after
   * a close, `CHECKPOINT_FAILED` or a storage code when it cannot be done. A failed or aborted snapshot leaves nothing in storage, and
   * what it would have held goes into the next.
   */
  snapshot(
    checkpointId: number,
    timestamp: number,
    streamFactory: CheckpointStreamFactory,
    checkpointOptions: CheckpointOptions,
    context?: SnapshotContext,
  ): Promise<SnapshotResult>
}

/**
 * What a task is told about checkpoints. Best effort: a notice may be missing, late, or for another id than the newest snapshot's;
 * the coordinator's word at the next barrier makes up for it.
 */
export interface CheckpointListener {
  /** Checkpoint `checkpointId` is completed, and no older one ever will be. */
  notifyCheckpointComplete(checkpointId: number): void
  /** Checkpoint `checkpointId` will never be completed: as if it had not been triggered. */
  notifyCheckpointAborted(checkpointId: number): void
  /** No retained checkpoint is as old as `checkpointId` any more. */
  notifyCheckpointSubsumed(checkpointId: number): void
}
