/**
 * What Node's file system errors mean to a caller of this package. One place, so that a full disk
 * has one code and one prescription wherever it is met.
 */
import { StateBackendError, type StateBackendErrorCode } from '../errors.js'

/**
 * The errno name ('ENOENT') of an error from Node's file system, or undefined for any other value.
 */
export function errnoOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined
  return typeof error.code === 'string' ? error.code : undefined
}

const diskFull = new Set(['ENOSPC', 'EDQUOT'])
/**
 * Node's recursive mkdir answers EEXIST where a file has the directory's own name, ENOTDIR where it
 * has one above.
 */
const fileInTheWay = new Set(['ENOTDIR', 'EEXIST'])
const notWritable = new Set(['EACCES', 'EROFS', 'EPERM', ...fileInTheWay])

/**
 * The error for a failed file operation: `DISK_FULL`, `DIRECTORY_NOT_WRITABLE`, or `fallback` for
 * everything else. An error that already is a `StateBackendError` comes back as it is.
 *
 * Who can meet EEXIST with another meaning (a file made with 'wx') looks at that first. `doing`
 * completes "Cannot ... <path>": 'write', 'make the directory'.
 */
export function fileSystemError(
  error: unknown,
  doing: string,
  path: string,
  fallback: StateBackendErrorCode,
): StateBackendError {
  if (error instanceof StateBackendError) return error
  const errno = errnoOf(error)
  const options = { cause: error, details: errno === undefined ? { path } : { path, errno } }
  if (errno !== undefined && diskFull.has(errno)) {
    return new StateBackendError(
      'DISK_FULL',
      `Cannot ${doing} ${path}: no space is left (${errno}). Free space or raise the quota, then try again.`,
      options,
    )
  }
  if (errno !== undefined && notWritable.has(errno)) {
    const reason = fileInTheWay.has(errno)
      ? 'a file stands where a directory is needed'
      : 'not allowed'
    return new StateBackendError(
      'DIRECTORY_NOT_WRITABLE',
      `Cannot ${doing} ${path}: ${reason} (${errno}). Let this process read and write there, or choose another directory.`,
      options,
    )
  }
  const reason = error instanceof Error ? error.message : String(error)
  return new StateBackendError(
    fallback,
    `Cannot ${doing} ${path}: ${reason}. Check the path and its disk, then try again.`,
    options,
  )
}
