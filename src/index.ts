export { StateBackendError } from './errors.js'
export type {
  StateBackendErrorCode,
  StateBackendErrorDetails,
  StateBackendErrorKind,
} from './errors.js'
export { LevelDBStateBackend } from './leveldb-state-backend.js'
