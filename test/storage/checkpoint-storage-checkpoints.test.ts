/** The checkpoints of a job in storage: `_metadata`, which makes one, how they are listed and discarded, and the deletion of state. */
import { Buffer } from 'node:buffer'
import { describe, expect, it } from 'vitest'
import { bodyOfBytes } from '../../src/storage/object-store.js'
import {
  faulty,
  jobOver,
  keysOf,
  large,
  locationOf,
  setUp,
  written,
} from './checkpoint-storage-fixture.js'

/** Checkpoints 1, 2 and 10, and what only looks like one. */
async function withCheckpoints(): Promise<ReturnType<typeof setUp>> {
  const parts = setUp()
  for (const key of [
    'job/chk-2/_metadata',
    'job/chk-10/_metadata',
    'job/chk-10/x',
    'job/chk-11/x',
    'job/chk-1/_metadata',
    'job/chk-12/deep/_metadata',
    'job/chk-013/_metadata',
    'job/chk-0/_metadata',
    'job/chk-14',
    'job/chk-x/_metadata',
    'job/chk-99999999999999999999/_metadata',
    'job/shared/chk-15',
    'job2/chk-16/_metadata',
  ]) {
    await parts.store.put(key, bodyOfBytes(Buffer.from('x')))
  }
  return parts
}

describe('CheckpointStorage', () => {
  describe('metadata', () => {
    it('C3: is written once', async () => {
      const { storage } = setUp()
      await storage.writeMetadata(3, Buffer.from('first'))
      await expect(storage.writeMetadata(3, Buffer.from('second'))).rejects.toMatchObject({
        code: 'OBJECT_EXISTS',
        kind: 'conflict',
        details: { key: 'job/chk-3/_metadata' },
      })
      expect((await storage.readMetadata(3)).toString()).toBe('first')
    })

    it('that is not there is OBJECT_MISSING', async () => {
      const { storage } = setUp()
      await expect(storage.readMetadata(3)).rejects.toMatchObject({ code: 'OBJECT_MISSING' })
    })

    it('beyond 256 MiB is neither written nor read', async () => {
      const { store, storage } = setUp()
      const megabyte = Buffer.alloc(2 ** 20)
      await expect(
        storage.writeMetadata(1, new Uint8Array(256 * 2 ** 20 + 1)),
      ).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
      expect(await keysOf(store)).toEqual([])
      const endless = faulty(store, {
        async get() {
          return (async function* () {
            for (;;) yield megabyte
          })()
        },
      })
      await expect(jobOver(endless).readMetadata(1)).rejects.toMatchObject({
        code: 'METADATA_DAMAGED',
      })
    })
  })

  describe('checkpoints', () => {
    it('C3: exist exactly when their _metadata does, and are listed ascending', async () => {
      const { storage } = await withCheckpoints()
      expect(await storage.listCheckpoints()).toEqual([1, 2, 10])
    })

    it('the highest id counts unpublished ones', async () => {
      const { store, storage } = await withCheckpoints()
      expect(await storage.highestCheckpointId()).toBe(12)
      const empty = jobOver(store, { jobId: 'new' })
      expect(await empty.highestCheckpointId()).toBe(0)
      expect(await empty.listCheckpoints()).toEqual([])
    })

    it('are discarded with their exclusive state, and nothing else', async () => {
      const { store, storage } = await withCheckpoints()
      const before = await keysOf(store)
      await storage.discardCheckpoint(10)
      await storage.discardCheckpoint(10)
      await storage.discardCheckpoint(1)
      const gone = ['job/chk-10/_metadata', 'job/chk-10/x', 'job/chk-1/_metadata']
      expect(await keysOf(store)).toEqual(before.filter((key) => !gone.includes(key)))
    })

    it('C3: are gone without their `_metadata`, which is there to be deleted alone', async () => {
      const { store, storage } = await withCheckpoints()
      const before = await keysOf(store)
      await storage.deleteMetadata(10)
      await storage.deleteMetadata(10)
      expect(await storage.listCheckpoints()).toEqual([1, 2])
      expect(await keysOf(store)).toEqual(before.filter((key) => key !== 'job/chk-10/_metadata'))
    })

    it('C3: are gone from the first step of a discard on, and a second discard removes the rest', async () => {
      const { store } = await withCheckpoints()
      let calls = 0
      const failing = faulty(store, {
        async delete(keysToDelete) {
          if (++calls === 2) throw new Error('crash')
          await store.delete(keysToDelete)
        },
      })
      const storage = jobOver(failing)
      await expect(storage.discardCheckpoint(10)).rejects.toThrow('crash')
      expect(await storage.listCheckpoints()).toEqual([1, 2])
      expect(await keysOf(store)).toContain('job/chk-10/x')
      await storage.discardCheckpoint(10)
      expect(await keysOf(store)).not.toContain('job/chk-10/x')
    })

    it('are discarded in batches', async () => {
      const { store } = await withCheckpoints()
      for (let n = 0; n < 2500; n++) {
        await store.put(`job/chk-20/${n}`, bodyOfBytes(Buffer.from('x')))
      }
      const batches: number[] = []
      const counting = faulty(store, {
        async delete(keysToDelete) {
          batches.push(keysToDelete.length)
          await store.delete(keysToDelete)
        },
      })
      await jobOver(counting).discardCheckpoint(20)
      expect(batches).toEqual([1, 1000, 1000, 500])
      expect((await keysOf(store)).filter((key) => key.startsWith('job/chk-20/'))).toEqual([])
    })
  })

  describe('deleteState', () => {
    it('deletes shared and exclusive state, there or not', async () => {
      const { store, storage } = setUp()
      const handles = [await written(storage), await written(storage)]
      const kept = await written(storage)
      await store.put('job/chk-3/1-x', bodyOfBytes(Buffer.from('x')))
      const gone = ['shared/gone.ldb', 'chk-4/gone']
      await storage.deleteState([...handles.map(locationOf), 'chk-3/1-x', ...gone])
      await storage.deleteState([])
      expect(await keysOf(store)).toEqual([`job/${locationOf(kept)}`])
    })

    it.each([
      'chk-1/_metadata',
      'epochs/1',
      'shared',
      'shared/',
      'shared/a/b',
      'x/shared/a',
      'sharedx/a',
      'chk-0/a',
      'chk-1/a/b',
    ])('C4: refuses %s', async (location) => {
      const { store, storage } = setUp()
      await storage.writeMetadata(1, large)
      const good = locationOf(await written(storage))
      await expect(storage.deleteState([good, location])).rejects.toMatchObject({
        code: 'INVARIANT_BROKEN',
      })
      expect((await keysOf(store)).length).toBe(2)
    })
  })
})
