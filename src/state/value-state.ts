import { TOMBSTONE } from '../store/cell.js'
import type { Element } from '../store/element.js'
import type { StateTable } from '../store/state-table.js'
import type { ElementCodec } from './element-codec.js'
import type { KeyContext } from './key-context.js'
import type { ValueState } from './state.js'
import type { StateRuntime } from './state-runtime.js'

/** The hot path of the package: `value` and `update` of a buffered number are two or three `Map` operations, nothing else. */
export class KeyedValueState<T> implements ValueState<T> {
  readonly #context: KeyContext
  readonly #table: StateTable
  readonly #elements: ElementCodec<T>
  readonly #defaultElement: Element | undefined

  constructor(
    runtime: StateRuntime,
    elements: ElementCodec<T>,
    defaultElement: Element | undefined,
  ) {
    this.#context = runtime.context
    this.#table = runtime.table
    this.#elements = elements
    this.#defaultElement = defaultElement
  }

  value(): T | undefined {
    const identity = this.#context.current()
    const cell = this.#table.find(this.#context.keyGroupOffset, identity)
    if (cell === TOMBSTONE) return this.#default()
    return this.#elements.fromElement(cell as Element)
  }

  update(value: T | undefined | null): void {
    const identity = this.#context.current()
    const cell = value === undefined || value === null ? TOMBSTONE : this.#elements.toElement(value)
    this.#table.put(this.#context.keyGroupOffset, identity, cell)
  }

  clear(): void {
    this.#table.put(this.#context.keyGroupOffset, this.#context.current(), TOMBSTONE)
  }

  #default(): T | undefined {
    return this.#defaultElement === undefined
      ? undefined
      : this.#elements.fromElement(this.#defaultElement)
  }
}
