/**
 * A process that is held up in the middle of an operation on storage, by a long collection of garbage or a virtual machine that is moved:
 * it stands still before or after the operation was carried out, and goes on as if nothing had happened.
 */
import { gate } from './fake-task.js'
import { InterceptedObjectStore } from './intercepted-object-store.js'

export class PausingObjectStore extends InterceptedObjectStore {
  readonly #paused = gate()
  readonly #resumed = gate()
  #pauseAt = Infinity
  #when: 'before' | 'after' = 'before'
  #operations = 0

  /** Stands still in the `operation`th operation from now, counted from 1. */
  pauseIn(operation: number, when: 'before' | 'after'): void {
    this.#operations = 0
    this.#pauseAt = operation
    this.#when = when
  }

  /** Resolves when it stands still. */
  get paused(): Promise<void> {
    return this.#paused.promise
  }

  resume(): void {
    this.#resumed.open()
  }

  protected async intercept<T>(run: () => Promise<T>): Promise<T> {
    const stands = ++this.#operations === this.#pauseAt
    if (stands && this.#when === 'before') await this.#stand()
    const result = await run()
    if (stands && this.#when === 'after') await this.#stand()
    return result
  }

  #stand(): Promise<void> {
    this.#paused.open()
    return this.#resumed.promise
  }
}
