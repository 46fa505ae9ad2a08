import { Buffer } from 'node:buffer'
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { open, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { TableFileWriter } from '../../src/table/table-file.js'
import { turns, until } from '../support/held-writes.js'
import {
  encodeTable,
  expectEntries,
  noise,
  put,
  readEntries,
  temporaryDirectory,
} from './fixtures.js'

const entries = Array.from({ length: 3000 }, (_, index) =>
  put(`key-${String(index).padStart(6, '0')}`, index + 1, noise(index % 1500, index)),
)

function addAll(writer: TableFileWriter): void {
  for (const { userKey, sequence, type, value } of entries)
    writer.add(userKey, sequence, type, value)
}

/** The prototype of all open files. */
async function fileHandlePrototype(): Promise<FileHandle> {
  const handle = await open(join(temporaryDirectory(), 'any'), 'w')
  const prototype: FileHandle = Object.getPrototypeOf(handle)
  await handle.close()
  return prototype
}

/** Makes the next write, to any open file, fail as the disk would. */
async function failNextWrite(code: string): Promise<void> {
  const spy = vi
    .spyOn(await fileHandlePrototype(), 'writeFile')
    .mockRejectedValueOnce(Object.assign(new Error(`${code}: the disk says no`), { code }))
  onTestFinished(() => spy.mockRestore())
}

/** Holds the next write, to any open file, until the function that is returned is called. */
async function holdNextWrite(): Promise<() => void> {
  const prototype = await fileHandlePrototype()
  const { writeFile } = prototype
  let release = (): void => undefined
  const released = new Promise<void>((resolve) => (release = resolve))
  const spy = vi.spyOn(prototype, 'writeFile').mockImplementationOnce(async function (
    this: FileHandle,
    ...parameters
  ) {
    await released
    await writeFile.apply(this, parameters)
  })
  onTestFinished(() => spy.mockRestore())
  return release
}

describe('TableFileWriter', () => {
  it('T3: writes the bytes of TableWriter, however often it is flushed, with their SHA-256', async () => {
    const directory = temporaryDirectory()
    for (const compression of ['none', 'snappy'] as const) {
      for (const flushAboveBytes of [0, 100_000, Infinity]) {
        const path = join(directory, `${compression}-${flushAboveBytes}.ldb`)
        const writer = await TableFileWriter.create(path, { compression })
        for (const { userKey, sequence, type, value } of entries) {
          writer.add(userKey, sequence, type, value)
          if (writer.bufferedBytes > flushAboveBytes) {
            await writer.flush()
            expect(writer.bufferedBytes).toBe(0)
          }
        }
        const file = await writer.finish()
        const { bytes, properties } = encodeTable(entries, { compression })
        const sha256 = createHash('sha256').update(bytes).digest('hex')
        expect(file).toEqual({ ...properties, path, sha256 })
        expect(readFileSync(path).equals(bytes)).toBe(true)
      }
    }
  })

  it('writes more than one piece of a megabyte in order', async () => {
    const path = join(temporaryDirectory(), '000001.ldb')
    const large = [
      put('a', 1, noise(3_000_000, 1)),
      put('b', 2, 'x'),
      put('c', 3, noise(1_500_000, 2)),
    ]
    const writer = await TableFileWriter.create(path)
    for (const { userKey, sequence, type, value } of large)
      writer.add(userKey, sequence, type, value)
    expect(writer.bufferedBytes).toBe(writer.writtenBytes)
    await writer.finish()
    expectEntries(readEntries(path), large)
  })

  it('takes entries while a piece is being written, but no second piece', async () => {
    const path = join(temporaryDirectory(), '000001.ldb')
    const added = [put('a', 1, noise(10_000, 1)), put('b', 2, noise(10_000, 2))]
    const writer = await TableFileWriter.create(path)
    const release = await holdNextWrite()
    const ended: string[] = []
    for (const { userKey, sequence, type, value } of added) {
      writer.add(userKey, sequence, type, value)
      void writer.flush().then(() => ended.push(userKey.toString()))
      await turns()
    }
    expect(ended).toEqual(['a'])
    release()
    await until(() => ended.length === 2)
    await writer.finish()
    expectEntries(readEntries(path), added)
  })

  it('T2: reports a piece that fails behind its flush by the next call, and leaves no file', async () => {
    const directory = temporaryDirectory()
    for (const method of ['flush', 'finish'] as const) {
      const writer = await TableFileWriter.create(join(directory, '000001.ldb'))
      writer.add(Buffer.from('a'), 1, 1, noise(10_000, 1))
      await failNextWrite('ENOSPC')
      const failed = expect.objectContaining({ code: 'DISK_FULL' }) as Error
      await writer.flush()
      writer.add(Buffer.from('b'), 2, 1, noise(10_000, 2))
      await expect(writer[method]()).rejects.toThrow(failed)
      expect(readdirSync(directory)).toEqual([])
      vi.restoreAllMocks()
    }
  })

  it('leaves no file when nothing was added', async () => {
    const path = join(temporaryDirectory(), '000001.ldb')
    const writer = await TableFileWriter.create(path)
    expect(await writer.finish()).toBeUndefined()
    expect(existsSync(path)).toBe(false)
  })

  it('T2: leaves no file after abort, before or after a flush, called once or more', async () => {
    const directory = temporaryDirectory()
    for (const flushes of [false, true]) {
      const writer = await TableFileWriter.create(join(directory, '000001.ldb'))
      addAll(writer)
      if (flushes) await writer.flush()
      await Promise.all([writer.abort(), writer.abort()])
      await writer.abort()
      expect(readdirSync(directory)).toEqual([])
    }
  })

  it('T2: leaves no file after abort during a flush or finish, which fails with SNAPSHOT_ABORTED', async () => {
    const directory = temporaryDirectory()
    for (const method of ['flush', 'finish'] as const) {
      const writer = await TableFileWriter.create(join(directory, '000001.ldb'))
      addAll(writer)
      const [outcome] = await Promise.allSettled([writer[method](), writer.abort()])
      expect(outcome).toMatchObject({ reason: { code: 'SNAPSHOT_ABORTED' } })
      expect(readdirSync(directory)).toEqual([])
    }
  })

  it('keeps a finished table when it is aborted too late', async () => {
    const path = join(temporaryDirectory(), '000001.ldb')
    const writer = await TableFileWriter.create(path)
    addAll(writer)
    await writer.finish()
    await writer.abort()
    expectEntries(readEntries(path), entries)
  })

  it('T1: refuses a file that exists and leaves it alone', async () => {
    const path = join(temporaryDirectory(), '000001.ldb')
    writeFileSync(path, 'precious')
    await expect(TableFileWriter.create(path)).rejects.toMatchObject({
      code: 'STORE_FAILED',
      details: { path, errno: 'EEXIST' },
    })
    expect(readFileSync(path, 'utf8')).toBe('precious')
  })

  it('reports a directory that is not there as STORE_FAILED with the path', async () => {
    const path = join(temporaryDirectory(), 'absent', '000001.ldb')
    await expect(TableFileWriter.create(path)).rejects.toMatchObject({
      code: 'STORE_FAILED',
      details: { path, errno: 'ENOENT' },
    })
  })

  it.each([
    ['ENOSPC', 'DISK_FULL'],
    ['EDQUOT', 'DISK_FULL'],
    ['EIO', 'STORE_FAILED'],
  ] as const)('T2: a write that fails with %s is %s, and no file stays', async (errno, code) => {
    const directory = temporaryDirectory()
    const path = join(directory, '000001.ldb')
    const writer = await TableFileWriter.create(path)
    addAll(writer)
    await failNextWrite(errno)
    await expect(writer.finish()).rejects.toMatchObject({ code, details: { path, errno } })
    expect(readdirSync(directory)).toEqual([])
    await writer.abort()
    expect(() => {
      writer.add(Buffer.from('z'), 1, 1, Buffer.alloc(0))
    }).toThrow(expect.objectContaining({ code: 'INVARIANT_BROKEN' }))
  })
})
