import { Buffer } from 'node:buffer'
import * as fsSync from 'node:fs'
import * as fs from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { DirectoryObjectStore } from '../../src/storage/directory-object-store.js'
import { bodyOfBytes } from '../../src/storage/object-store.js'
import { nodeFileSystem } from '../../src/storage/storage-file-system.js'
import { objectStoreSuite, type ObjectStoreFixture } from '../conformance/object-store-suite.js'
import { errno, faulty, nodeFile } from './faulty-file-system.js'
import { recordedFileSystem } from './recorded-file-system.js'

objectStoreSuite('DirectoryObjectStore', async (): Promise<ObjectStoreFixture> => {
  const directory = await fs.mkdtemp(join(tmpdir(), 'object-store-'))
  const root = join(directory, 'not', 'there', 'yet')
  let left = 0
  return {
    store: new DirectoryObjectStore(root),
    cleanup: () => fs.rm(directory, { recursive: true }),
    async leaveUnfinished(sizeBytes) {
      const pending = join(root, '.pending')
      await fs.mkdir(pending, { recursive: true })
      await fs.writeFile(join(pending, `left-${++left}`), Buffer.alloc(sizeBytes))
    },
  }
})

const text = (value: string) => bodyOfBytes(Buffer.from(value))

describe('DirectoryObjectStore', () => {
  let directory: string
  let root: string
  beforeEach(async () => {
    directory = await fs.realpath(await fs.mkdtemp(join(tmpdir(), 'object-store-')))
    root = join(directory, 'store')
  })
  afterEach(() => fs.rm(directory, { recursive: true }))

  async function filesBelow(folder: string): Promise<string[]> {
    const entries = await fs.readdir(folder, { recursive: true, withFileTypes: true })
    return entries.filter((entry) => entry.isFile()).map((entry) => entry.name)
  }

  describe('D1, D2: the order of file operations', () => {
    function recorded(): { store: DirectoryObjectStore; log: string[] } {
      const log: string[] = []
      const fileSystem = recordedFileSystem(nodeFileSystem, directory, log)
      let id = 0
      const randomId = (): string => `p${++id}`
      return { store: new DirectoryObjectStore(root, { fileSystem, randomId }), log }
    }

    it('of a first put: bytes synced before their name is there, folders synced from below', async () => {
      const { store, log } = recorded()
      await store.put('job/shared/x.ldb', text('12345'))
      expect(log).toEqual([
        'makeDirectory store/.pending',
        'syncDirectory store',
        'syncDirectory .',
        'create store/.pending/p1',
        'write store/.pending/p1 5',
        'sync store/.pending/p1',
        'close store/.pending/p1',
        'makeDirectory store/job/shared',
        'syncDirectory store/job',
        'syncDirectory store',
        'rename store/.pending/p1 store/job/shared/x.ldb',
        'syncDirectory store/job/shared',
      ])
    })

    it('of a later put: only what is new is made and synced', async () => {
      const { store, log } = recorded()
      await store.put('job/shared/x.ldb', text('12345'))
      log.length = 0
      await store.put('job/shared/y.ldb', text('678'))
      expect(log).toEqual([
        'create store/.pending/p2',
        'write store/.pending/p2 3',
        'sync store/.pending/p2',
        'close store/.pending/p2',
        'rename store/.pending/p2 store/job/shared/y.ldb',
        'syncDirectory store/job/shared',
      ])
    })

    it('of a putIfAbsent that creates, and of one that does not', async () => {
      const { store, log } = recorded()
      await store.put('job/chk-1/x', text('12345'))
      log.length = 0
      expect(await store.putIfAbsent('job/chk-1/_metadata', Buffer.from('1234'))).toBe(true)
      expect(log).toEqual([
        'create store/.pending/p2',
        'write store/.pending/p2 4',
        'sync store/.pending/p2',
        'close store/.pending/p2',
        'link store/.pending/p2 store/job/chk-1/_metadata',
        'syncDirectory store/job/chk-1',
        'unlink store/.pending/p2',
      ])
      log.length = 0
      expect(await store.putIfAbsent('job/chk-1/_metadata', Buffer.from('1234'))).toBe(false)
      expect(log).toEqual([
        'create store/.pending/p3',
        'write store/.pending/p3 4',
        'sync store/.pending/p3',
        'close store/.pending/p3',
        'link store/.pending/p3 store/job/chk-1/_metadata EEXIST',
        'info store/.pending/p3',
        'unlink store/.pending/p3',
      ])
    })

    it('of a delete: emptied folders removed, and the first that stays synced', async () => {
      const { store, log } = recorded()
      await store.put('job/chk-1/x', text('1'))
      await store.put('job/shared/y', text('2'))
      log.length = 0
      await store.delete(['job/chk-1/x'])
      expect(log).toEqual([
        'unlink store/job/chk-1/x',
        'removeDirectory store/job/chk-1',
        'removeDirectory store/job ENOTEMPTY',
        'syncDirectory store/job',
      ])
    })

    it('of a put into a folder that others have made: synced all the same', async () => {
      await fs.mkdir(join(root, 'job'), { recursive: true })
      const { store, log } = recorded()
      await store.put('job/x', text('1'))
      expect(log.filter((line) => line.startsWith('syncDirectory'))).toEqual([
        'syncDirectory store',
        'syncDirectory store',
        'syncDirectory store/job',
      ])
    })
  })

  describe('D3: folders that vanish', () => {
    it('are made again when a delete removed them between two steps of a put', async () => {
      let races = 3
      const fileSystem = faulty({
        async rename(from, to) {
          if (races-- > 0) await fs.rmdir(join(root, 'a', 'b'))
          await fs.rename(from, to)
        },
      })
      const store = new DirectoryObjectStore(root, { fileSystem })
      await store.put('a/b/c', text('x'))
      expect(await fs.readFile(join(root, 'a', 'b', 'c'), 'utf8')).toBe('x')
    })

    it('are not made again for ever', async () => {
      let attempts = 0
      const fileSystem = faulty({
        async rename() {
          attempts++
          throw errno('ENOENT')
        },
      })
      const store = new DirectoryObjectStore(root, { fileSystem })
      await expect(store.put('a/b', text('x'))).rejects.toMatchObject({ code: 'STORAGE_FAILED' })
      expect(attempts).toBe(64)
      expect(await filesBelow(root)).toEqual([])
    })

    it('are made again with the root when everything was removed', async () => {
      const store = new DirectoryObjectStore(root)
      await store.put('a/b', text('x'))
      await fs.rm(root, { recursive: true })
      await store.put('a/b', text('y'))
      expect(await fs.readFile(join(root, 'a', 'b'), 'utf8')).toBe('y')
    })

    it('are removed with the last object, the root not', async () => {
      const store = new DirectoryObjectStore(root)
      await store.put('a/b/c', text('x'))
      await store.put('a/d', text('x'))
      await store.delete(['a/b/c'])
      expect(await fs.readdir(join(root, 'a'))).toEqual(['d'])
      await store.delete(['a/d'])
      expect(await fs.readdir(root)).toEqual(['.pending'])
    })
  })

  describe('what fails', () => {
    it.each(['write', 'sync', 'close'] as const)(
      'at the %s of a full disk is DISK_FULL and leaves no file',
      async (operation) => {
        const fileSystem = faulty({
          async create(path) {
            const file = await nodeFileSystem.create(path)
            return {
              ...nodeFile(file),
              [operation]: async () => {
                await file.close()
                throw errno('ENOSPC')
              },
            }
          },
        })
        const store = new DirectoryObjectStore(root, { fileSystem })
        await expect(store.put('a/b', text('x'))).rejects.toMatchObject({
          code: 'DISK_FULL',
          kind: 'unavailable',
          details: { path: join(root, 'a', 'b'), errno: 'ENOSPC' },
        })
        await expect(store.putIfAbsent('a/b', Buffer.from('x'))).rejects.toMatchObject({
          code: 'DISK_FULL',
        })
        expect(await filesBelow(root)).toEqual([])
      },
    )

    it.each([
      ['EDQUOT', 'DISK_FULL'],
      ['EACCES', 'DIRECTORY_NOT_WRITABLE'],
      ['EROFS', 'DIRECTORY_NOT_WRITABLE'],
      ['EPERM', 'DIRECTORY_NOT_WRITABLE'],
      ['EIO', 'STORAGE_FAILED'],
      ['EMFILE', 'STORAGE_FAILED'],
    ])('with %s is %s, and the pending file is removed', async (code, expected) => {
      const fail = async (): Promise<never> => {
        throw errno(code)
      }
      const store = new DirectoryObjectStore(root, {
        fileSystem: faulty({ rename: fail, link: fail }),
      })
      await expect(store.put('a', text('x'))).rejects.toMatchObject({ code: expected })
      await expect(store.putIfAbsent('a', Buffer.from('x'))).rejects.toMatchObject({
        code: expected,
      })
      expect(await filesBelow(root)).toEqual([])
    })

    it.each(['info', 'openToRead', 'readDirectory', 'unlink', 'removeDirectory'] as const)(
      'at %s names the path',
      async (operation) => {
        const good = new DirectoryObjectStore(root)
        await good.put('a/b', text('x'))
        const fail = async (): Promise<never> => {
          throw errno('EIO')
        }
        const store = new DirectoryObjectStore(root, { fileSystem: faulty({ [operation]: fail }) })
        const everything = async (): Promise<void> => {
          for await (const info of store.list('a/')) expect(info.key).toBe('a/b')
          for await (const chunk of await store.get('a/b')) expect(chunk.length).toBe(1)
          await store.delete(['a/b'])
        }
        const failure = everything()
        await expect(failure).rejects.toMatchObject({ code: 'STORAGE_FAILED' })
        await expect(failure).rejects.toThrow(root)
      },
    )

    it('with a file in the place of the root is DIRECTORY_NOT_WRITABLE, also for list', async () => {
      await fs.writeFile(root, 'a file')
      const store = new DirectoryObjectStore(root)
      const refused = { code: 'DIRECTORY_NOT_WRITABLE' }
      await expect(store.put('a', text('x'))).rejects.toMatchObject(refused)
      await expect(store.putIfAbsent('a', Buffer.from('x'))).rejects.toMatchObject(refused)
      await expect(store.list('')[Symbol.asyncIterator]().next()).rejects.toMatchObject(refused)
      expect(await fs.readFile(root, 'utf8')).toBe('a file')
    })

    it('with an object in the place of a folder is DIRECTORY_NOT_WRITABLE and spares the object', async () => {
      const store = new DirectoryObjectStore(root)
      await store.put('a', text('x'))
      await expect(store.put('a/b', text('y'))).rejects.toMatchObject({
        code: 'DIRECTORY_NOT_WRITABLE',
      })
      expect(await filesBelow(root)).toEqual(['a'])
    })
  })

  it('takes a link that succeeded although its answer was lost for what it is', async () => {
    const fileSystem = faulty({
      async link(from, to) {
        await fs.link(from, to)
        throw errno('EEXIST')
      },
    })
    const store = new DirectoryObjectStore(root, { fileSystem })
    expect(await store.putIfAbsent('a', Buffer.from('x'))).toBe(true)
  })

  it('does not name an object in a folder that another put is still syncing', async () => {
    const log: string[] = []
    let release = (): void => undefined
    const released = new Promise<void>((resolve) => (release = resolve))
    let reached = (): void => undefined
    const firstIsSyncing = new Promise<void>((resolve) => (reached = resolve))
    const store = new DirectoryObjectStore(root, {
      fileSystem: faulty({
        async create(path) {
          const file = await nodeFileSystem.create(path)
          const close = async (): Promise<void> => {
            await file.close()
            log.push('closed')
            // A put that did not wait would go on to its rename before the event loop's next turn.
            if (log.length === 2) setImmediate(() => (log.push('released'), release()))
          }
          return { ...nodeFile(file), close }
        },
        async syncDirectory(path) {
          if (path === root && (await fs.readdir(root)).includes('a')) {
            reached()
            await released
          }
          await nodeFileSystem.syncDirectory(path)
        },
        async rename(from, to) {
          log.push('renamed')
          await fs.rename(from, to)
        },
      }),
    })
    const first = store.put('a/1', text('x'))
    await firstIsSyncing
    await Promise.all([first, store.put('a/2', text('x'))])
    expect(log).toEqual(['closed', 'closed', 'released', 'renamed', 'renamed'])
  })

  it('does not resolve while its folder, removed and made again, is still being synced', async () => {
    const log: string[] = []
    let release = (): void => undefined
    const released = new Promise<void>((resolve) => (release = resolve))
    let reached = (): void => undefined
    const otherIsSyncing = new Promise<void>((resolve) => (reached = resolve))
    const others: Promise<void>[] = []
    const store: DirectoryObjectStore = new DirectoryObjectStore(root, {
      fileSystem: faulty({
        async rename(from, to) {
          if (to === join(root, 'a', '2')) {
            await store.delete(['a/1'])
            others.push(store.put('a/3', text('x')))
            await otherIsSyncing
            await fs.rename(from, to)
            // A put that did not wait would sync its folder before the event loop's next turn.
            setImmediate(() => (log.push('released'), release()))
          } else {
            await fs.rename(from, to)
          }
        },
        async syncDirectory(path) {
          if (path === root && log[0] === 'armed' && fsSync.existsSync(join(root, 'a'))) {
            reached()
            await released
          }
          log.push(`synced ${path === root ? '.' : 'a'}`)
          await nodeFileSystem.syncDirectory(path)
        },
      }),
    })
    await store.put('a/1', text('x'))
    log.splice(0, log.length, 'armed')
    await store.put('a/2', text('x'))
    await Promise.all(others)
    // The delete syncs the root; then the put of a/3 does so once it may, and only then the puts their folder.
    expect(log).toEqual(['armed', 'synced .', 'released', 'synced .', 'synced a', 'synced a'])
  })

  it('passes over what is no object of its own: hidden files, names no key can have, dangling links', async () => {
    const store = new DirectoryObjectStore(root)
    await store.put('a/b', text('x'))
    await fs.writeFile(join(root, '.DS_Store'), '')
    await fs.writeFile(join(root, 'a', 'back\\slash'), '')
    await fs.symlink(join(root, 'nowhere'), join(root, 'a', 'dangling'))
    const keys: string[] = []
    for await (const { key } of store.list('')) keys.push(key)
    expect(keys).toEqual(['a/b'])
  })

  it('follows a folder that was moved elsewhere and linked', async () => {
    const store = new DirectoryObjectStore(root)
    await store.put('job/chk-1/x', text('x'))
    await fs.rename(join(root, 'job'), join(directory, 'moved'))
    await fs.symlink(join(directory, 'moved'), join(root, 'job'))
    const keys: string[] = []
    for await (const { key } of store.list('job/')) keys.push(key)
    expect(keys).toEqual(['job/chk-1/x'])
  })

  it('describes itself by its absolute path', () => {
    expect(new DirectoryObjectStore('relative').description).toBe(
      `directory ${join(process.cwd(), 'relative')}`,
    )
  })
})
