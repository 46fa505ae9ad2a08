/**
 * What an operator sees: the five kinds of keyed state. Every access is to the backend's current key.
 *
 * Point operations are synchronous; whatever may touch many entries is asynchronous. A method reads the current key when it is
 * called, before its first `await`. What a state returns belongs to the caller: changing it changes nothing until it is written back.
 *
 * Every method throws `NO_CURRENT_KEY` before the first `setCurrentKey`, `BACKEND_CLOSED` after the backend was closed, `STORE_FAILED`
 * or `DISK_FULL` after its store failed; every write also `VALUE_NOT_ENCODABLE` and `WRITE_BUFFER_FULL`. A call that throws changed
 * nothing.
 */

export interface State {
  /** Removes what the current key has in this state. */
  clear(): void
}

export interface ValueState<T> extends State {
  /** The value; else a copy of the descriptor's default; else `undefined`. */
  value(): T | undefined
  /** Replaces the value. `undefined` and `null` clear it: the next `value()` gives the default. */
  update(value: T | undefined | null): void
}

export interface ListState<T> extends State {
  /** All elements, in the order they were added; an empty array when there are none. */
  get(): T[]
  /** Appends one element. `null` and `undefined` are `NULL_NOT_ALLOWED`. */
  add(value: T): void
  /** Appends elements, all or none. An empty array changes nothing. */
  addAll(values: readonly T[]): void
  /** Replaces the list, all or nothing. An empty array clears it. */
  update(values: readonly T[]): void
}

export interface MapState<UK, UV> extends State {
  /** The value; `undefined` when there is no mapping; `null` when the mapping is to null. */
  get(userKey: UK): UV | undefined
  /** Adds or replaces a mapping. A `null` (or `undefined`) value is stored as null: `contains` is true. */
  put(userKey: UK, value: UV): void
  /** As many `put`s, all or none. */
  putAll(entries: Iterable<readonly [UK, UV]>): void
  /** Removes a mapping; nothing happens when there is none. */
  remove(userKey: UK): void
  /** Whether there is a mapping, also one to null. */
  contains(userKey: UK): boolean
  /**
   * All mappings, ascending by the bytes of the user key. Weakly consistent: a write made while the scan is suspended may or may
   * not be seen; nothing is seen twice. A snapshot during a scan is refused (`SNAPSHOT_DURING_PROCESSING`).
   */
  entries(): AsyncIterable<[UK, UV]>
  keys(): AsyncIterable<UK>
  values(): AsyncIterable<UV>
  isEmpty(): Promise<boolean>
}

export interface AppendingState<IN, OUT> extends State {
  /** The aggregate; `undefined` when nothing was added. */
  get(): OUT | undefined
  /** Folds one value in. `null` and `undefined` are `NULL_NOT_ALLOWED`. */
  add(value: IN): void
}

export interface ReducingState<T> extends AppendingState<T, T> {}

export interface AggregatingState<IN, OUT> extends AppendingState<IN, OUT> {}
