import type { CheckpointStreamFactory } from '../storage/checkpoint-storage.js'
import type { KeyedStateBackend } from '../state/keyed-state-backend.js'
import type {
  CheckpointListener,
  Snapshotable,
  SnapshotContext,
  SnapshotResult,
} from './snapshotable.js'

/** A keyed state backend whose state can be checkpointed. */
export interface CheckpointableKeyedStateBackend<K>
  extends KeyedStateBackend<K>, Snapshotable, CheckpointListener {
  /**
   * Takes a savepoint: a snapshot that names no table of a checkpoint and that no checkpoint will name. Everything goes to the
   * exclusive scope of `streamFactory`.
   */
  savepoint(
    savepointId: number,
    timestamp: number,
    streamFactory: CheckpointStreamFactory,
    context?: SnapshotContext,
  ): Promise<SnapshotResult>
}
