/**
 * What a store must do to be compared: one interface over all of them, each implemented the way its documentation says is best.
 *
 * An operation is complete when it returns, or when the promise it returned resolves: the next one sees it. Writes may be collected
 * until `settle`, which is called every two thousand operations, on the clock.
 */

/** A promise only where the store has nothing synchronous. */
export type Answer<T> = T | Promise<T>

export interface ValueContender {
  get(key: number): Answer<number | undefined>
  update(key: number, value: number): Answer<void>
}

export interface ListContender {
  get(key: number): Answer<readonly number[]>
  add(key: number, value: number): Answer<void>
  addAll(key: number, values: readonly number[]): Answer<void>
  update(key: number, values: readonly number[]): Answer<void>
}

/** `sum...` go over all entries of a key in order, and add up what they find. */
export interface MapContender {
  get(key: number, mapKey: number): Answer<number | undefined>
  contains(key: number, mapKey: number): Answer<boolean>
  put(key: number, mapKey: number, value: number): Answer<void>
  putAll(key: number, entries: readonly (readonly [number, number])[]): Answer<void>
  remove(key: number, mapKey: number): Answer<void>
  isEmpty(key: number): Answer<boolean>
  sumKeys(key: number): Answer<number>
  sumValues(key: number): Answer<number>
  sumEntries(key: number): Answer<number>
}

export interface Contender {
  readonly value: ValueContender
  readonly list: ListContender
  readonly map: MapContender
  /** Writes what was collected, and makes room. */
  settle(): Promise<void> | undefined
  close(): Promise<void>
}

export interface ContenderOptions {
  /** An empty directory of its own. */
  readonly directory: string
  readonly memoryBytes: number
}

export type OpenContender = (options: ContenderOptions) => Promise<Contender>

export function isPromise<T>(answer: Answer<T>): answer is Promise<T> {
  return typeof answer === 'object' && answer instanceof Promise
}

export function mapAnswer<T, R>(answer: Answer<T>, use: (value: T) => R): Answer<R> {
  return isPromise(answer) ? answer.then(use) : use(answer)
}
