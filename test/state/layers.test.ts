/** What is read and written while generations are frozen, flushed and folded, step by step: at every entry and at every pause. */
import { describe, expect, it } from 'vitest'
import { StateBackendError } from '../../src/errors.js'
import { numberKey } from '../../src/record/key-serializer.js'
import { listState, mapState, reducingState, valueState } from '../../src/state/state-descriptor.js'
import { cellEntries } from '../../src/store/cell-entries.js'
import type { Generation } from '../../src/store/write-buffer.js'
import { BufferHarness } from './buffer-harness.js'

const KEYS = 4
const USER_KEYS = 200

/** A linear congruential generator is random enough here. */
function randomOf(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fff_ffff
    return Math.floor((state / 0x8000_0000) * below)
  }
}

function contentsOf(harness: BufferHarness<number>, generation: Generation): string[] {
  const contents: string[] = []
  for (const entry of cellEntries(harness.entriesOf(generation))) {
    if (entry === undefined) continue
    contents.push(`${entry.key.toString('hex')}=${entry.value?.toString('hex') ?? 'deleted'}`)
  }
  return contents
}

function expectSame(actual: unknown, expected: unknown): void {
  expect(actual).toStrictEqual(expected)
}

class Program {
  readonly harness: BufferHarness<number>
  readonly #below: (limit: number) => number
  readonly #states
  readonly #values = new Map<number, number>()
  readonly #sums = new Map<number, number>()
  readonly #lists = new Map<number, number[]>()
  readonly #maps = new Map<number, Map<number, number>>()
  #counter = 0

