import { expect, it } from 'vitest'
import {
  aggregatingState,
  listState,
  mapState,
  reducingState,
  valueState,
} from '../../../src/state/state-descriptor.js'
import {
  collect,
  evict,
  startNumberTask,
  type NumberTask,
  type StateBackendFactory,
} from './task.js'

interface Box {
  items: number[]
}

const one = (): Box => ({ items: [1] })
const union = (left: Box, right: Box): Box => {
  left.items.push(...right.items)
  return left
}

function statesOf({ backend }: NumberTask) {
  const states = {
    value: backend.getState(valueState<Box>('value')),
    list: backend.getState(listState<Box>('list')),
    map: backend.getState(mapState<string, Box>('map')),
    reducing: backend.getState(reducingState<Box>('reducing', union)),
    aggregating: backend.getState(
      aggregatingState<Box, Box, Box>('aggregating', {
        createAccumulator: () => ({ items: [] }),
        add: (value, accumulator) => union(accumulator, value),
        getResult: (accumulator) => accumulator,
      }),
    ),
  }
  backend.setCurrentKey(1)
  return states
}

/** Everything the states return, mutated as soon as it is returned. */
async function expectUnharmed(task: NumberTask): Promise<void> {
  const states = statesOf(task)
  const returned = [
    states.value.value(),
    ...states.list.get(),
    states.map.get('a'),
    states.reducing.get(),
    states.aggregating.get(),
    ...(await collect(states.map.values())),
    ...(await collect(states.map.entries())).map(([, box]) => box),
  ]
  expect(returned.length).toBe(7)
  for (const box of returned) {
    expect(box).toEqual(one())
    box?.items.push(99)
  }
  states.list.get().push(one())
}

