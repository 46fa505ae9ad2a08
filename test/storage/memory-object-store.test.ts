import { Buffer } from 'node:buffer'
import { expect, it } from 'vitest'
import { MemoryObjectStore } from '../../src/storage/memory-object-store.js'
import { bodyOfBytes } from '../../src/storage/object-store.js'
import { objectStoreSuite } from '../conformance/object-store-suite.js'
import { listed } from '../conformance/object-store/fixture.js'
import { ManualClock } from '../support/manual-clock.js'

objectStoreSuite('MemoryObjectStore', async () => ({
  store: new MemoryObjectStore(),
  cleanup: async () => undefined,
}))

it('MemoryObjectStore takes the time of each put from its clock', async () => {
  const clock = new ManualClock()
  const store = new MemoryObjectStore({ clock })
  const times = async (): Promise<number[]> =>
    (await listed(store, '')).map(({ lastModifiedMs }) => lastModifiedMs)
  await clock.advance(10)
  await store.put('a', bodyOfBytes(Buffer.from('1')))
  await clock.advance(5)
  await store.putIfAbsent('b', Buffer.from('2'))
  expect(await times()).toEqual([10, 15])
  await clock.advance(5)
  await store.putIfAbsent('b', Buffer.from('3'))
  await store.put('a', bodyOfBytes(Buffer.from('4')))
  expect(await times()).toEqual([20, 15])
})
