/** What kind of snapshot is wanted, and where it goes. Plain data, so that it may go to a task in another process. */
import type { CheckpointTarget } from '../storage/checkpoint-storage.js'

/**
 * - `checkpoint`: incremental; may name tables of the last completed checkpoint, and later ones may name its tables.
 * - `full-checkpoint`: names no older table; later ones may name its tables.
 * - `savepoint`: names no older table, and no later one names its tables: it owns all it consists of.
 */
export type SnapshotType = (typeof SNAPSHOT_TYPES)[number]

export const SNAPSHOT_TYPES = ['checkpoint', 'full-checkpoint', 'savepoint'] as const

export class CheckpointOptions {
  readonly snapshotType: SnapshotType
  /**
   * The newest checkpoint known to be completed, as the coordinator tells at the barrier: a completion notice may have been lost.
   * An older one than the task knows changes nothing.
   */
  readonly lastCompletedCheckpointId: number | undefined

  /** For `CheckpointStorage.streamFactory`. */
  readonly target: CheckpointTarget

  private constructor(
    snapshotType: SnapshotType,
    lastCompletedCheckpointId: number | undefined,
    target: CheckpointTarget,
  ) {
    this.snapshotType = snapshotType
    this.lastCompletedCheckpointId = lastCompletedCheckpointId
    this.target = target
  }

  static checkpoint(
    lastCompletedCheckpointId?: number,
    target: CheckpointTarget = {},
  ): CheckpointOptions {
    return new CheckpointOptions('checkpoint', lastCompletedCheckpointId, target)
  }

  static fullCheckpoint(
    lastCompletedCheckpointId?: number,
    target: CheckpointTarget = {},
  ): CheckpointOptions {
    return new CheckpointOptions('full-checkpoint', lastCompletedCheckpointId, target)
  }

  static savepoint(target: CheckpointTarget = {}): CheckpointOptions {
    return new CheckpointOptions('savepoint', undefined, target)
  }
}
