/**
 * The current key of a backend, as its states see it: set once per record, read by every state access.
 *
 * Invariant: a state method reads the context before its first `await`, so an interleaved `setCurrentKey` cannot redirect it.
 */
import { StateBackendError } from '../errors.js'
import type { KeyIdentity } from '../record/key-serializer.js'

export class KeyContext {
  /** `undefined` before the first `setCurrentKey` and after the backend was closed. */
  identity: KeyIdentity | undefined = undefined
  /** The key's group, counted from the first of the backend's range. */
  keyGroupOffset = 0
  /** Set when the backend is closed or failed. */
  unusable: StateBackendError | undefined = undefined

  /** The current key's identity. Throws `NO_CURRENT_KEY`, or why the backend cannot be used. */
  current(): KeyIdentity {
    if (this.identity === undefined) throw this.#missing()
    return this.identity
  }

  /** Throws why the backend cannot be used, if it cannot. */
  checkUsable(): void {
    if (this.unusable !== undefined) throw this.unusable
  }

  /** Makes every later access throw `reason`. */
  disable(reason: StateBackendError): void {
    this.unusable ??= reason
    this.identity = undefined
  }

  #missing(): StateBackendError {
    return (
      this.unusable ??
      new StateBackendError(
        'NO_CURRENT_KEY',
        'No key set. This method should not be called outside of a keyed context: call backend.setCurrentKey(key) first.',
      )
    )
  }
}
