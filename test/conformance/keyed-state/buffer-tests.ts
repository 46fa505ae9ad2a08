import { expect, it } from 'vitest'
import {
  aggregatingState,
  listState,
  mapState,
  reducingState,
  valueState,
} from '../../../src/state/state-descriptor.js'
import {
  SMALL_MEMORY_BYTES,
  collect,
  range,
  startNumberTask,
  thrownBy,
  turns,
  type NumberTask,
  type StateBackendFactory,
} from './task.js'

const CHUNK = 'x'.repeat(20_000)
/** More writes of `CHUNK` than any buffer of the small budget takes. */
const WRITES_MAX = SMALL_MEMORY_BYTES / 1000

/** Writes under keys from `from` on without ever waiting; returns how many were taken. */
function fill({ backend }: NumberTask, from: number): number {
  const filler = backend.getState(valueState<string>('filler'))
  for (let i = 0; i < WRITES_MAX; i++) {
    backend.setCurrentKey(from + i)
    const error = thrownBy(() => filler.update(`${i} ${CHUNK}`))
    if (error === undefined) continue
    expect(error).toMatchObject({
      code: 'WRITE_BUFFER_FULL',
      kind: 'unavailable',
      message: expect.stringContaining('drain()') as string,
    })
    return i
  }
  return expect.unreachable('the buffer took everything')
}

export function bufferTests(factory: StateBackendFactory): void {
  it('past the hard limit a write is WRITE_BUFFER_FULL, and nothing written is lost', async () => {
    await using task = await startNumberTask(factory)
    const { backend } = task
    const filler = backend.getState(valueState<string>('filler'))
    let written = 0
    for (const round of range(0, 3)) {
      const before = written
      written += fill(task, before)
      expect(written, `round ${round}`).toBeGreaterThan(before)
      expect(backend.needsDrain).toBe(true)
      await backend.drain()
      expect(backend.needsDrain).toBe(false)
      for (const i of range(before, written)) {
        backend.setCurrentKey(i)
        expect(filler.value()?.startsWith(`${i - before} `)).toBe(true)
      }
      backend.setCurrentKey(written)
      expect(filler.value()).toBeUndefined()
    }
    await task.restart()
    const restored = task.backend.getState(valueState<string>('filler'))
    for (const i of range(0, written)) {
      task.backend.setCurrentKey(i)
      expect(restored.value()?.length).toBeGreaterThan(CHUNK.length)
    }
  })

  it('needsDrain is true well before the hard limit; drain() without need changes nothing', async () => {
    await using task = await startNumberTask(factory)
    const { backend } = task
    await backend.drain()
    const filler = backend.getState(valueState<string>('filler'))
    let takenBeforeDrain = 0
    while (!backend.needsDrain) {
      backend.setCurrentKey(takenBeforeDrain++)
      filler.update(CHUNK)
    }
    const takenAfter = fill(task, takenBeforeDrain)
    expect(takenAfter).toBeGreaterThan(takenBeforeDrain / 10)
  })

  it('a program that drains when asked to never meets the hard limit', async () => {
    await using task = await startNumberTask(factory)
    const { backend } = task
    const state = backend.getState(mapState<number, string>('m'))
    const list = backend.getState(listState<string>('l'))
    for (let i = 0; i < 2000; i++) {
      if (backend.needsDrain) await backend.drain()
      backend.setCurrentKey(i % 10)
      state.put(i, `${i} ${CHUNK.slice(0, 10_000)}`)
      list.add(CHUNK.slice(0, 1000))
    }
    backend.setCurrentKey(3)
    expect((await collect(state.keys())).length).toBe(200)
    expect(list.get().length).toBe(200)
  })

  it('can be closed while it is full and being written', async () => {
    for (const round of range(0, 3)) {
      await using task = await startNumberTask(factory)
      const taken = fill(task, round)
      expect(taken).toBeGreaterThan(0)
      await task.backend.close()
      await turns(5)
    }
  })

  it('every write that is refused leaves its state as it was', async () => {
    await using task = await startNumberTask(factory)
    const { backend } = task
    const value = backend.getState(valueState<number>('v'))
    const list = backend.getState(listState<number>('l'))
    const long = backend.getState(listState<number>('long'))
    const map = backend.getState(mapState<number, number>('m'))
    const large = backend.getState(mapState<number, number>('large'))
    const reducing = backend.getState(reducingState<number>('r', (left, right) => left + right))
    const aggregating = backend.getState(
      aggregatingState<number, number, number>('a', {
        createAccumulator: () => 0,
        add: (added, total) => total + added,
        getResult: (total) => total,
      }),
    )
    const many = range(0, 200)
    const write = (): void => {
      backend.setCurrentKey(-1)
      value.update(1)
      list.addAll([1, 2])
      long.addAll(many)
      map.putAll([[1, 1], [2, 2]]) // prettier-ignore
      large.putAll(many.map((i) => [i, i]))
      reducing.add(1)
      aggregating.add(1)
    }
    const check = async (): Promise<void> => {
      backend.setCurrentKey(-1)
      expect(value.value()).toBe(1)
      expect(list.get()).toEqual([1, 2])
      expect(long.get()).toEqual(many)
      expect(map.get(1)).toBe(1)
      expect(map.contains(3)).toBe(false)
      expect(await collect(map.keys())).toEqual([1, 2])
      expect(await collect(large.keys())).toEqual(many)
      expect(reducing.get()).toBe(1)
      expect(aggregating.get()).toBe(1)
    }
    const writes = [
      () => value.update(2),
      () => value.update(null),
      () => value.clear(),
      () => list.add(3),
      () => list.addAll(many),
      () => list.update([]),
      () => list.update([5]),
      () => list.clear(),
      () => long.add(3),
      () => long.update([5]),
      () => long.clear(),
      () => map.put(1, 5),
      () => map.put(3, 5),
      () => map.putAll(many.map((i) => [i, -i])),
      () => map.remove(1),
      () => map.clear(),
      () => large.put(1000, 1),
      () => large.remove(1),
      () => large.clear(),
      () => reducing.add(2),
      () => reducing.clear(),
      () => aggregating.add(2),
      () => aggregating.clear(),
    ]
    write()
    fill(task, 0)
    backend.setCurrentKey(-1)
    for (const refused of writes) {
      expect(thrownBy(refused), String(refused)).toMatchObject({ code: 'WRITE_BUFFER_FULL' })
    }
    await check()
    await backend.drain()
    await check()
    const handle = await task.checkpoint()
    expect(handle.stateSize).toBeGreaterThan(0)
    await check()
  })
}
