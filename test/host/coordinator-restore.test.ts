/** What a coordinator takes from storage before it starts: the ids that are given, and the newest checkpoint, whole or reported. */
import { Buffer } from 'node:buffer'
import { describe, expect, it } from 'vitest'
import { bodyOfBytes } from '../../src/storage/object-store.js'
import { failing } from '../support/fault-object-store.js'
import { attempt, begun } from './attempt.js'
import { storedObjects } from './stored-objects.js'

describe('restore', () => {
  it('H1: gives ids above every id in storage, published or not', async () => {
    const { coordinator, begin, storage } = attempt()
    await storage.streamFactory(17).write('exclusive', bodyOfBytes(Buffer.from('left over')))
    await begin()
    expect(await coordinator.triggerCheckpoint(null)).toMatchObject({ checkpointId: 18 })
  })

  it('never gives an id twice, also after aborts', async () => {
    const { coordinator, events, task } = await begun()
    task(0).beforeAcknowledge = (id) =>
      id % 2 === 0 ? Promise.reject(new Error('no')) : Promise.resolve()
    for (let count = 0; count < 5; count++) await coordinator.triggerCheckpoint(null)
    expect(events.map((event) => event.checkpointId)).toEqual([1, 2, 3, 4, 5])
  })

  it.each([
    ['cut', 'METADATA_DAMAGED', (bytes: Buffer) => bytes.subarray(0, -1)],
    ['altered', 'METADATA_DAMAGED', (bytes: Buffer) => bytes.fill(0x20, 20, 21)],
    ['of a future version', 'METADATA_VERSION_UNKNOWN', (bytes: Buffer) => bytes.fill(9, 8, 9)],
  ])('reports a newest checkpoint that is %s, and touches nothing', async (_, code, damage) => {
    const first = await begun()
    const { objectStore } = first
    await first.coordinator.triggerCheckpoint(null)
    const bytes = await first.storage.readMetadata(1)
    await objectStore.put('job/chk-1/_metadata', bodyOfBytes(damage(bytes)))
    const before = await storedObjects(objectStore)

    const second = attempt({ objectStore })
    await expect(second.begin()).rejects.toMatchObject({ code })
    expect(await storedObjects(objectStore)).toEqual(before)
  })

  it('reports a checkpoint that was copied to another id', async () => {
    const first = await begun()
    await first.coordinator.triggerCheckpoint(null)
    await first.storage.writeMetadata(9, await first.storage.readMetadata(1))
    const second = attempt({ objectStore: first.objectStore })
    await expect(second.begin()).rejects.toMatchObject({ code: 'METADATA_DAMAGED' })
  })

  it('warns of an older checkpoint that cannot be read, and goes on', async () => {
    const first = await begun({ retainedCheckpointsMax: 2 })
    await first.coordinator.triggerCheckpoint(null)
    await first.coordinator.triggerCheckpoint(null)
    await first.objectStore.put('job/chk-1/_metadata', bodyOfBytes(Buffer.from('?')))
    const second = attempt({ objectStore: first.objectStore })
    expect(await second.begin()).toMatchObject({ checkpoint: { checkpointId: 2 } })
    expect(second.warnings).toHaveLength(1)
    await second.coordinator.triggerCheckpoint(null)
    expect(await second.storage.listCheckpoints()).toEqual([3])
  })

  it('may be called again after storage failed', async () => {
    const first = await begun()
    const { objectStore } = first
    const { begin, coordinator } = attempt({ objectStore })
    await first.coordinator.triggerCheckpoint(null)
    objectStore.plan = failing('get', '_metadata')
    await expect(begin()).rejects.toMatchObject({ code: 'STORAGE_FAILED' })
    objectStore.heal()
    expect(await begin()).toMatchObject({ checkpoint: { checkpointId: 1 } })
    expect(await coordinator.triggerCheckpoint(null)).toMatchObject({ checkpointId: 2 })
  })
})
