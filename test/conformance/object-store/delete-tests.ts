import { expect, it } from 'vitest'
import type { ObjectStore } from '../../../src/storage/object-store.js'
import { eachTest, keysOf, readText, text, type ObjectStoreFactory } from './fixture.js'

export function deleteTests(factory: ObjectStoreFactory): void {
  let store: ObjectStore
  eachTest(factory, (fixture) => (store = fixture.store))

  it('takes any number of keys, there or not, and leaves the others', async () => {
    const keys = Array.from({ length: 60 }, (_, index) => `f${index % 3}/k${index}`)
    await Promise.all(keys.map((key) => store.put(key, text(key))))
    const gone = keys.filter((_, index) => index !== 7)
    const never = Array.from({ length: 1200 }, (_, index) => `never/${index % 5}/${index}`)
    await store.delete([...gone, ...never])
    expect(await keysOf(store, '')).toEqual(['f1/k7'])
  })

  it('takes no key, one key twice, and a repetition', async () => {
    await store.put('a/b', text('x'))
    await store.delete([])
    expect(await keysOf(store, '')).toEqual(['a/b'])
    await store.delete(['a/b', 'a/b'])
    await store.delete(['a/b'])
    expect(await keysOf(store, '')).toEqual([])
  })

  it('of a name that others only start with leaves those', async () => {
    await store.put('a/b', text('x'))
    await store.delete(['a', 'a/b/c'])
    expect(await keysOf(store, '')).toEqual(['a/b'])
  })

  it('never takes a put beside it along', async () => {
    const turns = Array.from({ length: 40 }, (_, index) => index)
    const writers = ['x', 'y', 'z'].map(async (writer) => {
      for (const turn of turns) {
        const key = `deep/er/${writer}`
        await store.put(key, text(`${turn}`))
        expect(await readText(store, key)).toBe(`${turn}`)
        await store.delete([key])
      }
    })
    await Promise.all(writers)
    expect(await keysOf(store, '')).toEqual([])
  })
}
