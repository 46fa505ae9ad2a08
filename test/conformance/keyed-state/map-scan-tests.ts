import { expect, it } from 'vitest'
import { numberKey } from '../../../src/record/key-serializer.js'
import { mapState, valueState } from '../../../src/state/state-descriptor.js'
import type { MapState } from '../../../src/state/state.js'
import {
  collect,
  evict,
  evictDuringScan,
  range,
  startNumberTask,
  thrownBy,
  type NumberTask,
  type StateBackendFactory,
} from './task.js'

/** Packed, and spilled over more than one chunk of a scan. */
const sizes = [10, 1200]

function map({ backend }: NumberTask): MapState<number, number | string> {
  const state = backend.getState(mapState<number, number | string>('m'))
  backend.setCurrentKey(1)
  return state
}

function filled(task: NumberTask, size: number): MapState<number, number | string> {
  const state = map(task)
  state.putAll(range(0, size).map((i) => [i, i]))
  return state
}

export function mapScanTests(factory: StateBackendFactory): void {
  it.each(sizes)('a scan of %d entries stays at the key it was called for', async (size) => {
    await using task = await startNumberTask(factory)
    const { backend } = task
    const state = filled(task, size)
    backend.setCurrentKey(2)
    state.putAll([[-1, 'other']])
    await task.checkpoint()
    await evict(task)
    backend.setCurrentKey(1)
    const scans = [state.entries(), state.keys(), state.values()]
    const isEmpty = state.isEmpty()
    backend.setCurrentKey(2)
    expect(await isEmpty).toBe(false)
    for (const scan of scans) {
      const seen: unknown[] = []
      for await (const item of scan) {
        backend.setCurrentKey(seen.length % 2 === 0 ? 2 : 3)
        seen.push(Array.isArray(item) ? item[0] : item)
      }
      expect(seen).toEqual(range(0, size))
    }
    backend.setCurrentKey(3)
    const nothing = state.isEmpty()
    backend.setCurrentKey(1)
    expect(await nothing).toBe(true)
  })

  it.each(sizes)(
    'a scan of %d entries bears every mutation and sees nothing twice',
    async (size) => {
      await using task = await startNumberTask(factory)
      const state = filled(task, size)
      await task.checkpoint()
      const seen: number[] = []
      const types = new Set<string>()
      for await (const [userKey, value] of state.entries()) {
        types.add(typeof value)
        seen.push(userKey)
        const at = seen.length
        if (at % 3 === 0) state.remove(userKey + 1)
        if (at % 5 === 0) state.put(userKey + 2, 'replaced')
        if (at % 7 === 0) state.put(userKey + 0.5, 'between')
        if (at % 11 === 0) state.remove(userKey)
        if (at === 4) state.putAll(range(0, 200).map((i) => [size + i, 'behind']))
        if (at === 5) await evictDuringScan(task)
      }
      expect([...types].filter((type) => type !== 'number' && type !== 'string')).toEqual([])
      expect(seen).toEqual([...new Set(seen)].toSorted((a, b) => a - b))
      const rest = await collect(state.entries())
      expect(rest.map(([userKey]) => [userKey, state.get(userKey)])).toEqual(rest)
    },
  )

  it.each(sizes)('a scan of %d entries ends when the map is cleared under it', async (size) => {
    await using task = await startNumberTask(factory)
    const state = filled(task, size)
    await task.checkpoint()
    await evict(task)
    task.backend.setCurrentKey(1)
    const scan = state.entries()[Symbol.asyncIterator]()
    expect((await scan.next()).value).toEqual([0, 0])
    state.clear()
    await evictDuringScan(task)
    let rest = 0
    while ((await scan.next()).done !== true) rest++
    expect(rest).toBeLessThan(size)
    task.backend.setCurrentKey(1)
    expect(state.get(5)).toBeUndefined()
    expect(await collect(state.entries())).toEqual([])
    expect(await collect(task.backend.getKeys('m'))).toEqual([])
    state.put(7, 'new')
    expect(await collect(state.entries())).toEqual([[7, 'new']])
  })

  it('a suspended scan of a map that spills and then loses entries yields values only', async () => {
    await using task = await startNumberTask(factory)
    const state = filled(task, 100)
    const scan = state.values()[Symbol.asyncIterator]()
    await scan.next()
    state.putAll(range(100, 200).map((i) => [i, i]))
    for (const userKey of range(1, 50)) state.remove(userKey)
    for (let step = await scan.next(); step.done !== true; step = await scan.next()) {
      expect(typeof step.value).toBe('number')
    }
  })

  it('two scans at once do not disturb each other', async () => {
    await using task = await startNumberTask(factory)
    const state = filled(task, 1200)
    await task.checkpoint()
    const [one, two] = await Promise.all([collect(state.keys()), collect(state.keys())])
    expect(one).toEqual(range(0, 1200))
    expect(two).toEqual(one)
  })

  it.each(sizes)(
    'a scan of %d entries that is not finished refuses snapshots until it is',
    async (size) => {
      await using task = await startNumberTask(factory)
      const state = filled(task, size)
      const unused = state.entries()
      await task.snapshot()
      const scan = state.entries()[Symbol.asyncIterator]()
      await scan.next()
      await expect(task.snapshot()).rejects.toMatchObject({ code: 'SNAPSHOT_DURING_PROCESSING' })
      await scan.return?.()
      await task.snapshot()
      const keys = task.backend.getKeys('m')[Symbol.asyncIterator]()
      await keys.next()
      await expect(task.snapshot()).rejects.toMatchObject({ code: 'SNAPSHOT_DURING_PROCESSING' })
      await keys.return?.()
      await task.snapshot()
      expect((await collect(unused)).length).toBe(size)
    },
  )

  it.each(sizes)(
    'a scan of %d entries stops with BACKEND_CLOSED when the backend is closed',
    async (size) => {
      await using task = await startNumberTask(factory)
      const state = filled(task, size)
      await task.checkpoint()
      await evict(task)
      const { backend } = task
      backend.setCurrentKey(1)
      const scan = state.entries()[Symbol.asyncIterator]()
      await scan.next()
      const keys = backend.getKeys('m')[Symbol.asyncIterator]()
      await backend.close()
      const rest = async (): Promise<void> => {
        while ((await scan.next()).done !== true);
      }
      await expect(rest()).rejects.toMatchObject({ code: 'BACKEND_CLOSED' })
      await expect(keys.next()).rejects.toMatchObject({ code: 'BACKEND_CLOSED' })
      expect(thrownBy(() => state.entries())).toMatchObject({ code: 'BACKEND_CLOSED' })
    },
  )

  it.each(sizes)('a scan of %d entries that has ended has nothing more', async (size) => {
    await using task = await startNumberTask(factory)
    const state = filled(task, size)
    const done = { done: true, value: undefined }
    const whole = state.keys()[Symbol.asyncIterator]()
    for (let i = 0; i < size; i++) expect((await whole.next()).value).toBe(i)
    expect(await whole.next()).toEqual(done)
    state.put(size, size)
    expect(await whole.next()).toEqual(done)
    expect(await whole.return?.()).toEqual(done)
    const cut = state.keys()[Symbol.asyncIterator]()
    await cut.next()
    expect(await cut.return?.()).toEqual(done)
    expect(await cut.return?.()).toEqual(done)
    expect(await cut.next()).toEqual(done)
    const unbegun = state.keys()[Symbol.asyncIterator]()
    expect(await unbegun.return?.()).toEqual(done)
    expect(await unbegun.next()).toEqual(done)
    await task.snapshot()
  })

  it.each(sizes)(
    'a scan of %d entries looks at the map when it begins, at each entry in its turn',
    async (size) => {
      await using task = await startNumberTask(factory)
      const state = filled(task, size)
      const scan = state.entries()[Symbol.asyncIterator]()
      state.remove(0)
      const several = await Promise.all([scan.next(), scan.next()])
      expect(several.map((step) => step.value)).toEqual([[1, 1], [2, 2]]) // prettier-ignore
      state.put(3, 'replaced')
      state.remove(4)
      expect((await scan.next()).value).toEqual([3, 'replaced'])
      expect((await scan.next()).value).toEqual([5, 5])
      await scan.return?.()
    },
  )

  it.each(sizes)('a scan of %d entries that failed is over, and snapshots go on', async (size) => {
    await using task = await startNumberTask(factory)
    const { backend } = task
    const failing = {
      typeName: 'failing',
      serialize: (value: number) => new Uint8Array([value & 0xff]),
      deserialize: (): number => {
        throw new RangeError('not this one')
      },
    }
    const state = backend.getState(
      mapState<number, number>('failing', { keySerializer: numberKey, serializer: failing }),
    )
    backend.setCurrentKey(1)
    state.putAll(range(0, size).map((i) => [i, i]))
    const scan = state.values()[Symbol.asyncIterator]()
    await expect(scan.next()).rejects.toThrow('not this one')
    expect(await scan.next()).toEqual({ done: true, value: undefined })
    await task.snapshot()
  })

  it('getKeys goes on under writes and gives every key once', async () => {
    await using task = await startNumberTask(factory)
    const { backend } = task
    const state = backend.getState(valueState<number>('v'))
    for (const key of range(0, 3000)) {
      backend.setCurrentKey(key)
      state.update(key)
    }
    await task.checkpoint()
    await evict(task)
    const seen: number[] = []
    for await (const key of backend.getKeys('v')) {
      seen.push(key)
      backend.setCurrentKey((key * 7) % 3000)
      state.update(-1)
      if (seen.length === 1000) await evictDuringScan(task)
    }
    expect(new Set(seen).size).toBe(seen.length)
    expect(seen.toSorted((a, b) => a - b)).toEqual(range(0, 3000))
  })
}
