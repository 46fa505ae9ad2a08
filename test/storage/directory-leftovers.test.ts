/** What a crash leaves of puts in a directory store, and how it is found and removed while others go on. */
import { Buffer } from 'node:buffer'
import * as fs from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { DirectoryObjectStore } from '../../src/storage/directory-object-store.js'
import { bodyOfBytes } from '../../src/storage/object-store.js'
import { nodeFileSystem, type StorageFile } from '../../src/storage/storage-file-system.js'
import { keysOf, readText, unfinishedIn } from '../conformance/object-store/fixture.js'
import { errno, faulty, nodeFile } from './faulty-file-system.js'
import { recordedFileSystem } from './recorded-file-system.js'

const never = (): Promise<never> => new Promise(() => undefined)

describe('the unfinished uploads of a DirectoryObjectStore', () => {
  let directory: string
  let root: string
  let pending: string
  let store: DirectoryObjectStore
  beforeEach(async () => {
    directory = await fs.realpath(await fs.mkdtemp(join(tmpdir(), 'leftovers-')))
    root = join(directory, 'store')
    pending = join(root, '.pending')
    store = new DirectoryObjectStore(root)
  })
  afterEach(() => fs.rm(directory, { recursive: true }))

  const idsIn = async (): Promise<string[]> =>
    (await unfinishedIn(store)).map(({ id }) => id).sort()

  async function leave(name: string, bytes = 'left'): Promise<void> {
    await fs.mkdir(pending, { recursive: true })
    await fs.writeFile(join(pending, name), bytes)
  }

  it.each(['sync', 'rename', 'link'] as const)(
    'of a process that died in its %s are found whole, and their object is not there',
    async (operation) => {
      let reached = (): void => undefined
      const died = new Promise<void>((resolve) => (reached = resolve))
      const hang = (): Promise<never> => (reached(), never())
      const create = async (path: string): Promise<StorageFile> => {
        const file = await nodeFileSystem.create(path)
        // The file of a dead process is closed.
        const sync = async (): Promise<never> => (await file.close(), hang())
        return { ...nodeFile(file), sync }
      }
      const fault = operation === 'sync' ? { create } : { [operation]: hang }
      const dying = new DirectoryObjectStore(root, {
        fileSystem: faulty(fault),
        randomId: () => 'p1',
      })
      if (operation === 'link') void dying.putIfAbsent('job/a', Buffer.from('12345'))
      else void dying.put('job/a', bodyOfBytes(Buffer.from('12345')))
      await died
      expect(await unfinishedIn(store)).toMatchObject([{ id: 'p1', sizeBytes: 5 }])
      expect(await keysOf(store, '')).toEqual([])
      await store.discardUnfinished(['p1'])
      expect(await fs.readdir(pending)).toEqual([])
    },
  )

  it('of a process that died with its link made are a second name: the object stays', async () => {
    let reached = (): void => undefined
    const died = new Promise<void>((resolve) => (reached = resolve))
    const dying = new DirectoryObjectStore(root, {
      fileSystem: faulty({ unlink: () => (reached(), never()) }),
    })
    void dying.putIfAbsent('job/_metadata', Buffer.from('12345'))
    await died
    const [left] = await unfinishedIn(store)
    expect(left?.sizeBytes).toBe(5)
    await store.discardUnfinished(left === undefined ? [] : [left.id])
    expect(await idsIn()).toEqual([])
    expect(await readText(store, 'job/_metadata')).toBe('12345')
  })

  it('of a put that is running make it fail when they are discarded, with nothing half-done', async () => {
    await store.put('job/a', bodyOfBytes(Buffer.from('before')))
    for (const putting of ['put', 'putIfAbsent'] as const) {
      const running = new DirectoryObjectStore(root, {
        fileSystem: faulty({
          async create(path) {
            const file = await nodeFileSystem.create(path)
            const sync = async (): Promise<void> => {
              await file.sync()
              await store.discardUnfinished(await idsIn())
            }
            return { ...nodeFile(file), sync }
          },
        }),
      })
      const bytes = Buffer.from('after')
      const put =
        putting === 'put'
          ? running.put('job/a', bodyOfBytes(bytes))
          : running.putIfAbsent('job/b', bytes)
      await expect(put, putting).rejects.toMatchObject({ code: 'STORAGE_FAILED' })
    }
    expect(await keysOf(store, '')).toEqual(['job/a'])
    expect(await readText(store, 'job/a')).toBe('before')
    expect(await idsIn()).toEqual([])
  })

  it('have the time of their last write, and objects keep it under their name', async () => {
    await leave('old')
    await fs.utimes(join(pending, 'old'), 1_000_000, 1_700_000_000.5)
    expect(await unfinishedIn(store)).toEqual([
      { id: 'old', sizeBytes: 4, lastModifiedMs: 1_700_000_000_500 },
    ])
    await fs.rename(join(pending, 'old'), join(root, 'a'))
    for await (const info of store.list('')) {
      expect(info).toEqual({ key: 'a', sizeBytes: 4, lastModifiedMs: 1_700_000_000_500 })
    }
    expect(await keysOf(store, '')).toEqual(['a'])
  })

  it('are the files alone: no folder, no hidden file, no link that leads nowhere', async () => {
    await leave('p1')
    await leave('.nfs0001')
    await fs.mkdir(join(pending, 'folder'))
    await fs.symlink(join(root, 'nowhere'), join(pending, 'dangling'))
    expect(await idsIn()).toEqual(['p1'])
  })

  it('may end while they are listed or discarded', async () => {
    for (const name of ['p1', 'p2', 'p3']) await leave(name)
    const racing = new DirectoryObjectStore(root, {
      fileSystem: faulty({
        async info(path) {
          if (path.endsWith('p2')) await fs.unlink(path)
          return nodeFileSystem.info(path)
        },
        async unlink(path) {
          if (path.endsWith('p3')) await fs.unlink(path)
          await fs.unlink(path)
        },
      }),
    })
    const ids = (await unfinishedIn(racing)).map(({ id }) => id).sort()
    expect(ids).toEqual(['p1', 'p3'])
    await racing.discardUnfinished(ids)
    expect(await fs.readdir(pending)).toEqual([])
  })

  it('are removed by one unlink each, inside .pending, and nothing else is done', async () => {
    await leave('p1')
    await leave('p2')
    const log: string[] = []
    const fileSystem = recordedFileSystem(nodeFileSystem, directory, log)
    await new DirectoryObjectStore(root, { fileSystem }).discardUnfinished(['p1', 'p2', 'p9'])
    expect(log.sort()).toEqual([
      'unlink store/.pending/p1',
      'unlink store/.pending/p2',
      'unlink store/.pending/p9 ENOENT',
    ])
  })

  it('that are links are removed themselves, never what they lead to', async () => {
    await store.put('a', bodyOfBytes(Buffer.from('kept')))
    await leave('p1')
    await fs.symlink(join(root, 'a'), join(pending, 'to-file'))
    await fs.symlink(root, join(pending, 'to-folder'))
    await store.discardUnfinished(['to-file', 'to-folder'])
    expect(await fs.readdir(pending)).toEqual(['p1'])
    expect(await readText(store, 'a')).toBe('kept')
  })

  it.each(['readDirectory', 'info', 'unlink'] as const)(
    'that cannot be looked at or removed (%s) are STORAGE_FAILED, naming the path',
    async (operation) => {
      await leave('p1')
      const fail = async (): Promise<never> => {
        throw errno('EIO')
      }
      const failing = new DirectoryObjectStore(root, { fileSystem: faulty({ [operation]: fail }) })
      const cleaning = async (): Promise<void> => {
        await failing.discardUnfinished((await unfinishedIn(failing)).map(({ id }) => id))
      }
      const failure = cleaning()
      await expect(failure).rejects.toMatchObject({ code: 'STORAGE_FAILED' })
      await expect(failure).rejects.toThrow(pending)
    },
  )
})
