/**
 * What every state object is given: its table, the current key, and the services of its backend that outlive one call.
 */
import { StateBackendError } from '../errors.js'
import type { KeyIdentity } from '../record/key-serializer.js'
import { Spilled, type Cell } from '../store/cell.js'
import type { StateTable } from '../store/state-table.js'
import type { KeyContext } from './key-context.js'

export interface StateRuntime {
  readonly context: KeyContext
  readonly table: StateTable
  /** Whether any cell of this backend, or of what was restored into it, ever spilled: while none did, a write leaves nothing to sweep. */
  everSpilled(): boolean
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

/** A whole write operation that replaces whatever the key has, unread unless it may have entries to be swept. */
export function replaceCell(
  runtime: StateRuntime,
  keyGroupOffset: number,
  identity: KeyIdentity,
  cell: Cell,
): void {
  const { table } = runtime
  if (!runtime.everSpilled()) return table.put(keyGroupOffset, identity, cell)
  const replaced = table.find(keyGroupOffset, identity)
  table.put(keyGroupOffset, identity, cell)
  if (replaced instanceof Spilled) runtime.sweep(table, keyGroupOffset, identity, replaced.epoch)
}
