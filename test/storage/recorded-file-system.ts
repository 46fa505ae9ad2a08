/**
 * A file system that writes down what it is asked to do, in order, with paths relative to `base`
 * and the errno of failures.
 */
import { relative } from 'node:path'
import { errnoOf } from '../../src/common/node-errors.js'
import type { StorageFile, StorageFileSystem } from '../../src/storage/storage-file-system.js'

export function recordedFileSystem(
  fileSystem: StorageFileSystem,
  base: string,
  log: string[],
): StorageFileSystem {
  const short = (path: string): string => relative(base, path) || '.'

  async function record<Result>(line: string, run: () => Promise<Result>): Promise<Result> {
    const at = log.push(line) - 1
    try {
      return await run()
    } catch (error) {
      log[at] = `${line} ${errnoOf(error)}`
      throw error
    }
  }

  function recordedFile(file: StorageFile, path: string): StorageFile {
    const name = short(path)
    return {
      write: (bytes) => record(`write ${name} ${bytes.length}`, () => file.write(bytes)),
      read: (target, position) => file.read(target, position),
      sizeBytes: () => file.sizeBytes(),
      sync: () => record(`sync ${name}`, () => file.sync()),
      close: () => record(`close ${name}`, () => file.close()),
    }
  }

  const one =
    <Result>(operation: string, run: (path: string) => Promise<Result>) =>
    (path: string): Promise<Result> =>
      record(`${operation} ${short(path)}`, () => run(path))
  const two =
    (operation: string, run: (from: string, to: string) => Promise<void>) =>
    (from: string, to: string): Promise<void> =>
      record(`${operation} ${short(from)} ${short(to)}`, () => run(from, to))

  return {
    create: one('create', async (path) => recordedFile(await fileSystem.create(path), path)),
    openToRead: one('openToRead', fileSystem.openToRead),
    rename: two('rename', fileSystem.rename),
    link: two('link', fileSystem.link),
    unlink: one('unlink', fileSystem.unlink),
    makeDirectory: one('makeDirectory', fileSystem.makeDirectory),
    removeDirectory: one('removeDirectory', fileSystem.removeDirectory),
    syncDirectory: one('syncDirectory', fileSystem.syncDirectory),
    readDirectory: one('readDirectory', fileSystem.readDirectory),
    info: one('info', fileSystem.info),
  }
}
