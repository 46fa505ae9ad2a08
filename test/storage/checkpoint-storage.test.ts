import { Buffer } from 'node:buffer'
import { createHash } from 'node:crypto'
import * as fs from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  CheckpointStorage,
  CheckpointedStateScope,
  type StreamStateHandle,
} from '../../src/storage/checkpoint-storage.js'
import { MemoryObjectStore } from '../../src/storage/memory-object-store.js'
import {
  bodyOfBytes,
  bodyOfFile,
  type ObjectBody,
  type ObjectStore,
} from '../../src/storage/object-store.js'

const { Exclusive, Shared } = CheckpointedStateScope
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')
const large = Buffer.alloc(100_000, 'state')

/** `store` with some methods replaced. */
function faulty(store: ObjectStore, faults: Partial<ObjectStore>): ObjectStore {
  return {
    description: store.description,
    supports: store.supports,
    put: (key, body, options) => store.put(key, body, options),
    putIfAbsent: (key, bytes, options) => store.putIfAbsent(key, bytes, options),
    get: (key, options) => store.get(key, options),
    list: (prefix, options) => store.list(prefix, options),
    delete: (keys, options) => store.delete(keys, options),
    listUnfinished: (options) => store.listUnfinished(options),
    discardUnfinished: (ids, options) => store.discardUnfinished(ids, options),
    ...faults,
  }
}

