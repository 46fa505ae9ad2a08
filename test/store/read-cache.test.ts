/** What the read cache drops, and when; and that it never answers with anything but the latest. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { FixedRandom } from '../../bench/harness/fixed-random.js'
import { Spilled, cellBytes } from '../../src/store/cell.js'
import { MAP_ENTRY_BYTES, elementBytes } from '../../src/store/element.js'
import { ReadCache, type CachedCells } from '../../src/store/read-cache.js'
import { layerBytes } from '../state/buffer-harness.js'

const CELL_BYTES = MAP_ENTRY_BYTES + elementBytes(0) + cellBytes(0)
const ALL_KEY_GROUPS = [1, 2, 8, 128]

/** `limit` and all sizes are counted in cells of a number under a number. */
class Harness {
  readonly cache: ReadCache
  readonly cells: CachedCells
  misses = 0
  readonly #keyGroups: number

  constructor(keyGroups: number, limit: number) {
    this.#keyGroups = keyGroups
    this.cache = new ReadCache(keyGroups, limit * CELL_BYTES)
    this.cells = this.cache.create()
  }

  read(key: number): void {
    const offset = key % this.#keyGroups
    if (this.cells.find(offset, key) !== undefined) return
    this.misses++
    this.cells.put(offset, key, key)
  }

  /** Of `keys`, how many are found. Changes nothing. */
  holds(keys: number): number {
    let found = 0
    for (let key = 0; key < keys; key++) {
      const offset = key % this.#keyGroups
      const { young, old } = this.cells
      if (young[offset]?.has(key) === true || old[offset]?.has(key) === true) found++
    }
    return found
  }

  get size(): number {
    return this.cache.bytes / CELL_BYTES
  }
}

describe.each(ALL_KEY_GROUPS)('a read cache of %i key groups', (keyGroups) => {
  it('drops nothing of what fits, in whatever order it is read', () => {
    const harness = new Harness(keyGroups, 1000)
    const random = new FixedRandom()
    for (let key = 0; key < 950; key++) harness.read(key)
    expect(harness.misses).toBe(950)
    for (let n = 0; n < 10_000; n++) harness.read(Math.floor(random.next() * 950))
    expect(harness.misses).toBe(950)
    expect(harness.size).toBe(950)
  })

  it('is full, and never beyond its limit, when more is read than fits', () => {
    const harness = new Harness(keyGroups, 1000)
    const random = new FixedRandom()
    for (let n = 0; n < 20_000; n++) {
      const before = harness.size
      harness.read(Math.floor(random.next() * 3000))
      expect(harness.size).toBeLessThanOrEqual(1000)
      if (n > 10_000 && keyGroups > 2) {
        expect(before - harness.size).toBeLessThan((2 * 1000) / keyGroups)
        expect(harness.size).toBeGreaterThan(1000 - (2 * 1000) / keyGroups)
      }
    }
  })

  it('keeps what is read again and again while others pass', () => {
    const harness = new Harness(keyGroups, 1000)
    for (let cold = 1000; cold < 21_000; cold++) {
      harness.read(cold)
      // Each of the hundred once while fifty pass.
      harness.read((2 * cold) % 100)
      harness.read((2 * cold + 1) % 100)
    }
    expect(harness.misses).toBeLessThan(20_000 + 2 * 100)
  })

  it('makes room at once for a lower limit, and uses a higher one', () => {
    const harness = new Harness(keyGroups, 1000)
    for (let key = 0; key < 1000; key++) harness.read(key)
    harness.cache.limitTo(300 * CELL_BYTES)
    expect(harness.size).toBeLessThanOrEqual(300)
    harness.cache.limitTo(0)
    expect(harness.size).toBe(0)
    harness.cache.limitTo(2000 * CELL_BYTES)
    for (let key = 0; key < 1900; key++) harness.read(key)
    expect(harness.holds(1900)).toBe(1900)
  })
})

it('a read cache without a limit drops nothing and ages nothing', () => {
  const harness = new Harness(2, Infinity)
  for (let key = 0; key < 10_000; key++) harness.read(key)
  expect(harness.holds(10_000)).toBe(10_000)
  expect(harness.cells.old).toEqual([])
})

