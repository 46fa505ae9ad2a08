import { expect, it } from 'vitest'
import {
  aggregatingState,
  reducingState,
  type AggregateFunction,
} from '../../../src/state/state-descriptor.js'
import type { AppendingState } from '../../../src/state/state.js'
import { startNumberTask, thrownBy, type NumberTask, type StateBackendFactory } from './task.js'

interface Mean {
  sum: number
  count: number
}

/** A mean that counts its calls. */
function meanOf(calls: string[] = []): AggregateFunction<number, Mean, number> {
  return {
    createAccumulator: () => {
      calls.push('create')
      return { sum: 0, count: 0 }
    },
    add: (value, mean) => {
      calls.push('add')
      mean.sum += value
      mean.count++
      return mean
    },
    getResult: (mean) => mean.sum / mean.count,
  }
}

const isNothing: AggregateFunction<number, Mean, number> = {
  ...meanOf(),
  add: () => undefined as never,
}

export function aggregateTests(factory: StateBackendFactory): void {
  it('reducing: stores the first value as it is and reduces from the second on', async () => {
    await using task = await startNumberTask(factory)
    const calls: [string, string][] = []
    const state = task.backend.getState(
      reducingState<string>('r', (left, right) => {
        calls.push([left, right])
        return left + right
      }),
    )
    task.backend.setCurrentKey(1)
    expect(state.get()).toBeUndefined()
    state.add('a')
    expect(calls).toEqual([])
    state.add('b')
    state.add('c')
    expect(calls).toEqual([
      ['a', 'b'],
      ['ab', 'c'],
    ])
    expect(state.get()).toBe('abc')
    state.clear()
    expect(state.get()).toBeUndefined()
    state.add('d')
    expect(state.get()).toBe('d')
  })

  it('aggregating: makes an accumulator for the first value only, and none for get', async () => {
    await using task = await startNumberTask(factory)
    const calls: string[] = []
    const state = task.backend.getState(aggregatingState('a', meanOf(calls)))
    task.backend.setCurrentKey(1)
    expect(state.get()).toBeUndefined()
    expect(calls).toEqual([])
    state.add(1)
    state.add(3)
    expect(state.get()).toBe(2)
    expect(calls).toEqual(['create', 'add', 'add'])
    state.clear()
    expect(state.get()).toBeUndefined()
    expect(calls).toEqual(['create', 'add', 'add'])
  })

  const both: [string, (task: NumberTask, fail: () => void) => AppendingState<number, number>][] = [
    [
      'reducing',
      ({ backend }, fail) =>
        backend.getState(
          reducingState<number>('s', (left, right) => {
            fail()
            return left + right
          }),
        ),
    ],
    [
      'aggregating',
      ({ backend }, fail) =>
        backend.getState(
          aggregatingState<number, Mean, number>('s', {
            ...meanOf(),
            add: (value, mean) => {
              mean.sum += value
              mean.count++
              fail()
              return mean
            },
            getResult: (mean) => mean.sum,
          }),
        ),
    ],
  ]

  it.each(both)('%s: add(null) is an error and changes nothing', async (_, make) => {
    await using task = await startNumberTask(factory)
    const state = make(task, () => undefined)
    task.backend.setCurrentKey(1)
    for (const value of [null, undefined] as never[]) {
      expect(thrownBy(() => state.add(value))).toMatchObject({ code: 'NULL_NOT_ALLOWED' })
    }
    expect(state.get()).toBeUndefined()
    state.add(4)
    expect(thrownBy(() => state.add(null as never))).toMatchObject({ code: 'NULL_NOT_ALLOWED' })
    expect(state.get()).toBe(4)
  })

  it.each(both)('%s: a function that throws leaves the state unchanged', async (_, make) => {
    await using task = await startNumberTask(factory)
    let failing = false
    const state = make(task, () => {
      if (failing) throw new RangeError('user code')
    })
    task.backend.setCurrentKey(1)
    state.add(1)
    state.add(2)
    failing = true
    expect(() => state.add(5)).toThrow(RangeError)
    expect(state.get()).toBe(3)
    failing = false
    state.add(1)
    expect(state.get()).toBe(4)
    await task.snapshot()
  })

  it.each(both)('%s: a function sees its own key, whatever it does to it', async (_, make) => {
    await using task = await startNumberTask(factory)
    const state = make(task, () => task.backend.setCurrentKey(2))
    task.backend.setCurrentKey(1)
    state.add(1)
    task.backend.setCurrentKey(1)
    state.add(2)
    expect(task.backend.currentKey).toBe(2)
    expect(state.get()).toBeUndefined()
    task.backend.setCurrentKey(1)
    expect(state.get()).toBe(3)
  })

  it.each(both)('%s: a snapshot from inside a function is refused', async (_, make) => {
    await using task = await startNumberTask(factory)
    const refused: Promise<unknown>[] = []
    const state = make(task, () => refused.push(task.snapshot().catch((error: unknown) => error)))
    task.backend.setCurrentKey(1)
    state.add(1)
    state.add(2)
    expect(refused.length).toBeGreaterThan(0)
    for (const error of await Promise.all(refused)) {
      expect(error).toMatchObject({ code: 'SNAPSHOT_DURING_PROCESSING' })
    }
    expect(state.get()).toBe(3)
  })

  it('a function that returns nothing is an error and changes nothing', async () => {
    await using task = await startNumberTask(factory)
    const { backend } = task
    const reducing = backend.getState(reducingState<number>('r', () => undefined as never))
    const aggregating = backend.getState(aggregatingState('a', isNothing))
    backend.setCurrentKey(1)
    reducing.add(1)
    expect(thrownBy(() => reducing.add(2))).toMatchObject({ code: 'NULL_NOT_ALLOWED' })
    expect(reducing.get()).toBe(1)
    expect(thrownBy(() => aggregating.add(2))).toMatchObject({ code: 'NULL_NOT_ALLOWED' })
    expect(aggregating.get()).toBeUndefined()
  })

  it('an accumulator that cannot be encoded, such as the promise of an async function, is refused', async () => {
    await using task = await startNumberTask(factory)
    const { backend } = task
    const reduce = async (left: unknown, right: unknown): Promise<unknown> =>
      Promise.resolve([left, right])
    const state = backend.getState(reducingState<unknown>('r', reduce))
    backend.setCurrentKey(1)
    state.add(1)
    expect(thrownBy(() => state.add(2))).toMatchObject({ code: 'VALUE_NOT_ENCODABLE' })
    expect(state.get()).toBe(1)
  })
}
