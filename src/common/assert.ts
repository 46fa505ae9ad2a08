import { StateBackendError, type StateBackendErrorDetails } from '../errors.js'

/**
 * Holds a bug inside this package to its place: throws `INVARIANT_BROKEN` when `condition` is false. Never for bad input,
 * which has codes of its own.
 */
export function assert(
  condition: boolean,
  invariant: string,
  details?: StateBackendErrorDetails,
): asserts condition {
  if (!condition) {
    throw new StateBackendError(
      'INVARIANT_BROKEN',
      `A bug in level-state-backend: ${invariant}. Please report it; the last completed checkpoint is not affected.`,
      details === undefined ? {} : { details },
    )
  }
}