  constructor(harness: BufferHarness<number>, seed: number) {
    this.harness = harness
    this.#below = randomOf(seed)
    this.#states = {
      value: harness.state(valueState<number>('v')),
      reducing: harness.state(reducingState<number>('r', (left, right) => left + right)),
      list: harness.state(listState<number>('l')),
      map: harness.state(mapState<number, number>('m')),
    }
  }

  /** One random access, with what it reads held against the model. */
  step(): void {
    const key = this.#below(KEYS)
    this.harness.setKey(key)
    const n = ++this.#counter
    const { value, reducing, list, map } = this.#states
    const listed = this.#lists.get(key) ?? []
    const mapped = this.#maps.get(key) ?? new Map<number, number>()
    this.#lists.set(key, listed)
    this.#maps.set(key, mapped)
    const userKey = this.#below(USER_KEYS)
    switch (this.#below(12)) {
      case 0:
        expectSame(value.value(), this.#values.get(key))
        value.update(n)
        this.#values.set(key, n)
        break
      case 1:
        value.clear()
        this.#values.delete(key)
        break
      case 2:
        reducing.add(n)
        this.#sums.set(key, (this.#sums.get(key) ?? 0) + n)
        expectSame(reducing.get(), this.#sums.get(key))
        break
      case 3:
      case 4:
        list.add(n)
        listed.push(n)
        break
      case 5:
        expectSame(list.get(), listed)
        break
      case 6:
        if (n % 9 === 0) {
          list.clear()
          listed.length = 0
        } else {
          const added = Array.from({ length: this.#below(50) }, () => n)
          list.addAll(added)
          listed.push(...added)
        }
        break
      case 7:
        map.remove(userKey)
        mapped.delete(userKey)
        break
      case 8:
        if (n % 9 === 0) {
          map.clear()
          mapped.clear()
        }
        break
      case 9:
        for (let i = 0; i < this.#below(150); i++) {
          map.put(i, n)
          mapped.set(i, n)
        }
        break
      default:
        expectSame(map.get(userKey), mapped.get(userKey))
        map.put(userKey, n)
        mapped.set(userKey, n)
    }
  }

  async check(): Promise<void> {
    for (let key = 0; key < KEYS; key++) {
      this.harness.setKey(key)
      expectSame(this.#states.value.value(), this.#values.get(key))
      expectSame(this.#states.reducing.get(), this.#sums.get(key))
      expectSame(this.#states.list.get(), this.#lists.get(key) ?? [])
      const entries: [number, number][] = []
      for await (const entry of this.#states.map.entries()) entries.push(entry)
      const mapped = [...(this.#maps.get(key) ?? [])]
      expectSame(
        entries,
        mapped.toSorted(([a], [b]) => a - b),
      )
    }
  }
}

function expectModelled(program: Program): Promise<void> {
  return program.check()
}

const caches: [string, { readCacheBytes: number; resident?: boolean }][] = [
  ['a large cache', { readCacheBytes: 2 ** 30 }],
  ['a small cache', { readCacheBytes: 30_000 }],
  ['hardly any cache', { readCacheBytes: 1000 }],
  ['a resident cache', { readCacheBytes: 0, resident: true }],
]
const seeds = [1, 2, 3]

describe.each(caches)('with %s', (_, cache) => {
  it.each(seeds)('every read is right at every step of a flush, seed %d', async (seed) => {
    const harness = new BufferHarness({
      keySerializer: numberKey,
      writeBufferBytes: 2 ** 30,
      ...cache,
    })
    const program = new Program(harness, seed)
    for (let round = 0; round < 30; round++) {
      for (let i = 0; i < 20; i++) program.step()
      let pauses = 0
      harness.onPause = () => {
        if (++pauses <= 30) program.step()
      }
      await harness.flush()
      if (round % 5 === 4) await expectModelled(program)
    }
    harness.onPause = () => undefined
    await harness.flush()
    await expectModelled(program)
  })

  it.each(seeds)('I1: a frozen generation never changes, seed %d', async (seed) => {
    const harness = new BufferHarness({
      keySerializer: numberKey,
      writeBufferBytes: 2 ** 30,
      ...cache,
    })
    const program = new Program(harness, seed)
    const frozen: { generation: Generation; contents: string[] }[] = []
    for (let round = 0; round < 12; round++) {
      for (let i = 0; i < 100; i++) program.step()
      if (round % 4 === 3) await harness.flush()
      const generation = harness.buffer.freeze()
      if (generation === undefined) continue
      frozen.push({ generation, contents: contentsOf(harness, generation) })
      for (const { generation: old, contents } of frozen) {
        expect(contentsOf(harness, old)).toEqual(contents)
      }
    }
    await harness.flush()
    for (const { generation, contents } of frozen) {
      expect(contentsOf(harness, generation)).toEqual(contents)
    }
    await expectModelled(program)
  })

  it('the entries of a generation are in the order of their bytes, each key once', async () => {
    const harness = new BufferHarness({
      keySerializer: numberKey,
      writeBufferBytes: 2 ** 30,
      ...cache,
    })
    const program = new Program(harness, 9)
    for (let round = 0; round < 10; round++) {
      for (let i = 0; i < 100; i++) program.step()
      const generation = harness.buffer.freeze()
      if (generation === undefined) continue
      const inOrder: string[] = []
      for (const entry of cellEntries(harness.entriesOf(generation))) {
        if (entry !== undefined) inOrder.push(entry.key.toString('hex'))
      }
      expect(inOrder).toEqual([...new Set(inOrder)].toSorted())
      await harness.flush()
    }
  })
})

describe('a scan that outlives its map', () => {
  it('does not bring a cleared map back into the cache', async () => {
    const harness = new BufferHarness({
      keySerializer: numberKey,
      writeBufferBytes: 2 ** 30,
      readCacheBytes: 10_000,
    })
    const map = harness.state(mapState<number, number>('m'))
    const other = harness.state(valueState<string>('other'))
    harness.setKey(1)
    for (let i = 0; i < 200; i++) map.put(i, i)
    await harness.flush()
    // Known to be absent when the scan begins, and looked up again when its turn comes.
    for (let i = 0; i < 30; i++) map.get(i + 0.5)
    const scan = map.entries()[Symbol.asyncIterator]()
    await scan.next()
    map.clear()
    await harness.flush()
    for (let i = 0; i < 1000; i++) {
      harness.setKey(100 + i)
      other.update('pushes everything else out')
    }
    await harness.flush()
    while ((await scan.next()).done !== true);
    harness.setKey(1)
    expect(map.get(5)).toBeUndefined()
    expect(await map.isEmpty()).toBe(true)
  })
})

describe('a backend that is closed while a generation is written', () => {
  it('freezes no further one, although the active one is full', async () => {
    const harness = new BufferHarness({
      keySerializer: numberKey,
      writeBufferBytes: 10_000,
      readCacheBytes: 10_000,
    })
    const state = harness.state(valueState<string>('v'))
    const write = (): void => state.update('x'.repeat(500))
    for (let key = 0; harness.buffer.frozenGenerations.length === 0; key++) {
      harness.setKey(key)
      write()
    }
    for (let key = 0; key < 8; key++) {
      harness.setKey(key)
      write()
    }
    const [generation] = harness.buffer.frozenGenerations
    expect(generation).toBeDefined()
    if (generation === undefined) return
    harness.context.disable(new StateBackendError('BACKEND_CLOSED', 'closed'))
    await harness.buffer.retire(generation, harness.slicer())
    expect(harness.buffer.frozenGenerations).toEqual([])
  })
})
