/**
 * The one error class of this package.
 *
 * A caller decides by `kind` (what sort of thing went wrong, so what to do about it) or by `code` (which thing exactly);
 * both are API and never change. The message is for people: it says what to do, and it may be reworded at any time.
 */

/**
 * - `invalid`: the call was wrong; fix the program.
 * - `closed`: the object was closed, or the work was aborted, before the call could finish.
 * - `unavailable`: the outside world said no (disk, storage, a limit); the same call may succeed later.
 * - `data`: bytes are missing, damaged or of a version this code does not know; retrying does not help.
 * - `conflict`: somebody else holds or has made what the call wanted to make.
 * - `internal`: a bug in this package.
 */
export type StateBackendErrorKind =
  'invalid' | 'closed' | 'unavailable' | 'data' | 'conflict' | 'internal'

const kindByCode = {
  INVALID_ARGUMENT: 'invalid',
  KEY_NOT_ENCODABLE: 'invalid',
  VALUE_NOT_ENCODABLE: 'invalid',
  NO_CURRENT_KEY: 'invalid',
  KEY_GROUP_OUT_OF_RANGE: 'invalid',
  NULL_NOT_ALLOWED: 'invalid',
  STATE_TYPE_MISMATCH: 'invalid',
  STATE_ID_COLLISION: 'invalid',
  SERIALIZER_MISMATCH: 'invalid',
  RESTORE_MISMATCH: 'invalid',
  STORAGE_ACCESS_DENIED: 'invalid',
  STORAGE_UNSUITABLE: 'invalid',
  SNAPSHOT_DURING_PROCESSING: 'invalid',
  BACKEND_CLOSED: 'closed',
  SNAPSHOT_ABORTED: 'closed',
  WRITE_BUFFER_FULL: 'unavailable',
  STORE_FAILED: 'unavailable',
  DISK_FULL: 'unavailable',
  DIRECTORY_NOT_WRITABLE: 'unavailable',
  STORAGE_FAILED: 'unavailable',
  CHECKPOINT_FAILED: 'unavailable',
  DIRECTORY_NOT_EMPTY: 'conflict',
  DIRECTORY_IN_USE: 'conflict',
  OBJECT_EXISTS: 'conflict',
  ATTEMPT_FENCED: 'conflict',
  OBJECT_MISSING: 'data',
  OBJECT_DAMAGED: 'data',
  TABLE_DAMAGED: 'data',
  MANIFEST_DAMAGED: 'data',
  LOG_DAMAGED: 'data',
  METADATA_DAMAGED: 'data',
  METADATA_VERSION_UNKNOWN: 'data',
  VALUE_DAMAGED: 'data',
  INVARIANT_BROKEN: 'internal',
} as const

export type StateBackendErrorCode = keyof typeof kindByCode

/** Facts about an error, for programs: a path, an offset, an object's name, a checkpoint id. */
export type StateBackendErrorDetails = Readonly<Record<string, string | number | boolean>>

export class StateBackendError extends Error {
  override readonly name = 'StateBackendError'
  readonly code: StateBackendErrorCode
  readonly kind: StateBackendErrorKind
  readonly details: StateBackendErrorDetails

  constructor(
    code: StateBackendErrorCode,
    message: string,
    options: { cause?: unknown; details?: StateBackendErrorDetails } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.kind = kindByCode[code]
    this.details = options.details ?? {}
  }
}

/** Bytes are missing, damaged or of an unknown version, whoever asks: unlike every other failure, it is an answer. */
export function isDataError(error: unknown): error is StateBackendError {
  return error instanceof StateBackendError && error.kind === 'data'
}
