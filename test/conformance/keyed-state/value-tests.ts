import { expect, it } from 'vitest'
import { valueState, type ValueStateDescriptor } from '../../../src/state/state-descriptor.js'
import { MsgpackSerializer, type TypeSerializer } from '../../../src/record/type-serializer.js'
import { startNumberTask, thrownBy, type StateBackendFactory } from './task.js'

/** Digits as bytes; refuses 13. */
const refusing: TypeSerializer<number> = {
  typeName: 'refusing',
  serialize: (value) => {
    if (value === 13) throw new RangeError('13 is bad luck')
    return Uint8Array.from(String(value), (digit) => digit.charCodeAt(0))
  },
  deserialize: (bytes) => Number(String.fromCharCode(...bytes)),
}

/** As the default, with every byte flipped. */
class Flipping extends MsgpackSerializer<unknown> {
  override serialize(value: unknown): Uint8Array {
    return super.serialize(value).map((byte) => ~byte)
  }

  override deserialize(bytes: Uint8Array): unknown {
    return super.deserialize(bytes.map((byte) => ~byte))
  }
}

const circular: { self?: unknown } = {}
circular.self = circular

const unencodable: [string, unknown][] = [
  ['a function', () => 1],
  ['a symbol', Symbol('s')],
  ['a lone surrogate', '\ud800'],
  ['a nested function', { call: () => 1 }],
  ['a nested lone surrogate', ['a', { text: 'a\udc00' }]],
  ['a lone surrogate as a field', { '\ud800': 1 }],
  ['a promise', Promise.resolve(1)],
  ['a circular object', circular],
  ['a field named __keys__', { __keys__: 0 }],
  ['an instance of a subclass of Map', new (class Counts extends Map<string, number> {})()],
]

export function valueTests(factory: StateBackendFactory): void {
  it('is undefined before the first update, then what was updated last', async () => {
    await using task = await startNumberTask(factory)
    const state = task.backend.getState(valueState<number | string>('v'))
    task.backend.setCurrentKey(1)
    expect(state.value()).toBeUndefined()
    state.update(1)
    state.update('two')
    expect(state.value()).toBe('two')
  })

  it('is cleared by null, by undefined and by clear(), also when there was nothing', async () => {
    await using task = await startNumberTask(factory)
    const state = task.backend.getState(valueState<number>('v'))
    task.backend.setCurrentKey(1)
    for (const clear of [
      () => state.update(null),
      () => state.update(undefined),
      () => state.clear(),
    ]) {
      state.update(1)
      clear()
      expect(state.value()).toBeUndefined()
      clear()
      expect(state.value()).toBeUndefined()
    }
  })

  it('keeps 0, false, the empty string, -0 and NaN as values', async () => {
    await using task = await startNumberTask(factory)
    const state = task.backend.getState(valueState<unknown>('v', { defaultValue: 'the default' }))
    task.backend.setCurrentKey(1)
    for (const value of [0, -0, NaN, false, '', 0n]) {
      state.update(value)
      expect(state.value()).toBe(value)
    }
  })

  it('gives a copy of the default each time, before the first update and after a clear', async () => {
    await using task = await startNumberTask(factory)
    const defaultValue = { counts: [1] }
    const state = task.backend.getState(valueState<{ counts: number[] }>('v', { defaultValue }))
    task.backend.setCurrentKey(1)
    defaultValue.counts.push(2)
    expect(state.value()).toEqual({ counts: [1] })
    state.value()?.counts.push(3)
    expect(state.value()).toEqual({ counts: [1] })
    state.update({ counts: [] })
    expect(state.value()).toEqual({ counts: [] })
    state.clear()
    expect(state.value()).toEqual({ counts: [1] })
  })

  it.each(unencodable)('refuses %s and keeps what it had', async (_, value) => {
    await using task = await startNumberTask(factory)
    const state = task.backend.getState(valueState<unknown>('v'))
    task.backend.setCurrentKey(1)
    state.update('kept')
    expect(thrownBy(() => state.update(value))).toMatchObject({
      name: 'StateBackendError',
      code: 'VALUE_NOT_ENCODABLE',
      kind: 'invalid',
    })
    expect(state.value()).toBe('kept')
  })

  it("passes on what a state's own serializer throws, in the call that caused it", async () => {
    await using task = await startNumberTask(factory)
    const state = task.backend.getState(valueState<number>('v', { serializer: refusing }))
    task.backend.setCurrentKey(1)
    state.update(12)
    expect(() => state.update(13)).toThrow(RangeError)
    expect(state.value()).toBe(12)
    await task.restart()
    const restored = task.backend.getState(valueState<number>('v', { serializer: refusing }))
    task.backend.setCurrentKey(1)
    expect(restored.value()).toBe(12)
  })

  it('leaves the bytes of a subclass of the default serializer to it', async () => {
    await using task = await startNumberTask(factory)
    const descriptor = (): ValueStateDescriptor<unknown> =>
      valueState<unknown>('v', { serializer: new Flipping() })
    const values = [true, 5, 'text', { a: 1 }]
    const state = task.backend.getState(descriptor())
    for (const [key, value] of values.entries()) {
      task.backend.setCurrentKey(key)
      state.update(value)
    }
    await task.restart()
    const restored = task.backend.getState(descriptor())
    for (const [key, value] of values.entries()) {
      task.backend.setCurrentKey(key)
      expect(restored.value()).toEqual(value)
    }
  })

  it('registers nothing when the default cannot be encoded', async () => {
    await using task = await startNumberTask(factory)
    const { backend } = task
    const broken = valueState<unknown>('v', { defaultValue: () => 1 })
    expect(thrownBy(() => backend.getState(broken))).toMatchObject({ code: 'VALUE_NOT_ENCODABLE' })
    const state = backend.getState(valueState<number>('v'))
    backend.setCurrentKey(1)
    state.update(1)
    expect(state.value()).toBe(1)
  })
}
