import { TOMBSTONE } from '../store/cell.js'
import type { Element } from '../store/element.js'
import type { ElementCodec } from './element-codec.js'
import type { AggregatingState, ReducingState } from './state.js'
import type { AggregateFunction, ReduceFunction } from './state-descriptor.js'
import { requireValue, type StateRuntime } from './state-runtime.js'

const ADD_NULL =
  'You cannot add null to a reducing or aggregating state. Use clear() to remove what it holds.'

/**
 * Both kinds keep one element, the accumulator. Flink's two backends disagree on `add(null)` (one clears, one fails): here it is an
 * error, and so is a function that returns nothing, because either would lose state silently.
 */
export class KeyedAggregatingState<IN, ACC, OUT> implements AggregatingState<IN, OUT> {
  readonly #runtime: StateRuntime
  readonly #accumulators: ElementCodec<ACC>
  readonly #aggregate: AggregateFunction<IN, ACC, OUT>

  constructor(
    runtime: StateRuntime,
    accumulators: ElementCodec<ACC>,
    aggregate: AggregateFunction<IN, ACC, OUT>,
  ) {
    this.#runtime = runtime
    this.#accumulators = accumulators
    this.#aggregate = aggregate
  }

  get(): OUT | undefined {
    const { context, table } = this.#runtime
    const cell = table.find(context.keyGroupOffset, context.current())
    if (cell === TOMBSTONE) return undefined
    const accumulator = this.#accumulators.fromElement(cell as Element)
    return this.#runtime.callback(() => this.#aggregate.getResult(accumulator))
  }

  add(value: IN): void {
    requireValue(value, ADD_NULL)
    const { context, table } = this.#runtime
    const identity = context.current()
    const { keyGroupOffset } = context
    const cell = table.find(keyGroupOffset, identity)
    const added = this.#runtime.callback(() =>
      this.#aggregate.add(
        value,
        cell === TOMBSTONE
          ? this.#aggregate.createAccumulator()
          : this.#accumulators.fromElement(cell as Element),
      ),
    )
    requireValue(added, 'The aggregate function returned nothing; it must return the accumulator.')
    table.put(keyGroupOffset, identity, this.#accumulators.toElement(added))
  }

  clear(): void {
    const { context, table } = this.#runtime
    const identity = context.current()
    table.put(context.keyGroupOffset, identity, TOMBSTONE)
  }
}

export class KeyedReducingState<T> implements ReducingState<T> {
  readonly #runtime: StateRuntime
  readonly #elements: ElementCodec<T>
  readonly #reduce: ReduceFunction<T>

  constructor(runtime: StateRuntime, elements: ElementCodec<T>, reduce: ReduceFunction<T>) {
    this.#runtime = runtime
    this.#elements = elements
    this.#reduce = reduce
  }

  get(): T | undefined {
    const { context, table } = this.#runtime
    const cell = table.find(context.keyGroupOffset, context.current())
    return cell === TOMBSTONE ? undefined : this.#elements.fromElement(cell as Element)
  }

  /** The first value is stored as it is; `reduce` is called from the second on. */
  add(value: T): void {
    requireValue(value, ADD_NULL)
    const { context, table } = this.#runtime
    const identity = context.current()
    const { keyGroupOffset } = context
    const cell = table.find(keyGroupOffset, identity)
    const reduced =
      cell === TOMBSTONE
        ? value
        : this.#runtime.callback(() =>
            this.#reduce(this.#elements.fromElement(cell as Element), value),
          )
    requireValue(reduced, 'The reduce function returned nothing; it must return the reduced value.')
    table.put(keyGroupOffset, identity, this.#elements.toElement(reduced))
  }

  clear(): void {
    const { context, table } = this.#runtime
    const identity = context.current()
    table.put(context.keyGroupOffset, identity, TOMBSTONE)
  }
}
