import { StateBackendError } from '../errors.js'

/** What an operation of LevelDB failed with, as our own error. */
export function storeError(action: string, directory: string, cause: unknown): StateBackendError {
  const text = describe(cause)
  const details = { directory }
  if (/no space left|ENOSPC|EDQUOT/i.test(text)) {
    return new StateBackendError(
      'DISK_FULL',
      `No space is left for the database in ${directory}. Free space or choose another directory, then restore from the last ` +
        'completed checkpoint.',
      { cause, details },
    )
  }
  return new StateBackendError(
    'STORE_FAILED',
    `LevelDB could not ${action} ${directory}: ${text}. The error is final for this backend: close it and restore from the last ` +
      'completed checkpoint.',
    { cause, details },
  )
}

/** LevelDB's own words are in the cause of classic-level's error. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return error.cause === undefined ? error.message : `${error.message}: ${describe(error.cause)}`
}
