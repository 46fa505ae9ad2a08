/**
 * Which key group a key belongs to, and which key groups a subtask owns: Flink's `KeyGroupRangeAssignment`, formula for
 * formula, so that its published vectors are the oracle.
 *
 * All arithmetic is that of Java's `int`. Largest intermediate value: operator index * maximum parallelism, 2^30.
 */
import { StateBackendError } from '../errors.js'
import { KeyGroupRange } from './key-group-range.js'
import type { KeyGroup } from './key-group.js'

export const DEFAULT_LOWER_BOUND_MAX_PARALLELISM: number = 1 << 7

/** Also the number of key groups that fit two bytes with the top bit clear. */
export const UPPER_BOUND_MAX_PARALLELISM: number = 1 << 15

/** Flink's `MathUtils.murmurHash`: murmur3's 32-bit round and finalizer of one int, made non-negative. */
export function murmurHash(code: number): number {
  let hash = Math.imul(code, 0xcc9e2d51)
  hash = (hash << 15) | (hash >>> 17)
  hash = Math.imul(hash, 0x1b873593)
  hash = (hash << 13) | (hash >>> 19)
  hash = (Math.imul(hash, 5) + 0xe6546b64) | 0
  hash ^= 4
  hash ^= hash >>> 16
  hash = Math.imul(hash, 0x85ebca6b)
  hash ^= hash >>> 13
  hash = Math.imul(hash, 0xc2b2ae35)
  hash ^= hash >>> 16
  if (hash >= 0) return hash
  return hash === -0x8000_0000 ? 0 : -hash
}

/** Called for every record, so nothing is checked: `hash` is an int32, `maxParallelism` an integer in [1, 32768]. */
export function computeKeyGroupForKeyHash(hash: number, maxParallelism: number): KeyGroup {
  return murmurHash(hash) % maxParallelism
}

/**
 * The key groups of subtask `operatorIndex` (from 0) of `parallelism`.
 *
 * @throws StateBackendError `INVALID_ARGUMENT`: a parallelism outside [1, 32768], a maximum parallelism below the
 * parallelism, or an index outside [0, parallelism - 1].
 */
export function computeKeyGroupRangeForOperatorIndex(
  maxParallelism: number,
  parallelism: number,
  operatorIndex: number,
): KeyGroupRange {
  checkParallelisms(maxParallelism, parallelism)
  if (!Number.isInteger(operatorIndex) || operatorIndex < 0 || operatorIndex >= parallelism) {
    throw new StateBackendError(
      'INVALID_ARGUMENT',
      `Operator index not within [0, ${parallelism - 1}]: ${operatorIndex}`,
      { details: { operatorIndex, parallelism } },
    )
  }
  const start = Math.floor((operatorIndex * maxParallelism + parallelism - 1) / parallelism)
  const end = Math.floor(((operatorIndex + 1) * maxParallelism - 1) / parallelism)
  return KeyGroupRange.of(start, end)
}

/**
 * The subtask, in [0, parallelism - 1], that owns `keyGroup`: the one whose range contains it.
 *
 * @throws StateBackendError `INVALID_ARGUMENT`: a parallelism outside [1, 32768], a maximum parallelism below the
 * parallelism, or a key group outside [0, maxParallelism - 1].
 */
export function computeOperatorIndexForKeyGroup(
  maxParallelism: number,
  parallelism: number,
  keyGroup: KeyGroup,
): number {
  checkParallelisms(maxParallelism, parallelism)
  if (!Number.isInteger(keyGroup) || keyGroup < 0 || keyGroup >= maxParallelism) {
    throw new StateBackendError(
      'INVALID_ARGUMENT',
      `Key group not within [0, ${maxParallelism - 1}]: ${keyGroup}`,
      { details: { keyGroup, maxParallelism } },
    )
  }
  return Math.floor((keyGroup * parallelism) / maxParallelism)
}

/**
 * The maximum parallelism of a job that does not set one: one and a half times the parallelism, rounded up to a power of
 * two, within [128, 32768].
 *
 * @throws StateBackendError `INVALID_ARGUMENT`: a parallelism outside [1, 32768].
 */
export function computeDefaultMaxParallelism(parallelism: number): number {
  checkParallelismPreconditions(parallelism)
  const roundedUp = roundUpToPowerOfTwo(parallelism + Math.floor(parallelism / 2))
  return Math.min(
    Math.max(roundedUp, DEFAULT_LOWER_BOUND_MAX_PARALLELISM),
    UPPER_BOUND_MAX_PARALLELISM,
  )
}

/** @throws StateBackendError `INVALID_ARGUMENT`: not an integer in [1, 32768]. */
export function checkParallelismPreconditions(maxParallelism: number): void {
  if (
    !Number.isInteger(maxParallelism) ||
    maxParallelism <= 0 ||
    maxParallelism > UPPER_BOUND_MAX_PARALLELISM
  ) {
    throw new StateBackendError(
      'INVALID_ARGUMENT',
      `Operator parallelism not within bounds: ${maxParallelism}`,
      { details: { parallelism: maxParallelism, upperBound: UPPER_BOUND_MAX_PARALLELISM } },
    )
  }
}

function checkParallelisms(maxParallelism: number, parallelism: number): void {
  checkParallelismPreconditions(parallelism)
  checkParallelismPreconditions(maxParallelism)
  if (maxParallelism < parallelism) {
    throw new StateBackendError(
      'INVALID_ARGUMENT',
      'Maximum parallelism must not be smaller than parallelism.',
      { details: { maxParallelism, parallelism } },
    )
  }
}

/** Of an integer in [1, 2^31]. */
function roundUpToPowerOfTwo(value: number): number {
  return 2 ** (32 - Math.clz32(value - 1))
}
