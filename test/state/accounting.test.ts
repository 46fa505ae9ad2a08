/** The write buffer's account of its memory, held against a count of what is in it. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  anyKey,
  numberKey,
  stringKey,
  type AnyKey,
  type KeySerializer,
} from '../../src/record/key-serializer.js'
import { listState, mapState, valueState } from '../../src/state/state-descriptor.js'
import { Spilled, TOMBSTONE, spilledMappingBytes } from '../../src/store/cell.js'
import type { WriteBuffer } from '../../src/store/write-buffer.js'
import { BufferHarness, checkGeneration, layerBytes } from './buffer-harness.js'

const LARGE = { writeBufferBytes: 2 ** 30, readCacheBytes: 2 ** 30 }
const READ_CACHE_BYTES = 40_000

function cacheBytes(buffer: WriteBuffer): number {
  let bytes = 0
  for (const table of buffer.tables.values()) {
    bytes += layerBytes(table.cached.young) + layerBytes(table.cached.old)
  }
  return bytes
}

describe('the account of the write buffer', () => {
  it('a number that is cleared and written again and again weighs what it weighs', () => {
    const harness = new BufferHarness({ keySerializer: numberKey, ...LARGE })
    const state = harness.state(valueState<number>('v'))
    harness.setKey(1)
    state.update(1)
    const once = harness.buffer.heldBytes
    for (let i = 0; i < 100; i++) {
      state.clear()
      state.update(i)
    }
    expect(harness.buffer.heldBytes).toBe(once)
    const generation = harness.buffer.freeze()
    expect(generation).toBeDefined()
    if (generation !== undefined) checkGeneration(generation)
  })

  it('a value that changes between a number and anything else weighs what it is', () => {
    const harness = new BufferHarness({ keySerializer: numberKey, ...LARGE })
    const state = harness.state(valueState<unknown>('v'))
    harness.setKey(1)
    for (const value of [1, 'text'.repeat(100), 2, null, { a: 1 }, 3, true, 4, 5n, 6]) {
      state.update(value)
      expect(harness.buffer.heldBytes).toBe(layerBytes(harness.table('v').active))
    }
  })

  it('a spilled map that is written in every generation does not grow in the cache', async () => {
    const harness = new BufferHarness({ keySerializer: numberKey, ...LARGE })
    const state = harness.state(mapState<number, number>('m'))
    harness.setKey(1)
    const write = (): void => {
      for (let i = 0; i < 200; i++) state.put(i, i)
    }
    write()
    await harness.flush()
    const once = harness.buffer.cachedBytes
    for (let i = 0; i < 5; i++) {
      write()
      await harness.flush()
    }
    expect(harness.buffer.cachedBytes).toBe(once)
    expect(harness.buffer.heldBytes).toBe(0)
  })

  it('a spilled map that comes back from the old cache weighs each of its entries once', async () => {
    const harness = new BufferHarness({ keySerializer: numberKey, ...LARGE })
    const state = harness.state(mapState<number, number>('m'))
    const other = harness.state(valueState<string>('other'))
    harness.setKey(1)
    for (let i = 0; i < 200; i++) state.put(i, i)
    await harness.flush()
    const table = harness.table('m')
    const offset = harness.context.keyGroupOffset
    const spilled = table.cached.young[offset]?.get(1)
    expect(spilled).toBeInstanceOf(Spilled)
    // So little is left that the hand moves with every cell.
    harness.buffer.readCache.limitTo(1.2 * harness.buffer.cachedBytes)
    for (let key = 2; table.cached.old[offset] === undefined && key < 20; key++) {
      harness.setKey(key)
      expect(other.value()).toBeUndefined()
    }
    harness.setKey(1)
    expect(table.cached.old[offset]?.get(1)).toBe(spilled)
    expect(layerBytes(table.cached.young)).toBe(0)
    harness.buffer.readCache.limitTo(Infinity)
    const before = harness.buffer.cachedBytes

    expect(state.get(-1)).toBeUndefined()
    // Only that -1 is absent is new in the cache.
    expect(harness.buffer.cachedBytes).toBe(before + spilledMappingBytes(-1, TOMBSTONE))
    expect(harness.buffer.cachedBytes).toBe(cacheBytes(harness.buffer))
    expect(table.findInMemory(harness.context.keyGroupOffset, 1)).toBe(spilled)
    expect(layerBytes(table.cached.old)).toBe(0)
  })
})

type Operation =
  | { op: 'value'; key: number; value: unknown }
  | { op: 'add'; key: number; values: unknown[] }
  | { op: 'update'; key: number; values: unknown[] }
  | { op: 'put'; key: number; userKey: string; count: number; value: unknown }
  | { op: 'remove'; key: number; userKey: string }
  | { op: 'clear'; key: number }
  | { op: 'read'; key: number; userKey: string }
  | { op: 'flush' }

const key = fc.nat(4)
const userKey = fc.constantFrom('a', 'b', 'c-0', 'c-1', 'a rather long user key')
const value = fc.oneof(
  fc.integer(),
  fc.constant(null),
  fc.string({ maxLength: 100 }),
  fc.constant({ text: 'x'.repeat(3000) }),
  fc.boolean(),
)
const present = value.filter((each) => each !== null)

const operation: fc.Arbitrary<Operation> = fc.oneof(
  fc.record({ op: fc.constant('value' as const), key, value }),
  fc.record({ op: fc.constant('add' as const), key, values: fc.array(present, { maxLength: 60 }) }),
  fc.record({ op: fc.constant('update' as const), key, values: fc.array(present) }),
  fc.record({ op: fc.constant('put' as const), key, userKey, count: fc.nat(80), value }),
  fc.record({ op: fc.constant('remove' as const), key, userKey }),
  fc.record({ op: fc.constant('clear' as const), key }),
  fc.record({ op: fc.constant('read' as const), key, userKey }),
  fc.record({ op: fc.constant('flush' as const) }),
)

async function run(
  harness: BufferHarness<AnyKey>,
  operations: readonly Operation[],
): Promise<void> {
  const states = {
    value: harness.state(valueState<unknown>('v')),
    list: harness.state(listState<unknown>('l')),
    map: harness.state(mapState<string, unknown>('m')),
  }
  for (const step of operations) {
    if (step.op === 'flush') {
      await harness.flush()
      expect(harness.buffer.heldBytes).toBe(0)
    } else {
      harness.setKey(step.key)
      apply(step)
    }
    expect(harness.buffer.heldBytes).toBeGreaterThanOrEqual(0)
    expect(harness.buffer.cachedBytes).toBe(cacheBytes(harness.buffer))
  }

  function apply(step: Exclude<Operation, { op: 'flush' }>): void {
    switch (step.op) {
      case 'value':
        return states.value.update(step.value)
      case 'add':
        return states.list.addAll(step.values)
      case 'update':
        return states.list.update(step.values)
      case 'put':
        return states.map.putAll(
          Array.from({ length: step.count }, (_, i) => [`${step.userKey}-${i}`, step.value]),
        )
      case 'remove':
        return states.map.remove(`${step.userKey}-0`)
      case 'clear':
        for (const state of Object.values(states)) state.clear()
        return
      case 'read':
        states.value.value()
        states.list.get()
        states.map.contains(step.userKey)
        states.map.get(`${step.userKey}-1`)
    }
  }
}

const kinds: [string, KeySerializer<AnyKey>, boolean][] = [
  ['numbers as keys', anyKey, false],
  ['strings as keys', { ...anyKey, identityOf: (named) => `a key called ${String(named)}` }, false],
  ['a resident cache', anyKey, true],
]

describe.each(kinds)('after any operations, with %s', (_, keySerializer, resident) => {
  it('every cell weighs what is in it, and nothing is held after a flush', () =>
    fc.assert(
      fc.asyncProperty(fc.array(operation, { maxLength: 60 }), (operations) =>
        run(new BufferHarness({ keySerializer, resident, ...LARGE }), operations),
      ),
      { numRuns: 60 },
    ))

  it('also when the cache is far too small, which it exceeds by one cell at most', () =>
    fc.assert(
      fc.asyncProperty(fc.array(operation, { maxLength: 60 }), async (operations) => {
        const harness = new BufferHarness({
          keySerializer,
          resident,
          writeBufferBytes: 2 ** 30,
          readCacheBytes: READ_CACHE_BYTES,
        })
        await run(harness, operations)
      }),
      { numRuns: 60 },
    ))
})

describe('the read cache', () => {
  const BUDGET = { writeBufferBytes: 5 * READ_CACHE_BYTES, readCacheBytes: READ_CACHE_BYTES }
  const BUDGET_BYTES = 6 * READ_CACHE_BYTES

  it('stays within what the buffer leaves, while far more is read and written', async () => {
    const harness = new BufferHarness({ keySerializer: stringKey, ...BUDGET })
    const state = harness.state(valueState<string>('v'))
    const map = harness.state(mapState<number, string>('m'))
    let heldMax = 0
    for (let i = 0; i < 3000; i++) {
      harness.setKey('the only one with a map')
      map.put(i, `value ${i}`)
      harness.setKey(`key ${i}`)
      state.update(`value ${i}`)
      heldMax = Math.max(heldMax, harness.buffer.heldBytes)
      if (i % 300 === 299) await harness.flush()
    }
    const cachedMax = (BUDGET_BYTES - heldMax) * 1.05
    expect(heldMax).toBeGreaterThan(READ_CACHE_BYTES)
    for (let i = 0; i < 3000; i++) {
      harness.setKey(`key ${i}`)
      expect(state.value()).toBe(`value ${i}`)
      harness.setKey('the only one with a map')
      expect(map.get(i)).toBe(`value ${i}`)
      expect(harness.buffer.cachedBytes).toBeLessThan(cachedMax)
    }
  })

  it('takes what the buffer did not need of late, and gives it back at once', async () => {
    const harness = new BufferHarness({ keySerializer: numberKey, ...BUDGET })
    const state = harness.state(valueState<string>('v'))
    const readAll = (): void => {
      for (let i = 0; i < 800; i++) {
        harness.setKey(i)
        expect(state.value()).toBe(`value ${i}`)
      }
    }
    for (let i = 0; i < 800; i++) {
      harness.setKey(i)
      state.update(`value ${i}`)
      if (i % 100 === 99) await harness.flush()
    }
    readAll()
    expect(harness.buffer.cachedBytes).toBeGreaterThan(1.5 * READ_CACHE_BYTES)
    const { loads } = harness
    readAll()
    expect(harness.loads).toBe(loads)

    const { buffer } = harness
    const cachedBefore = buffer.cachedBytes
    for (let i = 0; buffer.heldBytes < 0.75 * BUDGET.writeBufferBytes; i++) {
      harness.setKey(1000 + i)
      state.update('x'.repeat(20))
    }
    harness.setKey(0)
    state.update('x')
    expect(buffer.heldBytes + cachedBefore).toBeGreaterThan(BUDGET_BYTES)
    expect(buffer.heldBytes + buffer.cachedBytes).toBeLessThanOrEqual(BUDGET_BYTES)
    expect(buffer.cachedBytes).toBe(cacheBytes(buffer))
  })

  it('stays within what the buffer leaves when that grows between two halves of the cache', () => {
    const harness = new BufferHarness({ keySerializer: numberKey, ...BUDGET })
    const state = harness.state(valueState<string>('v'))
    const { buffer } = harness
    let nextKey = 0
    let heldMost = 0
    const readAbsent = (): void => {
      harness.setKey(nextKey++)
      expect(state.value()).toBeUndefined()
      heldMost = Math.max(heldMost, buffer.heldBytes + buffer.cachedBytes)
    }
    // The first half, just full; then writes that leave the cache as it is; then reads of others.
    while (buffer.cachedBytes < BUDGET_BYTES / 2 - 200) readAbsent()
    for (let n = 0; n < 4; n++) readAbsent()
    while (buffer.heldBytes < 0.49 * BUDGET_BYTES) {
      harness.setKey(1_000_000 + nextKey++)
      state.update('x'.repeat(60))
    }
    for (let n = 0; n < 5000; n++) readAbsent()
    expect(heldMost).toBeLessThan(BUDGET_BYTES + 1000)
  })

  it('a working set that fits is never read from the store', async () => {
    const harness = new BufferHarness({
      keySerializer: numberKey,
      writeBufferBytes: 2 ** 30,
      readCacheBytes: 2 ** 20,
    })
    const state = harness.state(valueState<number>('v'))
    const touch = (): void => {
      for (let i = 0; i < 1000; i++) {
        harness.setKey(i)
        state.update((state.value() ?? 0) + 1)
      }
    }
    touch()
    const { loads } = harness
    for (let i = 0; i < 10; i++) {
      await harness.flush()
      touch()
    }
    expect(harness.loads).toBe(loads)
  })
})
