/**
 * The local directory that databases and tables are made in. It is scratch (S5): everything in it
 * can be lost, and what a dead process left is deleted when the next one comes.
 *
 *     level-state-backend.lock      who works here, see `process-lock.ts`
 *     inc-<name>-<uuid>/            one incarnation of one backend
 *
 * W1 one process at a time works in a directory; its backends share it, counted. The last release
 *    gives it up.
 * W2 only names that this file makes are ever deleted, and a directory with any other name in it is
 *    refused before anything is made in it.
 */
import { randomUUID } from 'node:crypto'
import * as fs from 'node:fs'
import { join, resolve } from 'node:path'
import { assert } from '../common/assert.js'
import { fileSystemError } from '../common/node-errors.js'
import { StateBackendError } from '../errors.js'
import { ProcessLock } from './process-lock.js'

const lockName = 'level-state-backend.lock'
const incarnationPattern =
  /^inc-[A-Za-z0-9._-]+-[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$/
/**
 * Of a backend's name, in the name of its folder: enough to know it by, and within every file
 * system's limit.
 */
const incarnationNameMaxLength = 64

/** A directory this process holds, shared by its `WorkDirectory` objects. */
interface HeldDirectory {
  readonly lock: ProcessLock
  users: number
}

/** By real path, so that two ways to a directory are one. */
const heldDirectories = new Map<string, HeldDirectory>()

export class WorkDirectory {
  /** Absolute, without symbolic links. */
  readonly path: string
  #released = false

  private constructor(path: string) {
    this.path = path
  }

  /**
   * Takes a directory for this process, made if it is missing, or shares what the process already
   * has. When it is taken anew, the folders of dead incarnations are deleted.
   *
   * `DIRECTORY_IN_USE`: another live process has it, or another copy of this module: a worker
   * thread's. `DIRECTORY_NOT_EMPTY`: something in it is not ours. `DIRECTORY_NOT_WRITABLE`, also
   * where a file is in its place; `DISK_FULL`; `STORE_FAILED`.
   */
  static acquire(directory: string): WorkDirectory {
    const path = makeDirectory(directory)
    const held = heldDirectories.get(path)
    if (held === undefined) heldDirectories.set(path, { lock: take(path), users: 1 })
    else held.users++
    return new WorkDirectory(path)
  }

  /**
   * Makes a new, empty folder and returns its path; it belongs to the caller, and may be deleted by
   * it. `name` is for people who look into the directory: what is no letter, digit, '.', '_' or '-'
   * becomes '_', and 64 characters of it are used.
   */
  createIncarnation(name: string): string {
    assert(!this.#released, 'a work directory is not used after its release', { path: this.path })
    const readable = name.slice(0, incarnationNameMaxLength).replaceAll(/[^A-Za-z0-9._-]/g, '_')
    const path = join(this.path, `inc-${readable || '_'}-${randomUUID()}`)
    try {
      fs.mkdirSync(path)
    } catch (error) {
      throw fileSystemError(error, 'make the folder', path, 'STORE_FAILED')
    }
    return path
  }

  /**
   * Gives the directory up; a repetition does nothing. Folders are not deleted: whoever comes next
   * does that.
   */
  release(): void {
    if (this.#released) return
    this.#released = true
    const held = heldDirectories.get(this.path)
    assert(held !== undefined && held.users > 0, 'a work directory in use is known', {
      path: this.path,
    })
    held.users--
    if (held.users > 0) return
    heldDirectories.delete(this.path)
    held.lock.release()
  }
}

/** The real path of the directory, made with those above it. */
function makeDirectory(directory: string): string {
  const path = resolve(directory)
  try {
    fs.mkdirSync(path, { recursive: true })
    return fs.realpathSync(path)
  } catch (error) {
    throw fileSystemError(error, 'make the work directory', path, 'STORE_FAILED')
  }
}

function take(path: string): ProcessLock {
  refuseStrangers(path)
  const lock = ProcessLock.acquire(join(path, lockName))
  try {
    sweepIncarnations(path)
  } catch (error) {
    lock.release()
    throw error
  }
  return lock
}

/** W2. */
function refuseStrangers(path: string): void {
  const stranger = entriesOf(path).find((entry) => !isOurs(entry))
  if (stranger === undefined) return
  throw new StateBackendError(
    'DIRECTORY_NOT_EMPTY',
    `${path} holds ${stranger.name}, which is not ours. A work directory is swept at every start, so give it a directory that ` +
      'is missing, empty, or was a work directory before.',
    { details: { path, name: stranger.name } },
  )
}

function isOurs(entry: fs.Dirent): boolean {
  if (entry.isDirectory()) return incarnationPattern.test(entry.name)
  return entry.isFile() && (entry.name === lockName || entry.name.startsWith(`${lockName}.`))
}

function entriesOf(path: string): fs.Dirent[] {
  try {
    return fs.readdirSync(path, { withFileTypes: true })
  } catch (error) {
    throw fileSystemError(error, 'read the work directory', path, 'STORE_FAILED')
  }
}

/** S5. All are dead: their process held this lock, and this process has taken it only now. */
function sweepIncarnations(path: string): void {
  for (const entry of entriesOf(path)) {
    if (!entry.isDirectory() || !incarnationPattern.test(entry.name)) continue
    const folder = join(path, entry.name)
    try {
      fs.rmSync(folder, { recursive: true, force: true })
    } catch (error) {
      throw fileSystemError(error, 'sweep', folder, 'STORE_FAILED')
    }
  }
}
