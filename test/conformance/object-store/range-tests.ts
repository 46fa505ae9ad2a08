import { expect, it } from 'vitest'
import type { ObjectStore } from '../../../src/storage/object-store.js'
import { body, bytesOf, eachTest, text, type ObjectStoreFactory } from './fixture.js'

export function rangeTests(factory: ObjectStoreFactory): void {
  let store: ObjectStore
  eachTest(factory, (fixture) => (store = fixture.store))

  it.each([
    [0, 10, '0123456789'],
    [3, 4, '3456'],
    [9, 1, '9'],
    [0, 0, ''],
    [5, 0, ''],
    [8, 5, '89'],
    [0, 1000, '0123456789'],
    [10, 1, ''],
    [1000, 5, ''],
    [1000, 0, ''],
  ])('of [%i, +%i) gives the bytes there are', async (offset, length, expected) => {
    await store.put('a', text('0123456789'))
    const bytes = await bytesOf(await store.get('a', { range: { offset, length } }))
    expect(bytes.toString()).toBe(expected)
  })

  it('reach across chunks of any size', async () => {
    await store.put('a', body(30, 100_000))
    const range = { offset: 99_999, length: 2_800_002 }
    const all = await bytesOf(await store.get('a'))
    const bytes = await bytesOf(await store.get('a', { range }))
    expect(bytes.equals(all.subarray(99_999, 2_900_001))).toBe(true)
  })

  it('of what is missing are OBJECT_MISSING, also when empty', async () => {
    const range = { offset: 0, length: 0 }
    await expect(store.get('a', { range })).rejects.toMatchObject({ code: 'OBJECT_MISSING' })
  })

  it.each([
    [-1, 1],
    [0, -1],
    [0.5, 1],
    [0, Infinity],
    [NaN, 1],
  ])('of [%d, +%d) are INVALID_ARGUMENT', async (offset, length) => {
    await store.put('a', text('0123456789'))
    await expect(store.get('a', { range: { offset, length } })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    })
  })
}
