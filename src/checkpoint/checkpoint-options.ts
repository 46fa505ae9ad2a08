/** What kind of snapshot is wanted. */

/**
 * - `checkpoint`: incremental; may name tables of the last completed checkpoint, and later ones may name its tables.
 * - `full-checkpoint`: names no older table; later ones may name its tables.
 * - `savepoint`: names no older table, and no later one names its tables: it owns all it consists of.
 */
export type SnapshotType = 'checkpoint' | 'full-checkpoint' | 'savepoint'

export class CheckpointOptions {
  readonly snapshotType: SnapshotType
  /**
   * The newest checkpoint known to be completed, as the coordinator tells at the barrier: a completion notice may have been lost.
   * An older one than the task knows changes nothing.
   */
  readonly lastCompletedCheckpointId: number | undefined

  private constructor(snapshotType: SnapshotType, lastCompletedCheckpointId: number | undefined) {
    this.snapshotType = snapshotType
    this.lastCompletedCheckpointId = lastCompletedCheckpointId
  }

  static checkpoint(lastCompletedCheckpointId?: number): CheckpointOptions {
    return new CheckpointOptions('checkpoint', lastCompletedCheckpointId)
  }

  static fullCheckpoint(lastCompletedCheckpointId?: number): CheckpointOptions {
    return new CheckpointOptions('full-checkpoint', lastCompletedCheckpointId)
  }

  static savepoint(): CheckpointOptions {
    return new CheckpointOptions('savepoint', undefined)
  }
}
