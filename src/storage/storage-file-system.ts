/**
 * The file operations a directory store is made of, one method per operation that matters to what a
 * crash leaves behind. Node's own `node:fs/promises` stands behind it; tests put a recorder or a
 * failing disk there.
 *
 * Errors are Node's, untranslated.
 */
import * as fs from 'node:fs/promises'

export interface StorageFile {
  /** Appends all of `bytes`. */
  write(bytes: Uint8Array): Promise<void>
  /** Reads into `target` from `position`; resolves to the bytes read, 0 at the end. */
  read(target: Uint8Array, position: number): Promise<number>
  sizeBytes(): Promise<number>
  /** Makes the file's bytes durable (fsync). */
  sync(): Promise<void>
  close(): Promise<void>
}

export interface StorageFileInfo {
  readonly kind: 'file' | 'directory' | 'other'
  readonly sizeBytes: number
  /** Milliseconds since the epoch, an integer. Of the last write: naming a file changes nothing. */
  readonly lastModifiedMs: number
  /** How many names the file has. */
  readonly links: number
}

export interface StorageFileSystem {
  /** Makes a new file; EEXIST when the name is taken. */
  create(path: string): Promise<StorageFile>
  openToRead(path: string): Promise<StorageFile>
  rename(from: string, to: string): Promise<void>
  /** A second name for a file; EEXIST when the name is taken, in one step. */
  link(from: string, to: string): Promise<void>
  unlink(path: string): Promise<void>
  /**
   * Makes a directory and those above it; resolves to the topmost one it made, or undefined if all
   * were there.
   */
  makeDirectory(path: string): Promise<string | undefined>
  /** Removes a directory; ENOTEMPTY when it is not empty. */
  removeDirectory(path: string): Promise<void>
  /** Makes the names in a directory durable. */
  syncDirectory(path: string): Promise<void>
  readDirectory(path: string): Promise<string[]>
  /** Follows symbolic links. */
  info(path: string): Promise<StorageFileInfo>
}

class NodeFile implements StorageFile {
  readonly #handle: fs.FileHandle

  constructor(handle: fs.FileHandle) {
    this.#handle = handle
  }

  async write(bytes: Uint8Array): Promise<void> {
    // Unlike write(), writeFile() goes on after a short write; it starts at the current position.
    await this.#handle.writeFile(bytes)
  }

  async read(target: Uint8Array, position: number): Promise<number> {
    return (await this.#handle.read(target, 0, target.length, position)).bytesRead
  }

  async sizeBytes(): Promise<number> {
    return (await this.#handle.stat()).size
  }

  sync(): Promise<void> {
    return this.#handle.sync()
  }

  close(): Promise<void> {
    return this.#handle.close()
  }
}

async function syncDirectory(path: string): Promise<void> {
  // Windows opens no directories and needs no such call: NTFS logs its names itself.
  if (process.platform === 'win32') return
  const handle = await fs.open(path, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

export const nodeFileSystem: StorageFileSystem = {
  create: async (path) => new NodeFile(await fs.open(path, 'wx')),
  openToRead: async (path) => new NodeFile(await fs.open(path, 'r')),
  rename: fs.rename,
  link: fs.link,
  unlink: fs.unlink,
  makeDirectory: (path) => fs.mkdir(path, { recursive: true }),
  removeDirectory: fs.rmdir,
  syncDirectory,
  readDirectory: (path) => fs.readdir(path),
  async info(path) {
    const stats = await fs.stat(path)
    const kind = stats.isFile() ? 'file' : stats.isDirectory() ? 'directory' : 'other'
    const lastModifiedMs = Math.floor(stats.mtimeMs)
    return { kind, sizeBytes: stats.size, lastModifiedMs, links: stats.nlink }
  },
}
