/**
 * What a state is: its kind, its name, its types. A descriptor is a plain value that can be shared by all tasks of a job.
 */
import { StateBackendError } from '../errors.js'
import { anyKey, type AnyKey, type KeySerializer } from '../record/key-serializer.js'
import type { TypeSerializer } from '../record/type-serializer.js'
import type {
  AggregatingState,
  ListState,
  MapState,
  ReducingState,
  State,
  ValueState,
} from './state.js'

/** Written to checkpoints as text: never rename. */
export type StateKind = 'value' | 'list' | 'map' | 'reducing' | 'aggregating'

export type ReduceFunction<T> = (left: T, right: T) => T

export interface AggregateFunction<IN, ACC, OUT> {
  createAccumulator(): ACC
  /** The accumulator after one more value; may be the one given. */
  add(value: IN, accumulator: ACC): ACC
  getResult(accumulator: ACC): OUT
}

/** Phantom member that ties a descriptor to the type of its state; never present. */
declare const stateType: unique symbol

/** Any descriptor of a state of type `S`. */
export interface StateDescriptor<S extends State> {
  readonly kind: StateKind
  /** Identifies the state inside one backend: 1 to 512 characters. */
  readonly name: string
  readonly [stateType]?: S
}

export interface ValueStateDescriptor<T> extends StateDescriptor<ValueState<T>> {
  readonly kind: 'value'
  readonly defaultValue?: T | undefined
  readonly serializer?: TypeSerializer<T> | undefined
}

export interface ListStateDescriptor<T> extends StateDescriptor<ListState<T>> {
  readonly kind: 'list'
  readonly serializer?: TypeSerializer<T> | undefined
}

export interface MapStateDescriptor<UK, UV> extends StateDescriptor<MapState<UK, UV>> {
  readonly kind: 'map'
  readonly keySerializer: KeySerializer<UK>
  readonly serializer?: TypeSerializer<UV> | undefined
}

export interface ReducingStateDescriptor<T> extends StateDescriptor<ReducingState<T>> {
  readonly kind: 'reducing'
  readonly reduce: ReduceFunction<T>
  readonly serializer?: TypeSerializer<T> | undefined
}

export interface AggregatingStateDescriptor<IN, ACC, OUT> extends StateDescriptor<
  AggregatingState<IN, OUT>
> {
  readonly kind: 'aggregating'
  readonly aggregate: AggregateFunction<IN, ACC, OUT>
  /** Of the accumulator. */
  readonly serializer?: TypeSerializer<ACC> | undefined
}

/** The descriptors there are, with their type parameters forgotten: what the inside of the package works on. */
export type AnyStateDescriptor =
  | ValueStateDescriptor<unknown>
  | ListStateDescriptor<unknown>
  | MapStateDescriptor<unknown, unknown>
  | ReducingStateDescriptor<unknown>
  | AggregatingStateDescriptor<unknown, unknown, unknown>

const NAME_LENGTH_MAX = 512

function checked(name: string): string {
  if (typeof name !== 'string' || name.length === 0 || name.length > NAME_LENGTH_MAX) {
    throw new StateBackendError(
      'INVALID_ARGUMENT',
      `A state's name must be a string of 1 to ${NAME_LENGTH_MAX} characters, got ${JSON.stringify(name)}.`,
    )
  }
  return name
}

interface SerializerOption<T> {
  /** How values become bytes; msgpackr by default. */
  readonly serializer?: TypeSerializer<T> | undefined
}

/** One value per key. */
export function valueState<T>(
  name: string,
  options: SerializerOption<T> & { readonly defaultValue?: T | undefined } = {},
): ValueStateDescriptor<T> {
  return { kind: 'value', name: checked(name), ...options }
}

/** A list per key, appended to cheaply. */
export function listState<T>(
  name: string,
  options: SerializerOption<T> = {},
): ListStateDescriptor<T> {
  return { kind: 'list', name: checked(name), ...options }
}

/** A map per key. User keys are numbers, strings, bigints, booleans or bytes, unless a `keySerializer` says otherwise. */
export function mapState<UK extends AnyKey, UV>(
  name: string,
  options?: SerializerOption<UV>,
): MapStateDescriptor<UK, UV>
export function mapState<UK, UV>(
  name: string,
  options: SerializerOption<UV> & { readonly keySerializer: KeySerializer<UK> },
): MapStateDescriptor<UK, UV>
export function mapState<UK, UV>(
  name: string,
  options: SerializerOption<UV> & { readonly keySerializer?: KeySerializer<UK> | undefined } = {},
): MapStateDescriptor<UK, UV> {
  const keySerializer = options.keySerializer ?? (anyKey as KeySerializer<never>)
  return {
    kind: 'map',
    name: checked(name),
    ...options,
    keySerializer: keySerializer,
  }
}

/** One value per key, combined with every added one by `reduce`. */
export function reducingState<T>(
  name: string,
  reduce: ReduceFunction<T>,
  options: SerializerOption<T> = {},
): ReducingStateDescriptor<T> {
  return { kind: 'reducing', name: checked(name), reduce, ...options }
}

/** An accumulator per key, from which the result is computed on `get`. */
export function aggregatingState<IN, ACC, OUT>(
  name: string,
  aggregate: AggregateFunction<IN, ACC, OUT>,
  options: SerializerOption<ACC> = {},
): AggregatingStateDescriptor<IN, ACC, OUT> {
  return { kind: 'aggregating', name: checked(name), aggregate, ...options }
}
