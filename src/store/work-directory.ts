/**
 * The local directory that databases and tables are made in. It is scratch (S5): everything in it
 * can be lost, and what a dead process left is deleted when nobody can use it any more.
 *
 *     level-state-backend.lock      who works here, see `process-lock.ts`
 *     inc-<name>-<uuid>/            one incarnation of one backend
 *     left-<name>-<uuid>/           one that died: its tables may be linked by a restore
 *
 * W1 one process at a time works in a directory; its backends share it, counted. The last release
 *    gives it up.
 * W2 only names that this file makes are ever deleted, and a directory with any other name in it is
 *    refused before anything is made in it.
 * W3 the folder of a dead incarnation is left over for one process: the one that takes the
 *    directory next puts it aside, and deletes it when a checkpoint of its own is completed, after
 *    `leftoversKeptMs`, or when it gives the directory up, whichever comes first. When that process
 *    dies too, the one after it deletes what was put aside before anything else. Only who could not
 *    restore, and says so, hands it on as it was.
 */
import { randomUUID } from 'node:crypto'
import * as fs from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { assert } from '../common/assert.js'
import { systemClock, type Clock } from '../common/clock.js'
import { errnoOf, fileSystemError } from '../common/node-errors.js'
import { StateBackendError } from '../errors.js'
import { LeftoverTables } from './leftover-tables.js'
import { ProcessLock } from './process-lock.js'

export const WORK_DIRECTORY_LOCK = 'level-state-backend.lock'
const incarnationPattern =
  /^inc-[A-Za-z0-9._-]+-[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$/
const leftoverPattern = new RegExp(incarnationPattern.source.replace('inc-', 'left-'))
/**
 * Of a backend's name, in the name of its folder: enough to know it by, and within every file
 * system's limit.
 */
const incarnationNameMaxLength = 64

/**
 * The tasks of a job are restored within this time of each other; after it a checkpoint that never
 * completes keeps no second copy of the state on the disk.
 */
const leftoversKeptMs = 60 * 60 * 1000

/** A directory this process holds, shared by its `WorkDirectory` objects. */
interface HeldDirectory {
  readonly lock: ProcessLock
  readonly leftovers: LeftoverTables
  /** Ends the wait for `leftoversKeptMs`. */
  readonly givenUp: AbortController
  users: number
  failed: boolean
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
   * has. When it is taken anew, the folders of dead incarnations are put aside (W3).
   *
   * `DIRECTORY_IN_USE`: another live process has it, or another copy of this module: a worker
   * thread's. `DIRECTORY_NOT_EMPTY`: something in it is not ours. `DIRECTORY_NOT_WRITABLE`, also
   * where a file is in its place; `DISK_FULL`; `STORE_FAILED`.
   */
  static acquire(directory: string, clock: Clock = systemClock): WorkDirectory {
    const path = makeDirectory(directory)
    const held = heldDirectories.get(path)
    if (held === undefined) heldDirectories.set(path, take(path, clock))
    else held.users++
    return new WorkDirectory(path)
  }

  /** Tables of incarnations that died before this process took the directory. */
  get leftovers(): LeftoverTables {
    return this.#held().leftovers
  }

  /**
   * Makes a new, empty folder and returns its path; it belongs to the caller, and may be deleted by
   * it. `name` is for people who look into the directory: what is no letter, digit, '.', '_' or '-'
   * becomes '_', and 64 characters of it are used.
   */
  createIncarnation(name: string): string {
    this.#held()
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
   * Gives the directory up; a repetition does nothing. The folders of this process are not deleted:
   * they are their makers' own, or left to whoever comes next. `failed` when what it was taken for
   * could not be made: then the leftovers stay for another attempt (W3).
   */
  release(outcome: 'done' | 'failed' = 'done'): void {
    if (this.#released) return
    const held = this.#held()
    this.#released = true
    held.failed ||= outcome === 'failed'
    held.users--
    if (held.users > 0) return
    heldDirectories.delete(this.path)
    held.givenUp.abort()
    if (held.failed) held.leftovers.folders.forEach(handOn)
    else held.leftovers.sweepSync()
    held.lock.release()
  }

  #held(): HeldDirectory {
    assert(!this.#released, 'a work directory is not used after its release', { path: this.path })
    const held = heldDirectories.get(this.path)
    assert(held !== undefined && held.users > 0, 'a work directory in use is known', {
      path: this.path,
    })
    return held
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

function take(path: string, clock: Clock): HeldDirectory {
  refuseStrangers(path)
  const lock = ProcessLock.acquire(join(path, WORK_DIRECTORY_LOCK))
  try {
    const leftovers = new LeftoverTables(putAside(path))
    const givenUp = new AbortController()
    if (leftovers.folders.length > 0) {
      const waited = clock.sleep(leftoversKeptMs, givenUp.signal)
      waited.then(
        () => leftovers.sweep(),
        () => undefined,
      )
    }
    return { lock, leftovers, givenUp, users: 1, failed: false }
  } catch (error) {
    lock.release()
    throw error
  }
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
  if (entry.isDirectory()) return isIncarnation(entry) || leftoverPattern.test(entry.name)
  return (
    entry.isFile() &&
    (entry.name === WORK_DIRECTORY_LOCK || entry.name.startsWith(`${WORK_DIRECTORY_LOCK}.`))
  )
}

function entriesOf(path: string): fs.Dirent[] {
  try {
    return fs.readdirSync(path, { withFileTypes: true })
  } catch (error) {
    throw fileSystemError(error, 'read the work directory', path, 'STORE_FAILED')
  }
}

function isIncarnation(entry: fs.Dirent): boolean {
  return entry.isDirectory() && incarnationPattern.test(entry.name)
}

/**
 * W3. All incarnations are dead: their process held this lock, and this process has taken it only
 * now. Returns the folders that were put aside.
 */
function putAside(path: string): string[] {
  const aside: string[] = []
  for (const entry of entriesOf(path)) {
    const folder = join(path, entry.name)
    if (isIncarnation(entry)) aside.push(folder)
    else if (entry.isDirectory()) deleteFolder(folder)
  }
  return aside.map((folder) => {
    const leftover = join(path, basename(folder).replace(/^inc-/, 'left-'))
    try {
      fs.renameSync(folder, leftover)
    } catch (error) {
      throw fileSystemError(error, 'put aside', folder, 'STORE_FAILED')
    }
    return leftover
  })
}

function handOn(leftover: string): void {
  try {
    fs.renameSync(leftover, join(dirname(leftover), basename(leftover).replace(/^left-/, 'inc-')))
  } catch {
    // The next process deletes it; it is only worth a download.
  }
}

function deleteFolder(folder: string): void {
  try {
    fs.rmSync(folder, { recursive: true, force: true })
  } catch (error) {
    // A process that gave the directory up just now may be about to end deleting it.
    if (errnoOf(error) === 'ENOENT') return
    throw fileSystemError(error, 'sweep', folder, 'STORE_FAILED')
  }
}
