/**
 * Running asynchronous work a bounded number at a time, and stopping it.
 *
 * The rule for a group: the first failure aborts the siblings, waits for them, and is what the
 * caller sees. So when a group has rejected, nothing of it is still running.
 */
import { StateBackendError } from '../errors.js'
import { assert } from './assert.js'

/**
 * What a signal's abort is thrown as: its own reason when that is a `StateBackendError`, else
 * `SNAPSHOT_ABORTED`.
 */
function abortedError(signal: AbortSignal): StateBackendError {
  const reason: unknown = signal.reason
  if (reason instanceof StateBackendError) return reason
  return new StateBackendError(
    'SNAPSHOT_ABORTED',
    'The work was aborted by its caller before it was done; nothing of it was kept.',
    { cause: reason },
  )
}

/** Throws `abortedError` when the signal is aborted. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw abortedError(signal)
}

/**
 * Calls `fn` on every item, in order, with at most `limit` (1 or more) calls running. Results stand
 * in the order of the items.
 *
 * The first failure, or the abort of `signal`, aborts the signal that `fn` is given, starts no
 * further call, waits for the running ones, and is rethrown; later failures are dropped. An `fn`
 * that ignores its signal is waited for.
 */
export async function mapLimit<Item, Result>(
  items: readonly Item[],
  limit: number,
  fn: (item: Item, signal: AbortSignal, index: number) => Promise<Result>,
  signal?: AbortSignal,
): Promise<Result[]> {
  assert(Number.isSafeInteger(limit) && limit >= 1, 'a concurrency limit is a positive integer')
  throwIfAborted(signal)
  const siblings = new AbortController()
  const failures: unknown[] = []
  const fail = (error: unknown): void => {
    failures.push(error)
    siblings.abort(error)
  }
  const onAbort = (): void => {
    if (signal !== undefined) fail(abortedError(signal))
  }

  const results: Result[] = []
  // One iterator for all workers: each takes the next item that nobody has.
  const queue = items.entries()
  const work = async (): Promise<void> => {
    for (const [index, item] of queue) {
      if (failures.length > 0) return
      try {
        results[index] = await fn(item, siblings.signal, index)
      } catch (error) {
        fail(error)
      }
    }
  }

  signal?.addEventListener('abort', onAbort, { once: true })
  try {
    await Promise.all(Array.from({ length: Math.min(limit, items.length) }, work))
  } finally {
    signal?.removeEventListener('abort', onAbort)
  }
  if (failures.length > 0) throw failures[0]
  return results
}
