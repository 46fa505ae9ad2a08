import { Buffer } from 'node:buffer'
import * as fs from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { DirectoryObjectStore } from '../../src/storage/directory-object-store.js'
import { bodyOfFile } from '../../src/storage/object-store.js'

describe('bodyOfFile', () => {
  let directory: string
  let root: string
  beforeEach(async () => {
    directory = await fs.mkdtemp(join(tmpdir(), 'body-of-file-'))
    root = join(directory, 'store')
  })
  afterEach(() => fs.rm(directory, { recursive: true }))

  async function filesBelow(folder: string): Promise<string[]> {
    const entries = await fs.readdir(folder, { recursive: true, withFileTypes: true })
    return entries.filter((entry) => entry.isFile()).map((entry) => entry.name)
  }

  it('streams a file of several chunks into the store, again at each call', async () => {
    const bytes = Buffer.alloc(2_500_000, 'table')
    const path = join(directory, 'local.ldb')
    await fs.writeFile(path, bytes)
    const body = bodyOfFile(path, bytes.length)
    const store = new DirectoryObjectStore(root)
    await store.put('first', body)
    await store.put('second', body)
    expect((await fs.readFile(join(root, 'first'))).equals(bytes)).toBe(true)
    expect((await fs.readFile(join(root, 'second'))).equals(bytes)).toBe(true)
  })

  it('is refused by the store when the file has another size than was said', async () => {
    const path = join(directory, 'local.ldb')
    await fs.writeFile(path, 'four')
    const store = new DirectoryObjectStore(root)
    for (const sizeBytes of [3, 5]) {
      await expect(store.put('a', bodyOfFile(path, sizeBytes))).rejects.toMatchObject({
        code: 'STORAGE_FAILED',
      })
    }
    expect(await filesBelow(root)).toEqual([])
  })

  it('that cannot be read is STORE_FAILED, of the local disk and not of the storage', async () => {
    const store = new DirectoryObjectStore(root)
    for (const path of [join(directory, 'missing'), directory]) {
      await expect(store.put('a', bodyOfFile(path, 1))).rejects.toMatchObject({
        code: 'STORE_FAILED',
        details: { path },
      })
    }
    expect(await filesBelow(root)).toEqual([])
  })
})
