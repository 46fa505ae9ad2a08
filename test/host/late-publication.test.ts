/** A publication that was broken off, and is carried out all the same some time later: what a server does whose client has gone. */
import { describe, expect, it } from 'vitest'
import { MemoryObjectStore } from '../../src/storage/memory-object-store.js'
import type { ObjectStoreOptions } from '../../src/storage/object-store.js'
import { attempt, begun, expectWhole, settle, statuses, TIMEOUT_MS } from './attempt.js'
import { namedObjects, storedObjects } from './stored-objects.js'

/** Its `_metadata` of `lateKey` is answered to nobody, and there when `arrive` is called. */
class LateObjectStore extends MemoryObjectStore {
  lateKey: string | undefined
  arrive: () => Promise<unknown> = () => Promise.resolve()

  override putIfAbsent(
    key: string,
    bytes: Uint8Array,
    options: ObjectStoreOptions = {},
  ): Promise<boolean> {
    if (key !== this.lateKey) return super.putIfAbsent(key, bytes, options)
    this.arrive = () => super.putIfAbsent(key, bytes)
    return new Promise((_, reject) => {
      const { signal } = options
      signal?.addEventListener('abort', () => reject(signal.reason), { once: true })
    })
  }
}

async function twoCheckpoints() {
  const objectStore = new LateObjectStore()
  const running = await begun({ objectStore })
  await running.coordinator.triggerCheckpoint(null)
  objectStore.lateKey = 'job/chk-2/_metadata'
  void running.coordinator.triggerCheckpoint(null)
  await settle()
  return running
}

describe('a publication that is broken off and arrives later', () => {
  it('by the end of its time is of a whole checkpoint, until a later one is completed', async () => {
    const { clock, coordinator, events, objectStore, storage } = await twoCheckpoints()
    await clock.advance(TIMEOUT_MS)
    await settle()
    expect(statuses(events)).toEqual(['1', '2 expired'])
    await objectStore.arrive()
    await expectWhole(objectStore, 'job/chk-2')
    await coordinator.triggerCheckpoint(null)
    expect(statuses(events)).toEqual(['1', '2 expired', '3'])
    expect(await storedObjects(objectStore)).toEqual(await namedObjects(storage))
    expect(await storage.listCheckpoints()).toEqual([3])
  })

  it('by the close of the coordinator is of a whole checkpoint, which the next attempt goes on from', async () => {
    const { coordinator, objectStore } = await twoCheckpoints()
    await coordinator.close()
    await objectStore.arrive()
    await expectWhole(objectStore, 'job/chk-2')
    const next = attempt({ objectStore })
    expect(await next.begin()).toMatchObject({ checkpoint: { checkpointId: 2 } })
  })

  it('or never arrives leaves nothing once a later one is completed', async () => {
    const { clock, coordinator, objectStore, storage } = await twoCheckpoints()
    await clock.advance(TIMEOUT_MS)
    await settle()
    await coordinator.triggerCheckpoint(null)
    expect(await storedObjects(objectStore)).toEqual(await namedObjects(storage))
  })
})
