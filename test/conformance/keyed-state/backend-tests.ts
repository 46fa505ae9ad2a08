import { expect, it } from 'vitest'
import { stringKey } from '../../../src/record/key-serializer.js'
import type { TypeSerializer } from '../../../src/record/type-serializer.js'
import {
  aggregatingState,
  listState,
  mapState,
  reducingState,
  valueState,
  type StateDescriptor,
} from '../../../src/state/state-descriptor.js'
import type { State } from '../../../src/state/state.js'
import { collect, evict, startNumberTask, thrownBy, type StateBackendFactory } from './task.js'

const asText: TypeSerializer<never> = {
  typeName: 'text',
  serialize: () => new Uint8Array(),
  deserialize: () => '' as never,
}
const sum = (left: number, right: number): number => left + right
const sums = { createAccumulator: () => 0, add: sum, getResult: (total: number) => total }

const kinds: [string, StateDescriptor<State>][] = [
  ['VALUE', valueState<number>('s')],
  ['LIST', listState<number>('s')],
  ['MAP', mapState<string, number>('s')],
  ['REDUCING', reducingState<number>('s', sum)],
  ['AGGREGATING', aggregatingState<number, number, number>('s', sums)],
]

const otherTypes: [string, StateDescriptor<State>, StateDescriptor<State>][] = [
  ['value', valueState<number>('s'), valueState('s', { serializer: asText })],
  ['list', listState<number>('s'), listState('s', { serializer: asText })],
  ['map', mapState<string, number>('s'), mapState<string, never>('s', { serializer: asText })],
  [
    'map, user key',
    mapState<string, number>('s'),
    mapState<string, number>('s', { keySerializer: stringKey }),
  ],
]

export function backendTests(factory: StateBackendFactory): void {
  it.each(kinds)('the same descriptor gives the same %s state again', async (_, descriptor) => {
    await using task = await startNumberTask(factory)
    const state = task.backend.getState(descriptor)
    expect(task.backend.getState(descriptor)).toBe(state)
    expect(task.backend.getState({ ...descriptor })).toBe(state)
  })

  it.each(kinds)(
    'a name registered as %s is no other type, at once or after a restore',
    async (kind, descriptor) => {
      await using task = await startNumberTask(factory)
      const state = task.backend.getState(descriptor)
      for (const restored of [false, true]) {
        if (restored) await task.restart()
        for (const [otherKind, other] of kinds) {
          if (otherKind === kind) continue
          expect(thrownBy(() => task.backend.getState(other))).toMatchObject({
            code: 'STATE_TYPE_MISMATCH',
            kind: 'invalid',
            message: expect.stringContaining(
              `Incompatible key/value state types. Was [${kind}], registered with [${otherKind}].`,
            ) as string,
          })
        }
      }
      expect(task.backend.getState(descriptor)).not.toBe(state)
    },
  )

  it.each(otherTypes)(
    'a %s registered with another serializer is refused',
    async (_, one, other) => {
      await using task = await startNumberTask(factory)
      const state = task.backend.getState(one)
      expect(thrownBy(() => task.backend.getState(other))).toMatchObject({
        code: 'SERIALIZER_MISMATCH',
      })
      expect(task.backend.getState(one)).toBe(state)
      await task.restart()
      expect(thrownBy(() => task.backend.getState(other))).toMatchObject({
        code: 'SERIALIZER_MISMATCH',
      })
      task.backend.getState(one)
    },
  )

  it('a name whose id collides with another is refused', async () => {
    await using task = await startNumberTask(factory)
    // FNV-1a gives both the same 32 bits.
    task.backend.getState(valueState<number>('costarring'))
    expect(thrownBy(() => task.backend.getState(valueState<number>('liquid')))).toMatchObject({
      code: 'STATE_ID_COLLISION',
    })
    expect(await collect(task.backend.getKeys('liquid'))).toEqual([])
  })

  it('states of one key do not see each other, whatever their names', async () => {
    await using task = await startNumberTask(factory)
    const { backend } = task
    const names = ['a', 'b', 'ab', 'a\u0000', '', 'ä'].filter((name) => name !== '')
    const states = names.map((name) => backend.getState(valueState<string>(name)))
    backend.setCurrentKey(1)
    states.forEach((state, i) => state.update(`value of ${names[i]}`))
    states[0]?.clear()
    await task.checkpoint()
    await evict(task)
    backend.setCurrentKey(1)
    expect(states.map((state) => state.value())).toEqual([
      undefined,
      ...names.slice(1).map((name) => `value of ${name}`),
    ])
  })

  it('a state that was restored and never registered goes into further snapshots', async () => {
    await using task = await startNumberTask(factory)
    const m = mapState<number, string>('m')
    const state = task.backend.getState(m)
    task.backend.setCurrentKey(1)
    state.putAll(Array.from({ length: 300 }, (_, i) => [i, `value ${i}`]))
    await task.restart()
    task.backend.getState(valueState<number>('another'))
    task.backend.setCurrentKey(1)
    await task.restart()
    await task.restart()
    task.backend.setCurrentKey(1)
    const restored = task.backend.getState(m)
    expect((await collect(restored.entries())).length).toBe(300)
    expect(restored.get(299)).toBe('value 299')
  })

  it('after close every method is BACKEND_CLOSED, and close may be called again', async () => {
    await using task = await startNumberTask(factory)
    const { backend } = task
    const value = backend.getState(valueState<number>('v'))
    const list = backend.getState(listState<number>('l'))
    const map = backend.getState(mapState<string, number>('m'))
    const reducing = backend.getState(reducingState<number>('r', sum))
    const aggregating = backend.getState(aggregatingState<number, number, number>('a', sums))
    backend.setCurrentKey(1)
    value.update(1)
    const running = task.snapshot()
    const closed = backend.close()
    const calls = [
      () => backend.setCurrentKey(1),
      () => backend.currentKey,
      () => backend.getState(valueState<number>('v')),
      () => backend.getState(valueState<number>('new')),
      () => value.value(),
      () => value.update(1),
      () => value.update(null),
      () => value.clear(),
      () => list.get(),
      () => list.add(1),
      () => list.addAll([1]),
      () => list.addAll([]),
      () => list.update([1]),
      () => list.clear(),
      () => map.get('a'),
      () => map.put('a', 1),
      () => map.putAll([['a', 1]]),
      () => map.remove('a'),
      () => map.contains('a'),
      () => map.clear(),
      () => map.entries(),
      () => map.keys(),
      () => map.values(),
      () => reducing.get(),
      () => reducing.add(1),
      () => reducing.clear(),
      () => aggregating.get(),
      () => aggregating.add(1),
      () => aggregating.clear(),
    ]
    const code = { code: 'BACKEND_CLOSED', kind: 'closed' }
    for (const step of ['closing', 'closed']) {
      if (step === 'closed') await closed
      for (const call of calls) expect(thrownBy(call), String(call)).toMatchObject(code)
      await expect(map.isEmpty()).rejects.toMatchObject(code)
      await expect(collect(backend.getKeys('v'))).rejects.toMatchObject(code)
      await expect(task.snapshot()).rejects.toMatchObject(code)
      await expect(backend.drain()).rejects.toMatchObject(code)
      await backend.close()
    }
    await expect(running).rejects.toMatchObject(code)
  })
}
