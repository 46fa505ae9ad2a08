import { StateBackendError } from '../errors.js'

/** Throws `INVALID_ARGUMENT` unless `value` is an integer in [min, max]. */
export function checkInteger(
  name: string,
  value: number,
  min: number,
  max: number = Number.MAX_SAFE_INTEGER,
): void {
  if (Number.isSafeInteger(value) && value >= min && value <= max) return
  throw new StateBackendError(
    'INVALID_ARGUMENT',
    `${name} must be an integer from ${min} to ${max}, got ${value}.`,
  )
}
