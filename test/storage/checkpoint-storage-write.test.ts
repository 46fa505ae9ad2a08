/** What one attempt at a checkpoint brings to storage, and takes away again. */
import { Buffer } from 'node:buffer'
import * as fs from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import {
  CheckpointedStateScope,
  type StreamStateHandle,
} from '../../src/storage/checkpoint-storage.js'
import { bodyOfBytes, bodyOfFile, type ObjectBody } from '../../src/storage/object-store.js'
import { temporaryDirectory } from '../support/state-task.js'
import {
  faulty,
  jobOver,
  keysOf,
  large,
  locationOf,
  setUp,
  sha256,
  written,
} from './checkpoint-storage-fixture.js'

const { Exclusive, Shared } = CheckpointedStateScope

describe('CheckpointStorage', () => {
  describe('write', () => {
    it('uploads shared state to shared/ and exclusive state to chk-<id>/, with relative locations', async () => {
      const { store } = setUp()
      let id = 0
      const storage = jobOver(store, { randomId: () => `u${++id}` })
      const factory = storage.streamFactory(7)
      expect(factory.checkpointId).toBe(7)
      expect(await factory.write(Shared, bodyOfBytes(large), { name: 'ldb' })).toEqual({
        kind: 'object',
        location: 'shared/0-u1.ldb',
        sizeBytes: large.length,
        sha256: sha256(large),
      })
      const exclusive = await factory.write(Exclusive, bodyOfBytes(large))
      expect(locationOf(exclusive)).toBe('chk-7/0-u2')
      expect(await keysOf(store)).toEqual(['job/chk-7/0-u2', 'job/shared/0-u1.ldb'])
    })

    it('C4: names the same bytes anew at every write', async () => {
      const { store, storage } = setUp()
      expect(locationOf(await written(storage))).not.toBe(locationOf(await written(storage)))
      expect((await keysOf(store)).length).toBe(2)
    })

    it('inlines up to and at the threshold, 20 KiB by default, and uploads beyond', async () => {
      const { store } = setUp()
      for (const [options, threshold] of [
        [{}, 20 * 1024],
        [{ inlineThresholdBytes: 0 }, 0],
        [{ inlineThresholdBytes: 1024 * 1024 }, 1024 * 1024],
      ] as const) {
        const storage = jobOver(store, options)
        const bytes = Buffer.alloc(threshold, 'x')
        expect(await written(storage, bytes)).toEqual({
          kind: 'inline',
          data: bytes.toString('base64'),
          sizeBytes: threshold,
          sha256: sha256(bytes),
        })
        expect((await written(storage, Buffer.alloc(threshold + 1))).kind).toBe('object')
      }
      expect((await keysOf(store)).length).toBe(3)
    })

    it('makes handles that survive JSON', async () => {
      const { storage } = setUp()
      for (const bytes of [large, Buffer.from('small')]) {
        const handle = await written(storage, bytes)
        const revived: StreamStateHandle = JSON.parse(JSON.stringify(handle))
        expect(revived).toEqual(handle)
        expect((await storage.readBytes(revived)).equals(bytes)).toBe(true)
      }
    })

    it('C2: hashes the very bytes that were sent, also when a store reads the body twice', async () => {
      const { store } = setUp()
      let reading = 0
      const changing: ObjectBody = {
        sizeBytes: large.length,
        async *chunks() {
          yield Buffer.alloc(large.length, ++reading)
        },
      }
      const retrying = faulty(store, {
        async put(key, body) {
          for await (const chunk of body.chunks()) expect(chunk.length).toBe(large.length)
          await store.put(key, body)
        },
      })
      const storage = jobOver(retrying)
      const handle = await storage.streamFactory(1).write(Shared, changing)
      expect(handle.sha256).toBe(sha256(Buffer.alloc(large.length, 2)))
      expect((await storage.readBytes(handle)).equals(Buffer.alloc(large.length, 2))).toBe(true)
    })

    it('C2: makes no handle for a body whose last reading was broken off', async () => {
      const { store } = setUp()
      const careless = faulty(store, {
        async put(key, body) {
          await store.put(key, body)
          for await (const chunk of body.chunks()) if (chunk.length > 0) break
        },
      })
      const storage = jobOver(careless)
      await expect(written(storage)).rejects.toMatchObject({ code: 'INVARIANT_BROKEN' })
      expect(await keysOf(store)).toEqual([])
    })

    it.each([
      ['large', large],
      ['inline', Buffer.from('small')],
    ])('C2: refuses %s bytes that are not the expected ones', async (_, bytes) => {
      const { store, storage } = setUp()
      const directory = temporaryDirectory()
      const factory = storage.streamFactory(1)
      const path = join(directory, 'table.ldb')
      await fs.writeFile(path, bytes)
      const expectedSha256 = sha256(bytes)
      const handle = await factory.write(Shared, bodyOfFile(path, bytes.length), { expectedSha256 })
      expect(handle.sha256).toBe(expectedSha256)
      await factory.discard([handle])

      const changed = Buffer.from(bytes)
      changed[3] = 0
      for (const now of [changed, bytes.subarray(1), Buffer.concat([bytes, bytes])]) {
        await fs.writeFile(path, now)
        await expect(
          factory.write(Shared, bodyOfFile(path, bytes.length), { expectedSha256 }),
        ).rejects.toMatchObject({ code: 'OBJECT_DAMAGED', kind: 'data' })
      }
      expect(await keysOf(store)).toEqual([])
    })

    it('leaves nothing when it is aborted', async () => {
      const { store, storage } = setUp()
      for (const sizeBytes of [30_000, 30]) {
        const controller = new AbortController()
        const body: ObjectBody = {
          sizeBytes,
          async *chunks() {
            yield Buffer.alloc(sizeBytes / 2)
            controller.abort()
            yield Buffer.alloc(sizeBytes / 2)
          },
        }
        await expect(
          storage.streamFactory(1).write(Shared, body, { signal: controller.signal }),
        ).rejects.toMatchObject({ code: 'SNAPSHOT_ABORTED' })
      }
      expect(await keysOf(store)).toEqual([])
    })

    it('removes the object when only the answer of the store was lost', async () => {
      const { store } = setUp()
      const lossy = faulty(store, {
        async put(key, body) {
          await store.put(key, body)
          throw new Error('timed out')
        },
      })
      const storage = jobOver(lossy)
      await expect(written(storage)).rejects.toThrow('timed out')
      expect(await keysOf(store)).toEqual([])
    })

    it('reports the first failure when the removal fails as well', async () => {
      const { store } = setUp()
      const fail = (what: string) => async () => {
        throw new Error(what)
      }
      const broken = faulty(store, { put: fail('put'), delete: fail('delete') })
      const storage = jobOver(broken)
      await expect(written(storage)).rejects.toThrow('put')
    })

    it('reports a broken source as a StateBackendError, uploaded or inlined', async () => {
      const { storage } = setUp()
      for (const sizeBytes of [30_000, 30]) {
        const body: ObjectBody = {
          sizeBytes,
          async *chunks() {
            yield Buffer.alloc(1)
            throw new Error('broken source')
          },
        }
        await expect(storage.streamFactory(1).write(Shared, body)).rejects.toMatchObject({
          code: 'STORAGE_FAILED',
        })
      }
    })

    it.each(['', '.ldb', 'a/b', '..', 'x'.repeat(17)])('refuses the ending %j', async (name) => {
      const { store, storage } = setUp()
      await expect(
        storage.streamFactory(1).write(Shared, bodyOfBytes(large), { name }),
      ).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
      expect(await keysOf(store)).toEqual([])
    })
  })

  describe('discard', () => {
    it('removes what was written, and takes inline handles, absent objects and a repetition', async () => {
      const { store, storage } = setUp()
      const factory = storage.streamFactory(1)
      const handles = [
        await factory.write(Shared, bodyOfBytes(large), { name: 'ldb' }),
        await factory.write(Exclusive, bodyOfBytes(large)),
        await factory.write(Exclusive, bodyOfBytes(Buffer.from('small'))),
      ]
      const kept = await written(storage)
      await factory.discard(handles)
      await factory.discard(handles)
      await factory.discard([])
      expect(await keysOf(store)).toEqual([`job/${locationOf(kept)}`])
    })

    it.each(['chk-2/x', 'chk-1/_metadata', 'chk-1', 'shared', 'shared/a/b', '../other/shared/x'])(
      'refuses %s, which its attempt did not write',
      async (location) => {
        const { store, storage } = setUp()
        await store.put('job/chk-2/x', bodyOfBytes(large))
        await storage.writeMetadata(1, large)
        const handle = { kind: 'object', location, sizeBytes: 1, sha256: '' } as const
        await expect(storage.streamFactory(1).discard([handle])).rejects.toMatchObject({
          code: 'INVARIANT_BROKEN',
        })
        expect((await keysOf(store)).length).toBe(2)
      },
    )
  })
})
