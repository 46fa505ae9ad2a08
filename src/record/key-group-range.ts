/**
 * A contiguous range of key groups, `[startKeyGroup, endKeyGroup]`, both ends inclusive.
 *
 * Plain immutable data: it survives JSON by way of `fromJSON`. Invariants: R1 either 0 <= start <= end <= 32,767, or the
 * range is the one empty range (0, -1); R2 an instance never changes.
 */
import { StateBackendError } from '../errors.js'
import type { KeyGroup } from './key-group.js'

const largestKeyGroup = 32_767

export class KeyGroupRange {
  static readonly EMPTY: KeyGroupRange = new KeyGroupRange(0, -1)

  readonly startKeyGroup: KeyGroup
  /** Inclusive; -1 in the empty range. */
  readonly endKeyGroup: KeyGroup

  private constructor(startKeyGroup: KeyGroup, endKeyGroup: KeyGroup) {
    this.startKeyGroup = startKeyGroup
    this.endKeyGroup = endKeyGroup
    Object.freeze(this)
  }

  /**
   * The range of both ends and all between them; `EMPTY` when `startKeyGroup > endKeyGroup`.
   *
   * @throws StateBackendError `INVALID_ARGUMENT`: an end that is not an integer, or a range not within [0, 32767].
   */
  static of(startKeyGroup: KeyGroup, endKeyGroup: KeyGroup): KeyGroupRange {
    if (!Number.isInteger(startKeyGroup) || !Number.isInteger(endKeyGroup)) {
      throw invalidRange(startKeyGroup, endKeyGroup)
    }
    if (startKeyGroup > endKeyGroup) return KeyGroupRange.EMPTY
    if (startKeyGroup < 0 || endKeyGroup > largestKeyGroup) {
      throw invalidRange(startKeyGroup, endKeyGroup)
    }
    return new KeyGroupRange(startKeyGroup + 0, endKeyGroup + 0)
  }

  /**
   * The inverse of `toJSON`.
   *
   * @throws StateBackendError `INVALID_ARGUMENT`: anything `toJSON` cannot have made; a range whose start is above its end
   * is accepted only as the empty range's own (0, -1).
   */
  static fromJSON(value: unknown): KeyGroupRange {
    if (typeof value !== 'object' || value === null) throw invalidJson(value)
    const { startKeyGroup, endKeyGroup } = value as Record<string, unknown>
    if (typeof startKeyGroup !== 'number' || typeof endKeyGroup !== 'number') {
      throw invalidJson(value)
    }
    const range = KeyGroupRange.of(startKeyGroup, endKeyGroup)
    if (range.startKeyGroup !== startKeyGroup || range.endKeyGroup !== endKeyGroup) {
      throw invalidRange(startKeyGroup, endKeyGroup)
    }
    return range
  }

  get numberOfKeyGroups(): number {
    return this.endKeyGroup - this.startKeyGroup + 1
  }

  get isEmpty(): boolean {
    return this.endKeyGroup < this.startKeyGroup
  }

  contains(keyGroup: KeyGroup): boolean {
    return keyGroup >= this.startKeyGroup && keyGroup <= this.endKeyGroup
  }

  /** The key groups in both ranges, or `EMPTY`. */
  getIntersection(other: KeyGroupRange): KeyGroupRange {
    return KeyGroupRange.of(
      Math.max(this.startKeyGroup, other.startKeyGroup),
      Math.min(this.endKeyGroup, other.endKeyGroup),
    )
  }

  equals(other: KeyGroupRange): boolean {
    return this.startKeyGroup === other.startKeyGroup && this.endKeyGroup === other.endKeyGroup
  }

  /** Ascending. */
  *[Symbol.iterator](): IterableIterator<KeyGroup> {
    for (let keyGroup = this.startKeyGroup; keyGroup <= this.endKeyGroup; keyGroup++) yield keyGroup
  }

  toString(): string {
    return `[${this.startKeyGroup}, ${this.endKeyGroup}]`
  }

  toJSON(): { startKeyGroup: KeyGroup; endKeyGroup: KeyGroup } {
    return { startKeyGroup: this.startKeyGroup, endKeyGroup: this.endKeyGroup }
  }
}

function invalidRange(startKeyGroup: number, endKeyGroup: number): StateBackendError {
  return new StateBackendError(
    'INVALID_ARGUMENT',
    `A key-group range needs two integers within [0, ${largestKeyGroup}], not [${startKeyGroup}, ${endKeyGroup}].`,
    { details: { startKeyGroup, endKeyGroup } },
  )
}

function invalidJson(value: unknown): StateBackendError {
  return new StateBackendError(
    'INVALID_ARGUMENT',
    `A key-group range in JSON is an object with the numbers startKeyGroup and endKeyGroup, not ${value === null ? 'null' : `a ${typeof value} without them`}.`,
  )
}
