/** What the operating system says about a local table file, in this package's words. */
import { errnoOf } from '../common/node-errors.js'
import { StateBackendError } from '../errors.js'

/** `DISK_FULL` when there is no room, `STORE_FAILED` otherwise; an error that is already ours is returned as it is. */
export function diskError(cause: unknown, path: string): StateBackendError {
  if (cause instanceof StateBackendError) return cause
  const errno = errnoOf(cause)
  const full = errno === 'ENOSPC' || errno === 'EDQUOT'
  const details = errno === undefined ? { path } : { path, errno }
  return full
    ? new StateBackendError(
        'DISK_FULL',
        `There is no room left for ${path}. Free space on that disk, or move the backend's directory to a larger one.`,
        { cause, details },
      )
    : new StateBackendError(
        'STORE_FAILED',
        `The disk refused ${path} (${errno ?? String(cause)}). Check that the directory exists, is writable and healthy.`,
        { cause, details },
      )
}
