/** When a table asks the store, and when it need not: a wrong "need not" would be lost state. */
import { describe, expect, it } from 'vitest'
import { numberKey } from '../../src/record/key-serializer.js'
import { listState, mapState, valueState } from '../../src/state/state-descriptor.js'
import type { ValueState } from '../../src/state/state.js'
import { BufferHarness } from './buffer-harness.js'

const SPILLING = Array.from({ length: 200 }, (_, i) => [i, i] as const)

function harness(storeIsEmpty: boolean, readCacheBytes = 2 ** 20): BufferHarness<number> {
  return new BufferHarness({
    keySerializer: numberKey,
    writeBufferBytes: 2 ** 20,
    readCacheBytes,
    storeIsEmpty,
  })
}

/** Drives the current key out of a read cache that has room for nothing. */
function forget(backend: BufferHarness<number>, state: ValueState<string>): void {
  for (const key of [2, 3, 1]) {
    backend.setKey(key)
    if (key !== 1) state.value()
  }
}

describe('a table whose state was never in the store', () => {
  it('asks for nothing there, neither for cells nor for entries of spilled ones', () => {
    const backend = harness(true)
    const value = backend.state(valueState<number>('v'))
    const map = backend.state(mapState<number, number>('m', { keySerializer: numberKey }))
    backend.setKey(1)
    expect(value.value()).toBeUndefined()
    expect(map.get(1)).toBeUndefined()
    map.putAll(SPILLING)
    expect(map.get(-1)).toBeUndefined()
    expect(map.get(7)).toBe(7)
    expect(backend.loads).toBe(0)
  })

  it('asks as soon as a generation held cells of it, although another table is still without any', async () => {
    // A read cache that keeps nothing.
    const backend = harness(true, 2)
    const value = backend.state(valueState<string>('v'))
    const other = backend.state(valueState<string>('other'))
    const map = backend.state(mapState<number, number>('m', { keySerializer: numberKey }))
    backend.setKey(1)
    value.update('kept')
    map.putAll(SPILLING)
    await backend.flush()
    forget(backend, value)
    expect(value.value()).toBe('kept')
    expect(map.get(7)).toBe(7)
    expect(map.get(-1)).toBeUndefined()
    const { loads } = backend
    expect(loads).toBeGreaterThan(0)
    expect(other.value()).toBeUndefined()
    expect(backend.loads).toBe(loads)
    other.update('kept as well')
    await backend.flush()
    forget(backend, other)
    expect(other.value()).toBe('kept as well')
    expect(backend.loads).toBeGreaterThan(loads)
  })

  it('finds what the store has after each of several flushes', async () => {
    const backend = harness(true, 2)
    const value = backend.state(valueState<string>('v'))
    backend.setKey(1)
    value.update('first')
    await backend.flush()
    value.clear()
    await backend.flush()
    forget(backend, value)
    expect(value.value()).toBeUndefined()
    value.update('second')
    await backend.flush()
    forget(backend, value)
    expect(value.value()).toBe('second')
  })
})

it('a table over a store that held something asks from the start', async () => {
  const before = harness(true)
  const written = before.state(valueState<string>('v'))
  before.setKey(1)
  written.update('restored')
  await before.flush()
  const after = harness(false)
  for (const [key, bytes] of before.stored) after.stored.set(key, bytes)
  const value = after.state(valueState<string>('v'))
  after.setKey(1)
  expect(value.value()).toBe('restored')
  expect(after.loads).toBe(1)
})

describe('a write that replaces a whole list or map', () => {
  it('reads nothing while nothing ever spilled', async () => {
    const backend = harness(true, 2)
    const list = backend.state(listState<number>('l'))
    const map = backend.state(mapState<number, number>('m', { keySerializer: numberKey }))
    backend.setKey(1)
    list.update([1, 2])
    map.put(1, 1)
    await backend.flush()
    const { loads } = backend
    list.update([3])
    map.clear()
    expect(backend.loads).toBe(loads)
    expect(list.get()).toEqual([3])
    expect(map.get(1)).toBeUndefined()
  })

  it('has the entries swept of what had spilled, wherever that is', async () => {
    const backend = harness(true, 2)
    const list = backend.state(listState<number>('l'))
    const map = backend.state(mapState<number, number>('m', { keySerializer: numberKey }))
    backend.setKey(1)
    list.update(SPILLING.map(([i]) => i))
    map.putAll(SPILLING)
    await backend.flush()
    list.update([3])
    map.clear()
    const generation = backend.buffer.freeze()
    expect(generation?.raw.size).toBe(2)
  })
})
