import { expect, it } from 'vitest'
import type { AnyKey } from '../../../src/record/key-serializer.js'
import { stringKey, tupleKey, numberKey } from '../../../src/record/key-serializer.js'
import { mapState } from '../../../src/state/state-descriptor.js'
import type { MapState } from '../../../src/state/state.js'
import {
  bytes,
  collect,
  startNumberTask,
  thrownBy,
  type NumberTask,
  type StateBackendFactory,
} from './task.js'

function map<UV>({ backend }: NumberTask): MapState<AnyKey, UV> {
  const state = backend.getState(mapState<AnyKey, UV>('m'))
  backend.setCurrentKey(1)
  return state
}

export function mapTests(factory: StateBackendFactory): void {
  it('gets what was put, and undefined for what was not', async () => {
    await using task = await startNumberTask(factory)
    const state = map<number>(task)
    expect(state.get('a')).toBeUndefined()
    expect(state.contains('a')).toBe(false)
    expect(await state.isEmpty()).toBe(true)
    state.put('a', 1)
    state.put('a', 2)
    expect(state.get('a')).toBe(2)
    expect(state.contains('a')).toBe(true)
    expect(state.get('b')).toBeUndefined()
    expect(await state.isEmpty()).toBe(false)
  })

  it('holds mappings to null', async () => {
    await using task = await startNumberTask(factory)
    const state = map<number | null | undefined>(task)
    state.put('null', null)
    state.putAll([['undefined', undefined]])
    expect(state.contains('null')).toBe(true)
    expect(state.contains('undefined')).toBe(true)
    expect(state.get('null')).toBeNull()
    expect(state.get('undefined')).toBeNull()
    expect(await collect(state.entries())).toEqual([
      ['null', null],
      ['undefined', null],
    ])
    expect(await state.isEmpty()).toBe(false)
    await task.restart()
    const restored = map<number | null>(task)
    expect(restored.get('null')).toBeNull()
    expect(restored.contains('null')).toBe(true)
  })

  it('removes a mapping; removing what is not there does nothing', async () => {
    await using task = await startNumberTask(factory)
    const state = map<number>(task)
    state.remove('a')
    state.put('a', 1)
    state.put('b', 2)
    state.remove('c')
    state.remove('a')
    state.remove('a')
    expect(await collect(state.entries())).toEqual([['b', 2]])
    state.remove('b')
    expect(await state.isEmpty()).toBe(true)
    expect(await collect(task.backend.getKeys('m'))).toEqual([])
  })

  it('clear removes everything, also what is not there', async () => {
    await using task = await startNumberTask(factory)
    const state = map<number>(task)
    state.clear()
    state.putAll(new Map([['a', 1]]))
    state.clear()
    expect(state.get('a')).toBeUndefined()
    expect(await state.isEmpty()).toBe(true)
    state.put('b', 2)
    expect(await collect(state.keys())).toEqual(['b'])
  })

  it('putAll takes a Map or pairs, is all or nothing, and of nothing does nothing', async () => {
    await using task = await startNumberTask(factory)
    const state = map<unknown>(task)
    state.putAll([])
    expect(await collect(task.backend.getKeys('m'))).toEqual([])
    const given = new Map<AnyKey, unknown>([['a', 1]])
    state.putAll(given)
    given.set('b', 2)
    const refused: [string, () => void][] = [
      ['VALUE_NOT_ENCODABLE', () => state.putAll(Object.entries({ a: 5, b: () => 1 }))],
      ['KEY_NOT_ENCODABLE', () => state.putAll([['a', 5], [NaN, 1]])], // prettier-ignore
      ['NULL_NOT_ALLOWED', () => state.putAll(null as never)],
    ]
    for (const [code, put] of refused) expect(thrownBy(put)).toMatchObject({ code })
    expect(await collect(state.entries())).toEqual([['a', 1]])
  })

  it('scans in the order of the bytes of the user keys, whatever the order of the puts', async () => {
    await using task = await startNumberTask(factory)
    const state = map<number>(task)
    const ordered: AnyKey[] = [
      false,
      true,
      -Infinity,
      -1,
      0,
      0.5,
      2 ** 53,
      Infinity,
      -5n,
      7n,
      '',
      '\u0000',
      'a',
      'aa',
      'b',
      'é',
      '\ud800',
      '\u{1f600}',
      bytes(),
      bytes(0),
      bytes(1, 2),
    ]
    ordered.toReversed().forEach((key, index) => state.put(key, index))
    const plain = (key: AnyKey): AnyKey => (typeof key === 'object' ? Array.from(key).join() : key)
    expect((await collect(state.keys())).map(plain)).toEqual(ordered.map(plain))
    expect(await collect(state.values())).toEqual(ordered.map((_, i) => ordered.length - 1 - i))
    await task.restart()
    const restored = map<number>(task)
    expect((await collect(restored.keys())).map(plain)).toEqual(ordered.map(plain))
    ordered.forEach((key, i) => expect(restored.get(key)).toBe(ordered.length - 1 - i))
  })

  it('tells 1, 1n, "1", true and a byte apart, and -0 is 0', async () => {
    await using task = await startNumberTask(factory)
    const state = map<string>(task)
    const keys: AnyKey[] = [1, 1n, '1', true, bytes(1)]
    for (const key of keys) state.put(key, typeof key)
    for (const key of keys) expect(state.get(key)).toBe(typeof key)
    state.put(-0, 'zero')
    expect(state.get(0)).toBe('zero')
    expect(Object.is((await collect(state.keys()))[1], 0)).toBe(true)
  })

  it('refuses user keys of no declared type in every method, on an empty map too', async () => {
    await using task = await startNumberTask(factory)
    const { backend } = task
    const any = map<number>(task)
    const typed = backend.getState(mapState<string, number>('typed', { keySerializer: stringKey }))
    for (const filled of [false, true]) {
      if (filled) {
        any.put('a', 1)
        typed.put('a', 1)
      }
      const calls = [
        () => any.get(NaN),
        () => any.contains(null as never),
        () => any.put(NaN, 1),
        () => any.remove(NaN),
        () => typed.get(1 as never),
        () => typed.put(1 as never, 1),
        () => typed.remove(1 as never),
      ]
      for (const call of calls) expect(thrownBy(call)).toMatchObject({ code: 'KEY_NOT_ENCODABLE' })
    }
  })

  it('takes a key serializer of its own', async () => {
    await using task = await startNumberTask(factory)
    const descriptor = mapState<readonly [string, number], number>('tuples', {
      keySerializer: tupleKey<[string, number]>(stringKey, numberKey),
    })
    const state = task.backend.getState(descriptor)
    task.backend.setCurrentKey(1)
    state.put(['b', 1], 1)
    state.put(['a', 2], 2)
    state.put(['a', 1], 3)
    expect(state.get(['a', 2])).toBe(2)
    const ordered = [
      [['a', 1], 3],
      [['a', 2], 2],
      [['b', 1], 1],
    ]
    expect(await collect(state.entries())).toEqual(ordered)
    await task.restart()
    expect(await collect(onKey1(task).entries())).toEqual(ordered)

    function onKey1({ backend }: NumberTask): typeof state {
      backend.setCurrentKey(1)
      return backend.getState(descriptor)
    }
  })
}
