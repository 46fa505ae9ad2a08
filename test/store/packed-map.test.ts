import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { elementBytes, type Element } from '../../src/store/element.js'
import { PACKED_MAP_BYTES, PackedMap } from '../../src/store/packed-map.js'

/** Few enough that they are hit again, and more than are looked through. */
const userKey = fc.oneof(
  fc.integer({ min: 0, max: 20 }),
  fc.constantFrom('', '0', 'a user key that is long enough to be flattened'),
  fc.bigInt({ min: 0n, max: 3n }),
  fc.boolean(),
)
const element = fc.oneof(fc.integer(), fc.string(), fc.constant(null), fc.boolean())
const step = fc.oneof(
  { weight: 3, arbitrary: fc.record({ userKey, element }) },
  { weight: 1, arbitrary: fc.record({ userKey }) },
)

function entriesOf(map: PackedMap): Map<unknown, Element | undefined> {
  return new Map(map.keys().map((key) => [key, map.get(key)]))
}

describe('a packed map', () => {
  it('is a Map, whatever its size, and knows its memory', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
        const map = new PackedMap()
        const model = new Map<string | number | bigint | boolean, Element>()
        for (const { userKey: key, ...write } of steps) {
          if ('element' in write) {
            map.set(key, write.element)
            model.set(key, write.element)
          } else {
            map.delete(key)
            model.delete(key)
          }
          expect(map.size).toBe(model.size)
          expect(map.has(key)).toBe(model.has(key))
          expect(map.get(key)).toBe(model.get(key))
        }
        expect(map.keys().length).toBe(model.size)
        expect(entriesOf(map)).toEqual(model)
        let bytes = PACKED_MAP_BYTES
        for (const [key, each] of model) {
          bytes += map.entryBytes + elementBytes(key) + elementBytes(each)
        }
        expect(map.bytes).toBe(bytes)
      }),
    )
  })

  it.each([0, 1, 10, 40])('of %d entries and its copy do not share a thing', (size) => {
    const map = new PackedMap()
    for (let key = 0; key < size; key++) map.set(key, key)
    const before = entriesOf(map)
    const copy = map.copy()
    expect(entriesOf(copy)).toEqual(before)
    expect(copy.bytes).toBe(map.bytes)
    for (let key = 0; key < size; key++) copy.set(key, 'changed')
    copy.set('more', 1)
    copy.delete(0)
    expect(entriesOf(map)).toEqual(before)
    map.set('other', 2)
    expect(copy.has('other')).toBe(false)
  })

  it('gives out keys that are the caller’s own', () => {
    const map = new PackedMap()
    map.set(2, 'b')
    map.set(1, 'a')
    map.keys().push(3)
    expect(map.keys()).toEqual([2, 1])
    expect(map.get(1)).toBe('a')
  })

  it('beyond 16 entries is a Map, whose entries take more', () => {
    const map = new PackedMap()
    for (let key = 0; key < 16; key++) map.set(key, key)
    const { entryBytes } = map
    map.set(16, 16)
    expect(map.entryBytes).toBeGreaterThan(entryBytes)
  })
})
