/** The storage of a job: what it may be made of, and the reading of state, which is whole or an error. */
import { Buffer } from 'node:buffer'
import * as fs from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { bodyOfBytes } from '../../src/storage/object-store.js'
import { temporaryDirectory } from '../support/state-task.js'
import {
  faulty,
  jobOver,
  large,
  locationOf,
  setUp,
  sha256,
  written,
} from './checkpoint-storage-fixture.js'

describe('CheckpointStorage', () => {
  describe('construction', () => {
    it.each(['', '.', '..', 'a/b', '/a', 'a\\b', 'a\u0000', '.hidden', 'x'.repeat(256)])(
      'refuses the job id %j',
      (jobId) => {
        const { store } = setUp()
        expect(() => jobOver(store, { jobId })).toThrow(
          expect.objectContaining({ code: 'INVALID_ARGUMENT' }),
        )
      },
    )

    it.each([-1, 0.5, NaN, 1024 * 1024 + 1])('refuses the threshold %d', (threshold) => {
      const { store } = setUp()
      expect(() => jobOver(store, { inlineThresholdBytes: threshold })).toThrow(
        expect.objectContaining({ code: 'INVALID_ARGUMENT' }),
      )
    })

    it.each([0, -1, 1.5, NaN, 2 ** 53])('refuses the checkpoint id %d', async (id) => {
      const { storage } = setUp()
      const invalid = expect.objectContaining({ code: 'INVALID_ARGUMENT' })
      expect(() => storage.streamFactory(id)).toThrow(invalid)
      await expect(storage.writeMetadata(id, large)).rejects.toEqual(invalid)
      await expect(storage.readMetadata(id)).rejects.toEqual(invalid)
      await expect(storage.discardCheckpoint(id)).rejects.toEqual(invalid)
    })
  })

  describe('readBytes and download', () => {
    it('give back what was written, inlined or not', async () => {
      const { storage } = setUp()
      const directory = temporaryDirectory()
      for (const [name, bytes] of Object.entries({
        large,
        small: Buffer.from('x'),
        no: Buffer.alloc(0),
      })) {
        const handle = await written(storage, bytes)
        expect((await storage.readBytes(handle)).equals(bytes)).toBe(true)
        await storage.download(handle, join(directory, name))
        expect((await fs.readFile(join(directory, name))).equals(bytes)).toBe(true)
      }
    })

    it('download several chunks', async () => {
      const { store, storage } = setUp()
      const directory = temporaryDirectory()
      const bytes = Buffer.alloc(3_000_000, 'table')
      const chunked = faulty(store, {
        async get() {
          return (async function* () {
            for (let at = 0; at < bytes.length; at += 700_000)
              yield bytes.subarray(at, at + 700_000)
          })()
        },
      })
      const handle = await written(storage, bytes)
      await jobOver(chunked).download(handle, join(directory, 'x'))
      expect((await fs.readFile(join(directory, 'x'))).equals(bytes)).toBe(true)
    })

    const damages: readonly [string, Buffer][] = [
      ['a changed byte', Buffer.concat([large.subarray(0, -1), Buffer.from('!')])],
      ['a byte less', large.subarray(0, -1)],
      ['a byte more', Buffer.concat([large, Buffer.from('!')])],
      ['no byte', Buffer.alloc(0)],
    ]
    it.each(damages)('refuse an object with %s as OBJECT_DAMAGED, naming it', async (_, bytes) => {
      const { store, storage } = setUp()
      const directory = temporaryDirectory()
      const handle = await written(storage)
      const key = `job/${locationOf(handle)}`
      await store.put(key, bodyOfBytes(bytes))
      const damaged = { code: 'OBJECT_DAMAGED', details: { object: key } }
      await expect(storage.readBytes(handle)).rejects.toMatchObject(damaged)
      await expect(storage.readBytes(handle)).rejects.toThrow(key)
      await expect(storage.download(handle, join(directory, 'x'))).rejects.toMatchObject(damaged)
      expect(await fs.readdir(directory)).toEqual([])
    })

    it('refuse an inline handle that was changed', async () => {
      const { storage } = setUp()
      const handle = await written(storage, Buffer.from('small'))
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
      const { storage } = setUp()
      const directory = temporaryDirectory()
      const handle = await written(storage)
      await storage.deleteState([locationOf(handle)])
      const missing = { code: 'OBJECT_MISSING', details: { key: `job/${locationOf(handle)}` } }
      await expect(storage.readBytes(handle)).rejects.toMatchObject(missing)
      await expect(storage.download(handle, join(directory, 'x'))).rejects.toMatchObject(missing)
      expect(await fs.readdir(directory)).toEqual([])
    })

    it('read at most 64 MiB into memory', async () => {
      const { storage } = setUp()
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
      const { storage } = setUp()
      const directory = temporaryDirectory()
      const path = join(directory, 'taken')
      await fs.writeFile(path, 'mine')
      await expect(storage.download(await written(storage), path)).rejects.toMatchObject({
        code: 'DIRECTORY_NOT_EMPTY',
        details: { path },
      })
      expect(await fs.readFile(path, 'utf8')).toBe('mine')
    })

    it('report a local directory that is missing or a file', async () => {
      const { storage } = setUp()
      const directory = temporaryDirectory()
      await fs.writeFile(join(directory, 'file'), '')
      const handle = await written(storage)
      await expect(storage.download(handle, join(directory, 'no', 'x'))).rejects.toMatchObject({
        code: 'STORE_FAILED',
      })
      await expect(storage.download(handle, join(directory, 'file', 'x'))).rejects.toMatchObject({
        code: 'DIRECTORY_NOT_WRITABLE',
      })
    })

    it('stop and leave no file when they are aborted', async () => {
      const { store, storage } = setUp()
      const directory = temporaryDirectory()
      const handle = await written(storage)
      const controller = new AbortController()
      const aborting = faulty(store, {
        async get(key, options) {
          const chunks = await store.get(key, options)
          controller.abort()
          return chunks
        },
      })
      const { signal } = controller
      await expect(
        jobOver(aborting).download(handle, join(directory, 'x'), { signal }),
      ).rejects.toMatchObject({ code: 'SNAPSHOT_ABORTED' })
      expect(await fs.readdir(directory)).toEqual([])
    })
  })
})
