import type { KeyedStateBackend } from '../state/keyed-state-backend.js'
import type { CheckpointListener, Snapshotable } from './snapshotable.js'

/** How the tables of a restored state came to local disk. Those small enough to be inside a handle are not counted. */
export interface RestoreStatistics {
  /** Tables that a dead incarnation had left in the work directory, whole and unchanged. */
  readonly linkedTables: number
  readonly linkedBytes: number
  /** Tables that were read from storage. */
  readonly fetchedTables: number
  readonly fetchedBytes: number
}

/** A keyed state backend whose state can be checkpointed. */
export interface CheckpointableKeyedStateBackend<K>
  extends KeyedStateBackend<K>, Snapshotable, CheckpointListener {
  /** How this backend's state was restored: all zero when it started empty. */
  readonly restored: RestoreStatistics
}