describe('CheckpointStorage', () => {
  let store: MemoryObjectStore
  let storage: CheckpointStorage
  let directory: string
  beforeEach(async () => {
    store = new MemoryObjectStore()
    storage = new CheckpointStorage(store, { jobId: 'job' })
    directory = await fs.mkdtemp(join(tmpdir(), 'checkpoint-storage-'))
  })
  afterEach(() => fs.rm(directory, { recursive: true }))

  async function keys(): Promise<string[]> {
    const all: string[] = []
    for await (const { key } of store.list('')) all.push(key)
    return all
  }

  function written(bytes: Uint8Array = large): Promise<StreamStateHandle> {
    return storage.streamFactory(1).write(Shared, bodyOfBytes(bytes), { name: 'ldb' })
  }

  function locationOf(handle: StreamStateHandle): string {
    return handle.kind === 'object' ? handle.location : expect.unreachable('an inline handle')
  }

  describe('construction', () => {
    it.each(['', '.', '..', 'a/b', '/a', 'a\\b', 'a\u0000', '.hidden', 'x'.repeat(256)])(
      'refuses the job id %j',
      (jobId) => {
        expect(() => new CheckpointStorage(store, { jobId })).toThrow(
          expect.objectContaining({ code: 'INVALID_ARGUMENT' }),
        )
      },
    )

    it.each([-1, 0.5, NaN, 1024 * 1024 + 1])('refuses the threshold %d', (threshold) => {
      expect(
        () => new CheckpointStorage(store, { jobId: 'job', inlineThresholdBytes: threshold }),
      ).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }))
    })

    it.each([0, -1, 1.5, NaN, 2 ** 53])('refuses the checkpoint id %d', async (id) => {
      const invalid = expect.objectContaining({ code: 'INVALID_ARGUMENT' })
      expect(() => storage.streamFactory(id)).toThrow(invalid)
      await expect(storage.writeMetadata(id, large)).rejects.toEqual(invalid)
      await expect(storage.readMetadata(id)).rejects.toEqual(invalid)
      await expect(storage.discardCheckpoint(id)).rejects.toEqual(invalid)
    })
  })

  describe('write', () => {
    it('uploads shared state to shared/ and exclusive state to chk-<id>/, with relative locations', async () => {
      let id = 0
      storage = new CheckpointStorage(store, { jobId: 'job', randomId: () => `u${++id}` })
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
      expect(await keys()).toEqual(['job/chk-7/0-u2', 'job/shared/0-u1.ldb'])
    })

    it('C4: names the same bytes anew at every write', async () => {
      expect(locationOf(await written())).not.toBe(locationOf(await written()))
      expect((await keys()).length).toBe(2)
    })

    it('inlines up to and at the threshold, 20 KiB by default, and uploads beyond', async () => {
      for (const [options, threshold] of [
        [{}, 20 * 1024],
        [{ inlineThresholdBytes: 0 }, 0],
        [{ inlineThresholdBytes: 1024 * 1024 }, 1024 * 1024],
      ] as const) {
        storage = new CheckpointStorage(store, { jobId: 'job', ...options })
        const bytes = Buffer.alloc(threshold, 'x')
        expect(await written(bytes)).toEqual({
          kind: 'inline',
          data: bytes.toString('base64'),
          sizeBytes: threshold,
          sha256: sha256(bytes),
        })
        expect((await written(Buffer.alloc(threshold + 1))).kind).toBe('object')
      }
      expect((await keys()).length).toBe(3)
    })

    it('makes handles that survive JSON', async () => {
      for (const bytes of [large, Buffer.from('small')]) {
        const handle = await written(bytes)
        const revived: StreamStateHandle = JSON.parse(JSON.stringify(handle))
        expect(revived).toEqual(handle)
        expect((await storage.readBytes(revived)).equals(bytes)).toBe(true)
      }
    })

    it('C2: hashes the very bytes that were sent, also when a store reads the body twice', async () => {
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
      storage = new CheckpointStorage(retrying, { jobId: 'job' })
      const handle = await storage.streamFactory(1).write(Shared, changing)
      expect(handle.sha256).toBe(sha256(Buffer.alloc(large.length, 2)))
      expect((await storage.readBytes(handle)).equals(Buffer.alloc(large.length, 2))).toBe(true)
    })

    it('C2: makes no handle for a body whose last reading was broken off', async () => {
      const careless = faulty(store, {
        async put(key, body) {
          await store.put(key, body)
          for await (const chunk of body.chunks()) if (chunk.length > 0) break
        },
      })
      storage = new CheckpointStorage(careless, { jobId: 'job' })
      await expect(written()).rejects.toMatchObject({ code: 'INVARIANT_BROKEN' })
      expect(await keys()).toEqual([])
    })

    it.each([
      ['large', large],
      ['inline', Buffer.from('small')],
    ])('C2: refuses %s bytes that are not the expected ones', async (_, bytes) => {
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
      expect(await keys()).toEqual([])
    })

    it('leaves nothing when it is aborted', async () => {
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
      expect(await keys()).toEqual([])
    })

    it('removes the object when only the answer of the store was lost', async () => {
      const lossy = faulty(store, {
        async put(key, body) {
          await store.put(key, body)
          throw new Error('timed out')
        },
      })
      storage = new CheckpointStorage(lossy, { jobId: 'job' })
      await expect(written()).rejects.toThrow('timed out')
      expect(await keys()).toEqual([])
    })

    it('reports the first failure when the removal fails as well', async () => {
      const fail = (what: string) => async () => {
        throw new Error(what)
      }
      const broken = faulty(store, { put: fail('put'), delete: fail('delete') })
      storage = new CheckpointStorage(broken, { jobId: 'job' })
      await expect(written()).rejects.toThrow('put')
    })

    it('reports a broken source as a StateBackendError, uploaded or inlined', async () => {
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
      await expect(
        storage.streamFactory(1).write(Shared, bodyOfBytes(large), { name }),
      ).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
      expect(await keys()).toEqual([])
    })
  })

  describe('discard', () => {
    it('removes what was written, and takes inline handles, absent objects and a repetition', async () => {
      const factory = storage.streamFactory(1)
      const handles = [
        await factory.write(Shared, bodyOfBytes(large), { name: 'ldb' }),
        await factory.write(Exclusive, bodyOfBytes(large)),
        await factory.write(Exclusive, bodyOfBytes(Buffer.from('small'))),
      ]
      const kept = await written()
      await factory.discard(handles)
      await factory.discard(handles)
      await factory.discard([])
      expect(await keys()).toEqual([`job/${locationOf(kept)}`])
    })

    it.each(['chk-2/x', 'chk-1/_metadata', 'chk-1', 'shared', 'shared/a/b', '../other/shared/x'])(
      'refuses %s, which its attempt did not write',
      async (location) => {
        await store.put('job/chk-2/x', bodyOfBytes(large))
        await storage.writeMetadata(1, large)
        const handle = { kind: 'object', location, sizeBytes: 1, sha256: '' } as const
        await expect(storage.streamFactory(1).discard([handle])).rejects.toMatchObject({
          code: 'INVARIANT_BROKEN',
        })
        expect((await keys()).length).toBe(2)
      },
    )
  })

  describe('readBytes and download', () => {
    it('give back what was written, inlined or not', async () => {
      for (const [name, bytes] of Object.entries({
        large,
        small: Buffer.from('x'),
        no: Buffer.alloc(0),
      })) {
        const handle = await written(bytes)
        expect((await storage.readBytes(handle)).equals(bytes)).toBe(true)
        await storage.download(handle, join(directory, name))
        expect((await fs.readFile(join(directory, name))).equals(bytes)).toBe(true)
      }
    })

    it('download several chunks', async () => {
      const bytes = Buffer.alloc(3_000_000, 'table')
      const chunked = faulty(store, {
        async get() {
          return (async function* () {
            for (let at = 0; at < bytes.length; at += 700_000)
              yield bytes.subarray(at, at + 700_000)
          })()
        },
      })
      const handle = await written(bytes)
      storage = new CheckpointStorage(chunked, { jobId: 'job' })
      await storage.download(handle, join(directory, 'x'))
      expect((await fs.readFile(join(directory, 'x'))).equals(bytes)).toBe(true)
    })

    const damages: readonly [string, Buffer][] = [
      ['a changed byte', Buffer.concat([large.subarray(0, -1), Buffer.from('!')])],
      ['a byte less', large.subarray(0, -1)],
      ['a byte more', Buffer.concat([large, Buffer.from('!')])],
      ['no byte', Buffer.alloc(0)],
    ]
    it.each(damages)('refuse an object with %s as OBJECT_DAMAGED, naming it', async (_, bytes) => {
      const handle = await written()
      const key = `job/${locationOf(handle)}`
      await store.put(key, bodyOfBytes(bytes))
      const damaged = { code: 'OBJECT_DAMAGED', details: { object: key } }
      await expect(storage.readBytes(handle)).rejects.toMatchObject(damaged)
      await expect(storage.readBytes(handle)).rejects.toThrow(key)
      await expect(storage.download(handle, join(directory, 'x'))).rejects.toMatchObject(damaged)
      expect(await fs.readdir(directory)).toEqual([])
    })

    it('refuse an inline handle that was changed', async () => {
      const handle = await written(Buffer.from('small'))
      for (const changed of [
        { ...handle, data: Buffer.from('smell').toString('base64') },
        { ...handle, data: '' },
        { ...handle, sizeBytes: 4 },
        { ...handle, sha256: sha256(large) },
      ]) {
        await expect(storage.readBytes(changed)).rejects.toMatchObject({ code: 'OBJECT_DAMAGED' })
      }
    })

    it('reject with OBJECT_MISSING, naming the object', async () => {
      const handle = await written()
      await storage.deleteState([locationOf(handle)])
      const missing = { code: 'OBJECT_MISSING', details: { key: `job/${locationOf(handle)}` } }
      await expect(storage.readBytes(handle)).rejects.toMatchObject(missing)
      await expect(storage.download(handle, join(directory, 'x'))).rejects.toMatchObject(missing)
      expect(await fs.readdir(directory)).toEqual([])
    })

    it('read at most 64 MiB into memory', async () => {
      const handle = { kind: 'object', location: 'shared/x', sha256: '' } as const
      const sizeBytes = 64 * 1024 * 1024
      await expect(
        storage.readBytes({ ...handle, sizeBytes: sizeBytes + 1 }),
      ).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
      await expect(storage.readBytes({ ...handle, sizeBytes })).rejects.toMatchObject({
        code: 'OBJECT_MISSING',
      })
    })

    it('never download over a file', async () => {
      const path = join(directory, 'taken')
      await fs.writeFile(path, 'mine')
      await expect(storage.download(await written(), path)).rejects.toMatchObject({
        code: 'DIRECTORY_NOT_EMPTY',
        details: { path },
      })
      expect(await fs.readFile(path, 'utf8')).toBe('mine')
    })

    it('report a local directory that is missing or a file', async () => {
      await fs.writeFile(join(directory, 'file'), '')
      const handle = await written()
      await expect(storage.download(handle, join(directory, 'no', 'x'))).rejects.toMatchObject({
        code: 'STORE_FAILED',
      })
      await expect(storage.download(handle, join(directory, 'file', 'x'))).rejects.toMatchObject({
        code: 'DIRECTORY_NOT_WRITABLE',
      })
    })

    it('stop and leave no file when they are aborted', async () => {
      const handle = await written()
      const controller = new AbortController()
      const aborting = faulty(store, {
        async get(key, options) {
          const chunks = await store.get(key, options)
          controller.abort()
          return chunks
        },
      })
      storage = new CheckpointStorage(aborting, { jobId: 'job' })
      const { signal } = controller
      await expect(
        storage.download(handle, join(directory, 'x'), { signal }),
      ).rejects.toMatchObject({ code: 'SNAPSHOT_ABORTED' })
      expect(await fs.readdir(directory)).toEqual([])
    })
  })

  describe('metadata', () => {
    it('C3: is written once', async () => {
      await storage.writeMetadata(3, Buffer.from('first'))
      await expect(storage.writeMetadata(3, Buffer.from('second'))).rejects.toMatchObject({
        code: 'OBJECT_EXISTS',
        kind: 'conflict',
        details: { key: 'job/chk-3/_metadata' },
      })
      expect((await storage.readMetadata(3)).toString()).toBe('first')
    })

    it('that is not there is OBJECT_MISSING', async () => {
      await expect(storage.readMetadata(3)).rejects.toMatchObject({ code: 'OBJECT_MISSING' })
    })

    it('beyond 256 MiB is neither written nor read', async () => {
      const megabyte = Buffer.alloc(2 ** 20)
      await expect(
        storage.writeMetadata(1, new Uint8Array(256 * 2 ** 20 + 1)),
      ).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
      expect(await keys()).toEqual([])
      const endless = faulty(store, {
        async get() {
          return (async function* () {
            for (;;) yield megabyte
          })()
        },
      })
      storage = new CheckpointStorage(endless, { jobId: 'job' })
      await expect(storage.readMetadata(1)).rejects.toMatchObject({ code: 'METADATA_DAMAGED' })
    })
  })

  describe('checkpoints', () => {
    beforeEach(async () => {
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
        await store.put(key, bodyOfBytes(Buffer.from('x')))
      }
    })

    it('C3: exist exactly when their _metadata does, and are listed ascending', async () => {
      expect(await storage.listCheckpoints()).toEqual([1, 2, 10])
    })

    it('the highest id counts unpublished ones', async () => {
      expect(await storage.highestCheckpointId()).toBe(12)
      const empty = new CheckpointStorage(store, { jobId: 'new' })
      expect(await empty.highestCheckpointId()).toBe(0)
      expect(await empty.listCheckpoints()).toEqual([])
    })

    it('are discarded with their exclusive state, and nothing else', async () => {
      const before = await keys()
      await storage.discardCheckpoint(10)
      await storage.discardCheckpoint(10)
      await storage.discardCheckpoint(1)
      const gone = ['job/chk-10/_metadata', 'job/chk-10/x', 'job/chk-1/_metadata']
      expect(await keys()).toEqual(before.filter((key) => !gone.includes(key)))
    })

    it('C3: are gone without their `_metadata`, which is there to be deleted alone', async () => {
      const before = await keys()
      await storage.deleteMetadata(10)
      await storage.deleteMetadata(10)
      expect(await storage.listCheckpoints()).toEqual([1, 2])
      expect(await keys()).toEqual(before.filter((key) => key !== 'job/chk-10/_metadata'))
    })

    it('C3: are gone from the first step of a discard on, and a second discard removes the rest', async () => {
      let calls = 0
      const failing = faulty(store, {
        async delete(keysToDelete) {
          if (++calls === 2) throw new Error('crash')
          await store.delete(keysToDelete)
        },
      })
      storage = new CheckpointStorage(failing, { jobId: 'job' })
      await expect(storage.discardCheckpoint(10)).rejects.toThrow('crash')
      expect(await storage.listCheckpoints()).toEqual([1, 2])
      expect(await keys()).toContain('job/chk-10/x')
      await storage.discardCheckpoint(10)
      expect(await keys()).not.toContain('job/chk-10/x')
    })

    it('are discarded in batches', async () => {
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
      await new CheckpointStorage(counting, { jobId: 'job' }).discardCheckpoint(20)
      expect(batches).toEqual([1, 1000, 1000, 500])
      expect((await keys()).filter((key) => key.startsWith('job/chk-20/'))).toEqual([])
    })
  })

  describe('deleteState', () => {
    it('deletes shared and exclusive state, there or not', async () => {
      const handles = [await written(), await written()]
      const kept = await written()
      await store.put('job/chk-3/1-x', bodyOfBytes(Buffer.from('x')))
      const gone = ['shared/gone.ldb', 'chk-4/gone']
      await storage.deleteState([...handles.map(locationOf), 'chk-3/1-x', ...gone])
      await storage.deleteState([])
      expect(await keys()).toEqual([`job/${locationOf(kept)}`])
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
      await storage.writeMetadata(1, large)
      const good = locationOf(await written())
      await expect(storage.deleteState([good, location])).rejects.toMatchObject({
        code: 'INVARIANT_BROKEN',
      })
      expect((await keys()).length).toBe(2)
    })
  })
})