type Operation =
  | { op: 'find' | 'put' | 'remove'; state: number; key: number; text: string }
  | { op: 'entry' | 'remove entry'; state: number; key: number; subkey: number; text: string }
  | { op: 'header'; state: number; key: number; epoch: number }
  | { op: 'limit'; state: number; limitBytes: number }
  | { op: 'clear'; state: number }

const place = { state: fc.nat(1), key: fc.nat(9), text: fc.string({ maxLength: 30 }) }
const operation: fc.Arbitrary<Operation> = fc.oneof(
  fc.record({ op: fc.constantFrom('find' as const, 'put' as const, 'remove' as const), ...place }),
  fc.record({
    op: fc.constantFrom('entry' as const, 'remove entry' as const),
    ...place,
    subkey: fc.nat(5),
  }),
  fc.record({
    op: fc.constant('header' as const),
    ...place,
    epoch: fc.integer({ min: 1, max: 4 }),
  }),
  fc.record({
    op: fc.constant('limit' as const),
    state: fc.nat(1),
    limitBytes: fc.integer({ min: 1000, max: 4000 }),
  }),
  fc.record({ op: fc.constant('clear' as const), state: fc.nat(1) }),
)

/** The latest of each state and key; of a spilled one, with all of its entries. */
type Model = Map<string, string | { readonly epoch: number; readonly entries: Map<number, string> }>

function apply(
  cells: CachedCells,
  model: Model,
  step: Exclude<Operation, { op: 'clear' | 'limit' }>,
): void {
  const { key, state } = step
  const offset = key % 3
  const name = `${state} ${key}`
  const latest = model.get(name)
  const spilled =
    typeof latest === 'object' ? new Spilled(latest.epoch, 0, new Map(), 0) : undefined
  switch (step.op) {
    case 'put':
      cells.put(offset, key, step.text)
      return void model.set(name, step.text)
    case 'header':
      if (typeof latest === 'object' && latest.epoch === step.epoch) return
      cells.putHeader(offset, key, new Spilled(step.epoch, 0, new Map(), 0))
      return void model.set(name, { epoch: step.epoch, entries: new Map() })
    case 'entry':
      if (spilled === undefined || typeof latest !== 'object') return
      cells.putEntry(offset, key, spilled, step.subkey, step.text)
      return void latest.entries.set(step.subkey, step.text)
    case 'remove entry':
      if (spilled === undefined || typeof latest !== 'object') return
      cells.removeEntry(offset, key, spilled, step.subkey)
      return void latest.entries.delete(step.subkey)
    case 'remove':
      cells.remove(offset, key)
      return void model.delete(name)
    case 'find': {
      const found = cells.find(offset, key)
      if (found === undefined) return
      if (!(found instanceof Spilled)) return expect(found).toBe(latest)
      if (typeof latest !== 'object') throw new Error('a spilled cell came back')
      expect(found.epoch).toBe(latest.epoch)
      for (const [subkey, entry] of found.entries) {
        expect(entry).toBe(latest.entries.get(subkey as number))
      }
    }
  }
}

describe('after any operations', () => {
  it('what is found is the latest, and all weighs what it weighs', () => {
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 200 }), (operations) => {
        const cache = new ReadCache(3, 4000)
        const states = [cache.create(), cache.create()]
        const model: Model = new Map()
        let limitBytes = 4000
        for (const step of operations) {
          const cells = states[step.state]
          if (cells === undefined) throw new Error('two states')
          if (step.op === 'clear') {
            cells.clear()
          } else if (step.op === 'limit') {
            limitBytes = step.limitBytes
            cache.limitTo(limitBytes)
          } else {
            apply(cells, model, step)
          }
          const layers = states.flatMap(({ young, old }) => [young, old])
          expect(cache.bytes).toBe(layers.reduce((sum, layer) => sum + layerBytes(layer), 0))
          expect(cache.bytes).toBeLessThanOrEqual(limitBytes)
        }
      }),
      { numRuns: 500 },
    )
  })
})
