/** Node's file system with faults: operations replaced, errors as Node makes them. */
import {
  nodeFileSystem,
  type StorageFile,
  type StorageFileSystem,
} from '../../src/storage/storage-file-system.js'

/** An error as Node's file system makes them. */
export function errno(code: string): Error {
  return Object.assign(new Error(`${code}: injected`), { code })
}

/** The operations of a file as own properties, to spread and replace. */
export function nodeFile(file: StorageFile): StorageFile {
  return {
    write: (bytes) => file.write(bytes),
    read: (target, position) => file.read(target, position),
    sizeBytes: () => file.sizeBytes(),
    sync: () => file.sync(),
    close: () => file.close(),
  }
}

/** Node's file system with some operations replaced. */
export function faulty(faults: Partial<StorageFileSystem>): StorageFileSystem {
  return { ...nodeFileSystem, ...faults }
}