export function isolationTests(factory: StateBackendFactory): void {
  it('what was written and what was read may be changed, and changes nothing', async () => {
    await using task = await startNumberTask(factory)
    const given = [one(), one(), one(), one(), one()] as const
    const states = statesOf(task)
    states.value.update(given[0])
    states.list.add(given[1])
    states.map.put('a', given[2])
    states.reducing.add(given[3])
    states.aggregating.add(given[4])
    for (const box of given) box.items.push(2)
    await expectUnharmed(task)
    await expectUnharmed(task)
    const running = task.snapshot()
    await expectUnharmed(task)
    await running
    await expectUnharmed(task)
    await task.restart()
    await expectUnharmed(task)
    await evict(task)
    await expectUnharmed(task)
    await expectUnharmed(task)
  })

  it('what a reduce or aggregate function keeps or changes of its arguments stays outside', async () => {
    await using task = await startNumberTask(factory)
    const { backend } = task
    const kept: Box[] = []
    const reducing = backend.getState(
      reducingState<Box>('r', (left, right) => {
        kept.push(left, right)
        return left
      }),
    )
    const accumulator: Box = { items: [] }
    const aggregating = backend.getState(
      aggregatingState<number, Box, number>('a', {
        createAccumulator: () => accumulator,
        add: (value, box) => {
          kept.push(box)
          box.items.push(value)
          return box
        },
        getResult: (box) => {
          kept.push(box)
          return box.items.length
        },
      }),
    )
    backend.setCurrentKey(1)
    reducing.add(one())
    reducing.add(one())
    aggregating.add(1)
    aggregating.add(2)
    for (const box of kept) box.items.length = 0
    accumulator.items.push(1, 2, 3)
    expect(aggregating.get()).toBe(2)
    for (const box of kept) box.items.length = 0
    expect(aggregating.get()).toBe(2)
    expect(reducing.get()).toEqual(one())
  })

  it('a default belongs to nobody', async () => {
    await using task = await startNumberTask(factory)
    const state = task.backend.getState(valueState<Box>('v', { defaultValue: one() }))
    task.backend.setCurrentKey(1)
    state.value()?.items.push(2)
    task.backend.setCurrentKey(2)
    expect(state.value()).toEqual(one())
    const value = state.value()
    state.update(value)
    value?.items.push(3)
    expect(state.value()).toEqual(one())
  })

  const exact: [string, unknown][] = [
    ['-0', -0],
    ['NaN', NaN],
    ['Infinity', -Infinity],
    ['a safe integer', 2 ** 53 - 1],
    ['a large number', 1.7976931348623157e308],
    ['a bigint', -(2n ** 100n)],
    ['a small bigint', 5n],
    ['a boolean', false],
    ['the empty string', ''],
    ['a string with NUL', 'a\u0000b'],
    ['a string over the basic plane', 'é\u{1f600}'.repeat(100)],
    ['a Map', new Map<unknown, unknown>([[1, new Map([['a', null]])], ['1', [undefined]]])], // prettier-ignore
    ['a Set', new Set<unknown>([1, '1', new Set([1n])])],
    ['a Date', new Date(-1)],
    ['nested values', { a: [{ b: new Map([[new Date(5), new Set([-0, NaN])]]), c: { d: -0 } }] }],
    ['nested zeros', { a: -0, b: 0, c: [0, -0, { d: -0 }], e: new Map([['f', -0]]) }],
    ['an empty object', {}],
    ['an empty array', []],
    ['bytes', Buffer.from([0, 255])],
    ['a typed array', new Float64Array([-0, NaN, 1])],
    ['null inside', { a: null, b: undefined, c: [null, undefined] }],
  ]

  it('what the serializer does not keep is gone at once, not after a flush', async () => {
    class Numbers extends Array<number> {}
    const holes: number[] = [1]
    holes[2] = 3
    const values: [unknown, unknown][] = [
      [Object.assign({ a: 1 }, { [Symbol('s')]: 2 }), { a: 1 }],
      [Numbers.of(1, 2), [1, 2]],
      [holes, [1, undefined, 3]],
      [Object.assign([1], { named: 2 }), [1]],
      [Object.assign(Object.create({ inherited: 1 }) as object, { own: 2 }), { own: 2 }],
    ]
    await using task = await startNumberTask(factory)
    const state = valueState<unknown>('v')
    for (const [key, [value]] of values.entries()) {
      task.backend.setCurrentKey(key)
      task.backend.getState(state).update(value)
    }
    for (const restarted of [false, true]) {
      if (restarted) await task.restart()
      for (const [key, [, kept]] of values.entries()) {
        task.backend.setCurrentKey(key)
        const value = task.backend.getState(state).value()
        expect(value).toStrictEqual(kept)
        expect(Reflect.ownKeys(value as object)).toEqual(Reflect.ownKeys(kept as object))
      }
    }
  })

  it('values come back exactly as they were, from every layer', async () => {
    await using task = await startNumberTask(factory)
    const single = valueState<unknown>('v')
    const list = listState<unknown>('l')
    const map = mapState<string, unknown>('m')
    exact.forEach(([, value], key) => {
      task.backend.setCurrentKey(key)
      task.backend.getState(single).update(value)
      task.backend.getState(list).addAll([value, value])
      task.backend.getState(map).put('a', value)
    })
    for (const step of ['buffered', 'cached', 'stored', 'restored']) {
      if (step === 'cached') await task.checkpoint()
      if (step === 'stored') await evict(task)
      if (step === 'restored') await task.restart()
      const { backend } = task
      for (const [key, [what, value]] of exact.entries()) {
        const message = `${what}, ${step}`
        backend.setCurrentKey(key)
        expect(backend.getState(single).value(), message).toStrictEqual(value)
        expect(backend.getState(list).get(), message).toStrictEqual([value, value])
        expect(backend.getState(map).get('a'), message).toStrictEqual(value)
        const values = await collect(backend.getState(map).values())
        expect(values, message).toStrictEqual([value])
      }
    }
  })
}
