/** The public entry: everything a program or a host runtime needs, and nothing else. */

export {
  StateBackendError,
  type StateBackendErrorCode,
  type StateBackendErrorDetails,
  type StateBackendErrorKind,
} from './errors.js'
export { systemClock, type Clock } from './common/clock.js'
export { ByteReader, ByteReaderError, ByteWriter } from './common/bytes.js'

export type { KeyGroup } from './record/key-group.js'
export { KeyGroupRange } from './record/key-group-range.js'
export {
  computeDefaultMaxParallelism,
  computeKeyGroupForKeyHash,
  computeKeyGroupRangeForOperatorIndex,
  computeOperatorIndexForKeyGroup,
} from './record/key-group-range-assignment.js'
export {
  anyKey,
  bigintKey,
  booleanKey,
  bytesKey,
  numberKey,
  stringKey,
  tupleKey,
  type AnyKey,
  type KeyIdentity,
  type KeySerializer,
} from './record/key-serializer.js'
export { MsgpackSerializer, type TypeSerializer } from './record/type-serializer.js'

export type {
  AggregatingState,
  AppendingState,
  ListState,
  MapState,
  ReducingState,
  State,
  ValueState,
} from './state/state.js'
export {
  aggregatingState,
  listState,
  mapState,
  reducingState,
  valueState,
  type AggregateFunction,
  type AggregatingStateDescriptor,
  type ListStateDescriptor,
  type MapStateDescriptor,
  type ReduceFunction,
  type ReducingStateDescriptor,
  type StateDescriptor,
  type StateKind,
  type ValueStateDescriptor,
} from './state/state-descriptor.js'
export type { KeyedStateBackend } from './state/keyed-state-backend.js'

export { CheckpointOptions, type SnapshotType } from './checkpoint/checkpoint-options.js'
export type {
  CheckpointableKeyedStateBackend,
  RestoreStatistics,
} from './checkpoint/checkpointable-keyed-state-backend.js'
export {
  IncrementalRemoteKeyedStateHandle,
  type IncrementalRemoteKeyedStateHandleFields,
  type KeyedStateHandle,
  type TableHandle,
} from './checkpoint/keyed-state-handle.js'
export type { RebasePolicy } from './checkpoint/rebase-policy.js'
export type {
  CheckpointListener,
  Snapshotable,
  SnapshotContext,
  SnapshotResult,
} from './checkpoint/snapshotable.js'

export {
  CheckpointStorage,
  CheckpointedStateScope,
  type CheckpointObject,
  type CheckpointStorageOptions,
  type CheckpointStreamFactory,
  type CheckpointStreamWriteOptions,
  type CheckpointTarget,
  type StreamStateHandle,
} from './storage/checkpoint-storage.js'
export {
  CheckpointStateReader,
  type CheckpointStateReaderOptions,
} from './storage/checkpoint-state-reader.js'
export {
  DirectoryObjectStore,
  type DirectoryObjectStoreOptions,
} from './storage/directory-object-store.js'
export { MemoryObjectStore, type MemoryObjectStoreOptions } from './storage/memory-object-store.js'
export {
  bodyOfBytes,
  bodyOfFile,
  type ObjectBody,
  type ObjectGetOptions,
  type ObjectInfo,
  type ObjectRange,
  type ObjectStore,
  type ObjectStoreOptions,
  type UnfinishedUpload,
} from './storage/object-store.js'

export { MemoryBudget } from './store/memory-budget.js'
export type {
  CommonStateBackendOptions,
  KeyedStateBackendOptions,
  StateBackend,
} from './state-backend.js'
export { HashMapStateBackend, type HashMapStateBackendOptions } from './hash-map-state-backend.js'
export { LevelDBStateBackend, type LevelDBStateBackendOptions } from './leveldb-state-backend.js'

export {
  decodeCheckpointMetadata,
  encodeCheckpointMetadata,
} from './checkpoint/checkpoint-metadata.js'
export {
  stateHandlesOf,
  type CompletedCheckpoint,
  type OperatorCheckpoint,
  type SubtaskState,
} from './checkpoint/completed-checkpoint.js'
export type { JsonValue } from './checkpoint/json-value.js'
export {
  disposeSnapshot,
  openSnapshot,
  type SnapshotLocation,
} from './restore/snapshot-location.js'
export {
  verifyCheckpoint,
  type CheckpointProblem,
  type CheckpointVerification,
  type VerifyCheckpointOptions,
} from './restore/verify-checkpoint.js'
export {
  deleteOrphans,
  findOrphans,
  type ClassifiedObject,
  type ClassifiedUpload,
  type DeletedOrphans,
  type FindOrphansOptions,
  type ObjectClass,
  type OrphanReport,
  type UnreadableCheckpoint,
} from './restore/orphans.js'
export {
  CheckpointCoordinator,
  type CheckpointCoordinatorOptions,
  type CheckpointMessage,
  type CheckpointTask,
  type CoordinatedOperator,
  type SavepointOptions,
} from './host/checkpoint-coordinator.js'
export type { CheckpointLimits } from './host/checkpoint-coordinator-options.js'
export {
  storedCheckpoints,
  type ClaimMode,
  type RestoredCheckpoint,
  type RestoreSource,
  type StoredCheckpoint,
} from './host/checkpoint-selection.js'
export type {
  CheckpointAbortedEvent,
  CheckpointAbortReason,
  CheckpointCompletedEvent,
  CheckpointEvent,
} from './host/checkpoint-events.js'
export {
  LocalStreamJob,
  type LocalCheckpointOptions,
  type LocalRunOptions,
  type LocalStreamJobOptions,
  type LocalStreamSummary,
  type LocalSubtask,
  type StreamOperator,
} from './host/local-stream-job.js'
export type { SourceBatch, StreamSource } from './host/stream-source.js'
