/**
 * What every state object is given: its table, the current key, and the services of its backend that outlive one call.
 */
import { StateBackendError } from '../errors.js'
import type { KeyIdentity } from '../record/key-serializer.js'
import type { StateTable } from '../store/state-table.js'
import type { KeyContext } from './key-context.js'

export interface StateRuntime {
  readonly context: KeyContext
  readonly table: StateTable
  /** A number never given before in this backend's history, for a cell that spills. */
  nextEpoch(): number
  /** Has the entries of a spilled cell removed in the background. */
  sweep(table: StateTable, keyGroupOffset: number, identity: KeyIdentity, epoch: number): void
  /** Runs a user's function during which no snapshot may be taken. */
  callback<T>(run: () => T): T
  /** Counts a scan as in progress until the returned function is called. */
  scanStarted(): () => void
  /**
   * One chunk of the store's entries in `[gte, lt)`, ascending, at most `limit`. It may be shorter although there are more: only an
   * empty one is the end. Always empty for an in-memory backend.
   */
  scanStore(gte: Buffer, lt: Buffer, limit: number): Promise<[Buffer, Buffer][]>
}

export function requireValue<T>(value: T, text: string): NonNullable<T> {
  if (value === null || value === undefined) throw new StateBackendError('NULL_NOT_ALLOWED', text)
  return value
}
