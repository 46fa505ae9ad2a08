import { Buffer } from 'node:buffer'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import type { ObjectStore } from '../../../src/storage/object-store.js'
import {
  body,
  eachTest,
  keysOf,
  listed,
  sizesOf,
  text,
  type ObjectStoreFactory,
} from './fixture.js'

export function listTests(factory: ObjectStoreFactory): void {
  let store: ObjectStore
  eachTest(factory, (fixture) => (store = fixture.store))

  it('takes its prefix as a plain string', async () => {
    for (const key of ['a/b', 'a/b2', 'a/c/d', 'ab', 'b']) await store.put(key, text(key))
    expect(await keysOf(store, '')).toEqual(['a/b', 'a/b2', 'a/c/d', 'ab', 'b'])
    expect(await keysOf(store, 'a')).toEqual(['a/b', 'a/b2', 'a/c/d', 'ab'])
    expect(await keysOf(store, 'a/')).toEqual(['a/b', 'a/b2', 'a/c/d'])
    expect(await keysOf(store, 'a/b')).toEqual(['a/b', 'a/b2'])
    expect(await keysOf(store, 'a/c')).toEqual(['a/c/d'])
    expect(await keysOf(store, 'a/b/')).toEqual([])
    expect(await keysOf(store, 'ab')).toEqual(['ab'])
    expect(await keysOf(store, 'c')).toEqual([])
    expect(await keysOf(store, 'x/y/z')).toEqual([])
  })

  it("orders by UTF-8 bytes: '-' before '/', U+FF5E before U+1F600", async () => {
    const keys = ['a-b', 'a.b', 'a/b', 'a0', '\u{ff5e}', '\u{1f600}']
    for (const key of [...keys].reverse()) await store.put(key, text(key))
    expect(await keysOf(store, '')).toEqual(keys)
  })

  it('gives each size', async () => {
    await store.put('a', body(2, 700))
    await store.putIfAbsent('b', Buffer.alloc(3))
    expect(await sizesOf(store, '')).toEqual([
      { key: 'a', sizeBytes: 1400 },
      { key: 'b', sizeBytes: 3 },
    ])
  })

  it('gives when each was stored, in milliseconds since the epoch', async () => {
    await store.put('a', text('first'))
    await store.putIfAbsent('b', Buffer.from('second'))
    const before = await listed(store, '')
    await store.put('a', text('third'))
    const after = await listed(store, '')
    const times = [...before, ...after].map(({ lastModifiedMs }) => lastModifiedMs)
    // A store that counts in seconds, or from another year, shows.
    expect(times.every((time) => time > Date.UTC(2024) && time < Date.UTC(2100))).toBe(true)
    expect(Math.max(...times) - Math.min(...times)).toBeLessThan(600_000)
    expect(after[0]?.lastModifiedMs).toBeGreaterThanOrEqual(before[0]?.lastModifiedMs ?? NaN)
    expect(after[1]).toEqual(before[1])
  })

  it('agrees with a sorted filter of the keys, for any keys and prefix', async () => {
    // 'é', U+FF5E and U+1F600 take two, three and four bytes; '-' and '0' stand on both sides
    // of '/'.
    const unit = fc.constantFrom('a', 'b', '-', '0', 'é', '\u{ff5e}', '\u{1f600}')
    const segment = fc.string({ unit, minLength: 1, maxLength: 3 })
    const key = fc.array(segment, { minLength: 1, maxLength: 3 }).map((all) => all.join('/'))
    const prefix = fc.tuple(key, fc.constantFrom('', '/')).map(([start, end]) => start + end)
    await fc.assert(
      fc.asyncProperty(fc.uniqueArray(key, { maxLength: 12 }), prefix, async (any, start) => {
        const keys = any.filter((a) => !any.some((b) => b.startsWith(`${a}/`)))
        for (const one of keys) await store.put(one, text(one))
        const sorted = [...keys].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
        expect(await keysOf(store, '')).toEqual(sorted)
        expect(await keysOf(store, start)).toEqual(sorted.filter((k) => k.startsWith(start)))
        await store.delete(keys)
        expect(await keysOf(store, '')).toEqual([])
      }),
      { numRuns: 40 },
    )
  })

  it.each([['/'], ['/a'], ['a//'], ['../'], ['a/../'], ['.'], ['a\\'], ['a\u0000'], ['\ud800']])(
    'refuses the prefix %j with INVALID_ARGUMENT',
    async (prefix) => {
      await expect((async () => listed(store, prefix))()).rejects.toMatchObject({
        code: 'INVALID_ARGUMENT',
      })
    },
  )

  it('goes on while objects are put and deleted, and misses none that stays', async () => {
    const stays = Array.from({ length: 30 }, (_, index) => `s/${index + 10}/x`)
    for (const key of stays) await store.put(key, text(key))
    let churning = true
    const churn = async (): Promise<void> => {
      for (let round = 0; round < 20; round++) {
        await store.put(`s/${round + 10}a/y`, text('y'))
        await store.delete([`s/${round + 10}a/y`])
      }
      churning = false
    }
    const look = async (): Promise<void> => {
      while (churning) {
        const keys = await keysOf(store, 's/')
        expect(keys.filter((key) => key.endsWith('/x'))).toEqual(stays)
      }
    }
    await Promise.all([churn(), look()])
  })
}
