import { expect, it } from 'vitest'
import { listState } from '../../../src/state/state-descriptor.js'
import type { ListState } from '../../../src/state/state.js'
import { startNumberTask, thrownBy, type NumberTask, type StateBackendFactory } from './task.js'

function list<T>({ backend }: NumberTask): ListState<T> {
  const state = backend.getState(listState<T>('l'))
  backend.setCurrentKey(1)
  return state
}

/** What a JavaScript program may pass where TypeScript would not. */
const nothing = null as never

export function listTests(factory: StateBackendFactory): void {
  it('is empty at first, then has what was added, in order', async () => {
    await using task = await startNumberTask(factory)
    const state = list<number>(task)
    expect(state.get()).toEqual([])
    state.add(3)
    state.add(1)
    state.addAll([2, 1])
    expect(state.get()).toEqual([3, 1, 2, 1])
  })

  it('refuses null and undefined with the text of Flink', async () => {
    await using task = await startNumberTask(factory)
    const state = list<unknown>(task)
    state.add(1)
    for (const value of [null, undefined]) {
      expect(thrownBy(() => state.add(value))).toMatchObject({
        code: 'NULL_NOT_ALLOWED',
        message: expect.stringContaining('You cannot add null to a ListState.') as string,
      })
    }
    expect(thrownBy(() => state.addAll(nothing))).toMatchObject({
      code: 'NULL_NOT_ALLOWED',
      message: expect.stringContaining('List of values to add cannot be null.') as string,
    })
    expect(thrownBy(() => state.update(nothing))).toMatchObject({ code: 'NULL_NOT_ALLOWED' })
    expect(state.get()).toEqual([1])
  })

  const refused: [string, string, unknown[]][] = [
    ['a null element', 'NULL_NOT_ALLOWED', [2, null]],
    ['an undefined element', 'NULL_NOT_ALLOWED', [2, undefined]],
    // eslint-disable-next-line no-sparse-arrays -- a hole is what is tested
    ['a hole', 'NULL_NOT_ALLOWED', [2, , 3]],
    ['an element that cannot be encoded', 'VALUE_NOT_ENCODABLE', [2, () => 1]],
  ]
  it.each(refused)('addAll and update are all or nothing with %s', async (_, code, values) => {
    await using task = await startNumberTask(factory)
    const state = list<unknown>(task)
    state.add(1)
    expect(thrownBy(() => state.addAll(values))).toMatchObject({ code })
    expect(thrownBy(() => state.update(values))).toMatchObject({ code })
    expect(state.get()).toEqual([1])
    task.backend.setCurrentKey(2)
    expect(thrownBy(() => state.addAll(values))).toMatchObject({ code })
    expect(state.get()).toEqual([])
  })

  it('addAll of nothing changes nothing; update with nothing clears', async () => {
    await using task = await startNumberTask(factory)
    const state = list<number>(task)
    state.addAll([])
    expect(state.get()).toEqual([])
    state.update([1, 2])
    state.addAll([])
    expect(state.get()).toEqual([1, 2])
    state.update([])
    expect(state.get()).toEqual([])
    state.add(5)
    state.clear()
    state.clear()
    expect(state.get()).toEqual([])
  })

  it('update replaces the list and does not keep the array it was given', async () => {
    await using task = await startNumberTask(factory)
    const state = list<number>(task)
    state.addAll([9, 9])
    const given = [1, 2]
    state.update(given)
    given.push(3)
    expect(state.get()).toEqual([1, 2])
    const added = [4]
    state.addAll(added)
    added[0] = 5
    state.get().push(6)
    expect(state.get()).toEqual([1, 2, 4])
  })

  it('can be given its own contents', async () => {
    await using task = await startNumberTask(factory)
    const state = list<number>(task)
    state.addAll([1, 2])
    state.addAll(state.get())
    expect(state.get()).toEqual([1, 2, 1, 2])
  })
}
