/**
 * What storage sees of a process that is killed: up to some operation everything, from then on nothing. The operations of the dead never
 * settle, until `bury` makes them fail so that the test can clean up.
 */
import { StateBackendError } from '../../src/errors.js'
import type { ObjectStore } from '../../src/storage/object-store.js'
import { InterceptedObjectStore } from './intercepted-object-store.js'

export class DyingObjectStore extends InterceptedObjectStore {
  /** Resolves when the process is dead. */
  readonly died: Promise<void>
  operations = 0
  readonly #deadlyOperation: number
  readonly #carriesOutTheLast: boolean
  #dead = false
  #buried = false
  #tellDied: () => void = () => undefined
  readonly #hanging = new Set<(error: StateBackendError) => void>()

  /** Dies in its `deadlyOperation`th operation, from 1, before or after that was carried out. */
  constructor(inner: ObjectStore, deadlyOperation = Infinity, carriesOutTheLast = false) {
    super(inner, 'storage of a process that dies')
    this.#deadlyOperation = deadlyOperation
    this.#carriesOutTheLast = carriesOutTheLast
    this.died = new Promise((resolve) => {
      this.#tellDied = resolve
    })
  }

  die(): void {
    this.#dead = true
    this.#tellDied()
  }

  /** Lets everything that hangs fail, and what comes: the process is gone, only its memory is still here. */
  bury(): void {
    this.die()
    this.#buried = true
    for (const fail of this.#hanging) fail(buried())
  }

  protected async intercept<T>(run: () => Promise<T>): Promise<T> {
    if (this.#dead) return this.#never()
    this.operations++
    if (this.operations < this.#deadlyOperation) return run()
    this.die()
    if (this.#carriesOutTheLast) await run()
    return this.#never()
  }

  #never(): Promise<never> {
    if (this.#buried) return Promise.reject(buried())
    return new Promise((_, reject) => this.#hanging.add(reject))
  }
}

function buried(): StateBackendError {
  return new StateBackendError('STORAGE_FAILED', 'The process is dead.')
}
