import { Buffer } from 'node:buffer'
import { expect, it } from 'vitest'
import type { ObjectStore } from '../../../src/storage/object-store.js'
import { eachTest, readText, sizesOf, text, type ObjectStoreFactory } from './fixture.js'

export function putIfAbsentTests(factory: ObjectStoreFactory): void {
  let store: ObjectStore
  eachTest(factory, (fixture) => (store = fixture.store))

  it('creates and never overwrites what is there; a store that cannot refuses', async () => {
    if (!store.supports.conditionalPut && (await refuses(store))) {
      expect(await sizesOf(store, '')).toEqual([])
      return
    }
    expect(await store.putIfAbsent('a/b', Buffer.from('first'))).toBe(true)
    expect(await store.putIfAbsent('a/b', Buffer.from('second'))).toBe(false)
    await store.put('c', text('put'))
    expect(await store.putIfAbsent('c', Buffer.from('second'))).toBe(false)
    expect(await readText(store, 'a/b')).toBe('first')
    expect(await readText(store, 'c')).toBe('put')
  })

  it('creates again after a delete', async ({ skip }) => {
    skip(!store.supports.conditionalPut && (await refuses(store)), 'the store refuses it')
    await store.putIfAbsent('a', Buffer.from('first'))
    await store.delete(['a'])
    expect(await store.putIfAbsent('a', Buffer.from('second'))).toBe(true)
    expect(await readText(store, 'a')).toBe('second')
  })

  it('has exactly one winner of 16 at once, and keeps what that one put', async ({ skip }) => {
    skip(!store.supports.conditionalPut, 'the store has no conditional put')
    for (let round = 0; round < 20; round++) {
      const key = `race/${round}/_metadata`
      const writers = Array.from({ length: 16 }, (_, writer) => writer)
      const won = await Promise.all(
        writers.map((writer) => store.putIfAbsent(key, Buffer.from(`writer ${writer}`))),
      )
      expect(won.filter(Boolean).length).toBe(1)
      expect(await readText(store, key)).toBe(`writer ${won.indexOf(true)}`)
    }
  })
}

async function refuses(store: ObjectStore): Promise<boolean> {
  try {
    await store.putIfAbsent('refused', Buffer.from('x'))
    await store.delete(['refused'])
    return false
  } catch (error) {
    expect(error).toMatchObject({ name: 'StateBackendError' })
    return true
  }
}
