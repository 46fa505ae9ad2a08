/**
 * The states of one backend: registers descriptors, holds them against what was restored, and knows their meta information.
 *
 * Invariants
 * R1 One name is one state: registering it again with the same types returns the same object, with others is an error at once.
 * R2 The meta information of a restored state that was never registered goes into every further snapshot.
 */
import { StateBackendError } from '../errors.js'
import { stateIdOf } from '../record/composite-key.js'
import { MsgpackSerializer, type TypeSerializer } from '../record/type-serializer.js'
import type { CellCodec } from '../store/cell-codec.js'
import type { StateTable } from '../store/state-table.js'
import { KeyedAggregatingState, KeyedReducingState } from './aggregating-state.js'
import { ListCellCodec, MapCellCodec, ValueCellCodec } from './cell-codecs.js'
import { ElementCodec } from './element-codec.js'
import { KeyedListState } from './list-state.js'
import { KeyedMapState } from './map-state.js'
import type { State } from './state.js'
import type { AnyStateDescriptor, StateKind } from './state-descriptor.js'
import type { StateRuntime } from './state-runtime.js'
import { KeyedValueState } from './value-state.js'

/** What a checkpoint says about a state. Field names are written to disk. */
export interface StateMetaInformation {
  readonly name: string
  readonly stateId: number
  readonly kind: StateKind
  /** `TypeSerializer.typeName` of the values. */
  readonly valueType: string
  /** `KeySerializer.typeName` of a map's user keys. */
  readonly userKeyType?: string
}

export interface StateRegistryOptions {
  readonly restored: readonly StateMetaInformation[]
  /** The table of a state, made or adopted. */
  readonly openTable: (stateId: number, name: string, codec: CellCodec) => StateTable
  readonly runtimeOf: (table: StateTable) => StateRuntime
}

interface Registered {
  readonly meta: StateMetaInformation
  readonly table: StateTable
  readonly state: State
}

export class StateRegistry {
  readonly #options: StateRegistryOptions
  readonly #registered = new Map<number, Registered>()
  readonly #metas = new Map<number, StateMetaInformation>()

  constructor(options: StateRegistryOptions) {
    this.#options = options
    for (const meta of options.restored) this.#metas.set(meta.stateId, meta)
  }

  /** Of every state that was registered or restored. */
  get metas(): readonly StateMetaInformation[] {
    return [...this.#metas.values()]
  }

  /** Of a registered state; `undefined` for any other name. */
  table(name: string): StateTable | undefined {
    const registered = this.#registered.get(stateIdOf(name))
    return registered?.meta.name === name ? registered.table : undefined
  }

  /**
   * The state of a descriptor. Throws `STATE_TYPE_MISMATCH`, `SERIALIZER_MISMATCH` or `STATE_ID_COLLISION` when it does not fit what is
   * registered or was restored under its name; nothing is registered then.
   */
  register(descriptor: AnyStateDescriptor): State {
    const meta = metaOf(descriptor)
    const known = this.#metas.get(meta.stateId)
    if (known !== undefined) checkCompatible(known, meta)
    const registered = this.#registered.get(meta.stateId)
    if (registered !== undefined) return registered.state
    const { codec, create } = implementationOf(descriptor)
    const table = this.#options.openTable(meta.stateId, meta.name, codec)
    const state = create(this.#options.runtimeOf(table))
    this.#registered.set(meta.stateId, { meta, table, state })
    this.#metas.set(meta.stateId, meta)
    return state
  }
}

/** Asked for its name only: every state has a serializer of its own. */
const defaultSerializer: TypeSerializer<unknown> = new MsgpackSerializer<unknown>()

function metaOf(descriptor: AnyStateDescriptor): StateMetaInformation {
  const { name, kind } = descriptor
  const valueType = (descriptor.serializer ?? defaultSerializer).typeName
  const meta = { name, stateId: stateIdOf(name), kind, valueType }
  return kind === 'map' ? { ...meta, userKeyType: descriptor.keySerializer.typeName } : meta
}

/** The one place that knows which code a kind of state is made of. Throws `VALUE_NOT_ENCODABLE` for a default that is. */
function implementationOf(descriptor: AnyStateDescriptor): {
  codec: CellCodec
  create: (runtime: StateRuntime) => State
} {
  const elements = new ElementCodec<unknown>(descriptor.serializer)
  switch (descriptor.kind) {
    case 'value': {
      const { defaultValue } = descriptor
      const defaultElement =
        defaultValue === undefined ? undefined : elements.toElement(defaultValue)
      return {
        codec: new ValueCellCodec(elements),
        create: (runtime) => new KeyedValueState(runtime, elements, defaultElement),
      }
    }
    case 'list':
      return {
        codec: new ListCellCodec(elements),
        create: (runtime) => new KeyedListState(runtime, elements),
      }
    case 'map':
      return {
        codec: new MapCellCodec(descriptor.keySerializer, elements),
        create: (runtime) => new KeyedMapState(runtime, descriptor.keySerializer, elements),
      }
    case 'reducing':
      return {
        codec: new ValueCellCodec(elements),
        create: (runtime) => new KeyedReducingState(runtime, elements, descriptor.reduce),
      }
    default:
      return {
        codec: new ValueCellCodec(elements),
        create: (runtime) => new KeyedAggregatingState(runtime, elements, descriptor.aggregate),
      }
  }
}

/** Throws `STATE_ID_COLLISION`, `STATE_TYPE_MISMATCH` or `SERIALIZER_MISMATCH` unless both are the same state. */
export function checkCompatible(known: StateMetaInformation, meta: StateMetaInformation): void {
  const details = { state: meta.name }
  if (known.name !== meta.name) {
    throw new StateBackendError(
      'STATE_ID_COLLISION',
      `The names of the states "${known.name}" and "${meta.name}" have the same 32-bit id. Rename the new one.`,
      { details },
    )
  }
  if (known.kind !== meta.kind) {
    throw new StateBackendError(
      'STATE_TYPE_MISMATCH',
      `Incompatible key/value state types. Was [${known.kind.toUpperCase()}], registered with [${meta.kind.toUpperCase()}]. State ` +
        `"${meta.name}" keeps the type it was first registered or checkpointed with; use another name for another type.`,
      { details },
    )
  }
  if (known.valueType !== meta.valueType || known.userKeyType !== meta.userKeyType) {
    const types = ({ valueType, userKeyType }: StateMetaInformation): string =>
      userKeyType === undefined ? valueType : `${userKeyType} -> ${valueType}`
    throw new StateBackendError(
      'SERIALIZER_MISMATCH',
      `State "${meta.name}" was written as ${types(known)} and cannot be read as ${types(meta)}. Register it with the serializers it ` +
        'was written with.',
      { details },
    )
  }
}
