/** What a program configures: a factory of keyed state backends. */
import type { CheckpointableKeyedStateBackend } from './checkpoint/checkpointable-keyed-state-backend.js'
import type { IncrementalRemoteKeyedStateHandleFields } from './checkpoint/keyed-state-handle.js'
import type { RebasePolicy } from './checkpoint/rebase-policy.js'
import type { Clock } from './common/clock.js'
import { StateBackendError } from './errors.js'
import type { KeyGroupRange } from './record/key-group-range.js'
import { checkParallelismPreconditions } from './record/key-group-range-assignment.js'
import type { KeySerializer } from './record/key-serializer.js'
import type { CheckpointStateReader } from './storage/checkpoint-state-reader.js'
import type { MemoryBudget } from './store/memory-budget.js'

/** Options of both state backends. */
export interface CommonStateBackendOptions {
  /** Memory of each keyed backend in bytes, or a budget that several share. Default 256 MiB each. */
  readonly memory?: number | MemoryBudget | undefined
  /** Compression of tables, local and in storage. Default `none`: reads are faster; `snappy` where storage or network is dear. */
  readonly compression?: 'none' | 'snappy' | undefined
  /** When checkpoints renew their base. */
  readonly rebasePolicy?: Partial<RebasePolicy> | undefined
  /**
   * Keeps all tables of the last completed checkpoint on local disk, also those that LevelDB compacts away, so that a restore on this
   * machine after a crash fetches nothing that survived it. Takes up to as much disk again as the state does. Default false: a restore
   * links what happens to be there.
   */
  readonly localRecovery?: boolean | undefined
  readonly clock?: Clock | undefined
}

export interface KeyedStateBackendOptions<K> {
  /** Names the operator in local file names and messages: letters, digits, dots, dashes and underscores, at most 100. */
  readonly operatorId: string
  /** The type of the keys: `stringKey`, `numberKey`, `bigintKey`, `booleanKey`, `bytesKey` or `tupleKey(...)`. */
  readonly keySerializer: KeySerializer<K>
  /** Key groups of the whole job, 1 to 32,768. Fixed for the life of its state. */
  readonly maxParallelism: number
  /** The key groups of this task, both ends included. */
  readonly keyGroupRange: KeyGroupRange
  /**
   * What to restore from: the handles of the last completed checkpoint, or none to start empty. Handles that went through JSON do as
   * well as those that `snapshot` returned.
   */
  readonly stateHandles?: readonly IncrementalRemoteKeyedStateHandleFields[] | undefined
  /** Where the state of `stateHandles` lies: the job's `CheckpointStorage`, or the reader that came with a savepoint. */
  readonly checkpointStorage?: CheckpointStateReader | undefined
  /** Aborts a restore. */
  readonly signal?: AbortSignal | undefined
}

export interface StateBackend {
  /**
   * Creates the keyed state of one task, restored from whatever part of `stateHandles` lies in its range; empty where nothing does.
   * Rejects with `INVALID_ARGUMENT`; `RESTORE_MISMATCH` when the handles overlap each other, or are of another key type or maximum
   * parallelism; `OBJECT_MISSING` or `OBJECT_DAMAGED` when state is gone or was
   * altered; `DIRECTORY_NOT_WRITABLE`, `DIRECTORY_NOT_EMPTY`, `DIRECTORY_IN_USE` or `DISK_FULL` for the local directory. Nothing is left
   * behind by a failure.
   */
  createKeyedStateBackend<K>(
    options: KeyedStateBackendOptions<K>,
  ): Promise<CheckpointableKeyedStateBackend<K>>
}

const OPERATOR_ID = /^[A-Za-z0-9._-]{1,100}$/

/** Throws `INVALID_ARGUMENT` for options that no backend can be made of. */
export function checkKeyedStateBackendOptions<K>(options: KeyedStateBackendOptions<K>): void {
  const { operatorId, maxParallelism, keyGroupRange } = options
  if (!OPERATOR_ID.test(operatorId)) {
    throw new StateBackendError(
      'INVALID_ARGUMENT',
      `operatorId must be 1 to 100 letters, digits, dots, dashes or underscores, got ${JSON.stringify(operatorId)}.`,
    )
  }
  checkParallelismPreconditions(maxParallelism)
  if (keyGroupRange.isEmpty || keyGroupRange.endKeyGroup >= maxParallelism) {
    throw new StateBackendError(
      'INVALID_ARGUMENT',
      `keyGroupRange ${keyGroupRange.toString()} must not be empty and must end below maxParallelism ${maxParallelism}.`,
    )
  }
}
