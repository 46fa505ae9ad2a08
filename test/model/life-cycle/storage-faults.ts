/** Storage that fails for a while: one kind of fault, of some operations, below one prefix. */
import { StateBackendError } from '../../../src/errors.js'
import {
  bodyOfBytes,
  type ObjectInfo,
  type ObjectStore,
  type ObjectStoreOptions,
} from '../../../src/storage/object-store.js'
import { FaultObjectStore, type FaultOperation } from '../../support/fault-object-store.js'
import { SeededRandom } from '../../support/random.js'
import { turns } from './attempt.js'

type Operation = FaultOperation | 'list'

const operations: readonly (readonly Operation[])[] = [
  ['put'],
  ['putIfAbsent'],
  ['delete'],
  ['get', 'list'],
  ['put', 'putIfAbsent', 'delete', 'get', 'list'],
]
const prefixes = ['', '', 'job/shared/', 'job/chk-', 'job/epochs/', 'savepoints/']
/** `torn`: a part of the object is there. `slow`: nothing fails. */
const kinds = ['before', 'after', 'after', 'torn', 'slow'] as const

export class StorageFaults {
  readonly store: FaultObjectStore
  readonly #inner: ObjectStore
  readonly #count: (what: string) => void
  #listFails: (prefix: string) => boolean = () => false

  constructor(inner: ObjectStore, count: (what: string) => void) {
    this.#inner = inner
    this.#count = count
    this.store = new ListedFaultStore(inner, (prefix) => this.#listFails(prefix))
  }

  heal(): void {
    this.store.heal()
    this.#listFails = () => false
  }

  strike(random: SeededRandom): void {
    const struck = random.pick(operations)
    const prefix = random.pick(prefixes)
    const probability = random.pick([0.1, 0.3, 1])
    const kind = random.pick(kinds)
    const chance = new SeededRandom(random.below(2 ** 32))
    const strikes = (operation: Operation, key: string): boolean =>
      struck.includes(operation) && key.startsWith(prefix) && chance.chance(probability)
    this.#listFails = (listed) => {
      const fails = kind !== 'slow' && strikes('list', listed)
      if (fails) this.#count('fault list')
      return fails
    }
    this.store.plan = async (operation, key) => {
      if (!strikes(operation, key)) return undefined
      this.#count(`fault ${kind}`)
      if (kind === 'slow') await turns(chance.below(5))
      if (kind === 'torn' && operation === 'put') {
        await this.#inner.put(key, bodyOfBytes(new Uint8Array([0])))
      }
      return kind === 'slow' ? undefined : kind === 'torn' ? 'before' : kind
    }
  }
}

class ListedFaultStore extends FaultObjectStore {
  readonly #fails: (prefix: string) => boolean

  constructor(inner: ObjectStore, fails: (prefix: string) => boolean) {
    super(inner)
    this.#fails = fails
  }

  override async *list(prefix: string, options?: ObjectStoreOptions): AsyncIterable<ObjectInfo> {
    if (this.#fails(prefix)) throw new StateBackendError('STORAGE_FAILED', `list ${prefix} failed`)
    yield* super.list(prefix, options)
  }
}
