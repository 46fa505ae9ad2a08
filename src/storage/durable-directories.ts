/**
 * The directories below a root, while puts make them and deletes remove them, in any number of
 * processes at once.
 *
 * A name is durable only when the directory it is in has been fsynced, and so on up to the root.
 * So:
 *
 * F1 before `with` runs its action, every name from the root down to the directory has been synced
 *    by this process since it knows of no removal; names that were there too, since the process
 *    that made them may not have synced them yet;
 * F2 a directory may vanish between any two calls. `with` makes it again, at most `racesMax` times.
 */
import { dirname, sep } from 'node:path'
import { errnoOf } from '../common/node-errors.js'
import type { StorageFileSystem } from './storage-file-system.js'

/**
 * Each race lost needs a delete of a folder's last object between two system calls: losing many is
 * a sign of a fault.
 */
const racesMax = 64
/** Directories remembered as durable. A checkpoint needs one, so old ones need not stay. */
const rememberedMax = 1024

/** What the file system answers where nothing is: also when a folder of the path is a file. */
export const absentErrnos: ReadonlySet<string | undefined> = new Set(['ENOENT', 'ENOTDIR'])

export class DurableDirectories {
  readonly #root: string
  readonly #fileSystem: StorageFileSystem
  /** Made durable, or being made so: who needs one waits for the one at work. */
  readonly #durable = new Map<string, Promise<void>>()

  /** `root` is absolute; it is made when first needed and never removed. */
  constructor(root: string, fileSystem: StorageFileSystem) {
    this.#root = root
    this.#fileSystem = fileSystem
  }

  /**
   * Runs `action`, which makes a name in `directory`, with that directory there and durable. `sync`
   * must follow.
   */
  async with<Result>(directory: string, action: () => Promise<Result>): Promise<Result> {
    for (let race = 1; ; race++) {
      try {
        await this.#makeDurable(directory)
        return await action()
      } catch (error) {
        if (errnoOf(error) !== 'ENOENT' || race === racesMax) throw error
        this.#durable.delete(directory)
      }
    }
  }

  #makeDurable(directory: string): Promise<void> {
    const known = this.#durable.get(directory)
    if (known !== undefined) return known
    const [oldest] = this.#durable.keys()
    if (oldest !== undefined && this.#durable.size >= rememberedMax) this.#durable.delete(oldest)
    const making = this.#makeAndSync(directory)
    this.#durable.set(directory, making)
    making.catch(() => this.#durable.delete(directory))
    return making
  }

  async #makeAndSync(directory: string): Promise<void> {
    const topmostMade = await this.#fileSystem.makeDirectory(directory)
    const madeRoot = topmostMade !== undefined && !topmostMade.startsWith(this.#root + sep)
    const last = madeRoot ? dirname(topmostMade) : this.#root
    for (let at = directory; at !== last && at !== dirname(at);) {
      at = dirname(at)
      await this.#fileSystem.syncDirectory(at)
    }
  }

  /**
   * Syncs the names in `directory`, or in the nearest one above that is there: one that is gone has
   * no names to keep.
   */
  async sync(directory: string): Promise<void> {
    for (let at = directory; at.startsWith(this.#root); at = dirname(at)) {
      try {
        // Removed and made again since `with` looked: then whoever makes it may still be syncing
        // the names above (F1).
        await this.#durable.get(at)
        return await this.#fileSystem.syncDirectory(at)
      } catch (error) {
        if (!absentErrnos.has(errnoOf(error))) throw error
      }
    }
  }

  /**
   * Removes `directory` and those above it as far as they are empty, never the root, and syncs the
   * first that stays.
   */
  async removeIfEmpty(directory: string): Promise<void> {
    let at = directory
    while (at !== this.#root && (await this.#remove(at))) at = dirname(at)
    await this.sync(at)
  }

  /** Resolves to whether the directory is gone now. */
  async #remove(directory: string): Promise<boolean> {
    try {
      await this.#fileSystem.removeDirectory(directory)
    } catch (error) {
      const errno = errnoOf(error)
      if (errno === 'ENOTEMPTY' || errno === 'EEXIST') return false
      if (!absentErrnos.has(errno)) throw error
    }
    this.#durable.delete(directory)
    return true
  }
}
