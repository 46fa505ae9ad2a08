/** The contract of a keyed state backend, as the program that processes records sees it. */
import type { KeyGroupRange } from '../record/key-group-range.js'
import type { State } from './state.js'
import type { StateDescriptor } from './state-descriptor.js'

/**
 * One task's keyed state: the keys whose groups lie in `keyGroupRange`. Used from one flow of control: set the current key, access
 * the states, then the next record.
 */
export interface KeyedStateBackend<K> extends AsyncDisposable {
  readonly keyGroupRange: KeyGroupRange
  /** The number of key groups of the whole job, 1 to 32,768; fixed for the life of its state. */
  readonly maxParallelism: number

  /**
   * Makes `key` the key that every state access is to. Throws `KEY_NOT_ENCODABLE` for what is no key of the declared type, and
   * `KEY_GROUP_OUT_OF_RANGE` when the key belongs to another task; the current key is then unchanged.
   */
  setCurrentKey(key: K): void

  /** The current key; throws `NO_CURRENT_KEY` before the first `setCurrentKey`. */
  readonly currentKey: K

  /**
   * The state of a descriptor, registered at the first call. Throws `STATE_TYPE_MISMATCH`, `SERIALIZER_MISMATCH` or
   * `STATE_ID_COLLISION` when it does not fit what is registered or was restored under its name.
   */
  getState<S extends State>(descriptor: StateDescriptor<S>): S

  /**
   * The keys that have something in a registered state, ascending by their bytes within ascending key groups, each once; none for an
   * unknown name. Weakly consistent, as a map's scans.
   */
  getKeys(stateName: string): AsyncIterable<K>

  /** Whether the host should `await drain()` before more writes. */
  readonly needsDrain: boolean

  /** Resolves when there is room for writes again; at once when there is. Rejects when the store failed or the backend is closed. */
  drain(): Promise<void>

  /**
   * Releases everything, local files included; what no checkpoint holds is gone. Running snapshots are aborted with
   * `BACKEND_CLOSED`. May be called again.
   */
  close(): Promise<void>
}
