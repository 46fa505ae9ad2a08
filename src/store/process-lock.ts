/**
 * A lock file that belongs to one process at a time, and to nobody once that process is dead.
 *
 * Node has no file locks, so a lock is a file that says who made it. It appears whole, by link(2);
 * where the file system has no hard links it is created exclusively and then written, so that a
 * process that dies in between leaves one that names nobody and is held until a person deletes it.
 * The hard part is to take it from a dead process while others try the same:
 *
 * P1 a lock file is only ever replaced by the process that holds the *guard* of that very lock: a
 *    lock file as well, named after the random id in the lock it guards. So of all who find the
 *    same dead holder, one gets the guard; having it, it looks again, and if the dead lock is still
 *    there nobody else may touch it: rename over it is safe;
 * P2 the process that took the guard may die too. Its guard is then a lock with a dead holder, and
 *    is taken over the same way;
 * P3 who is alive keeps what it has: nothing here removes or replaces the lock of a live process,
 *    not even for a moment.
 *
 * Everybody must see the same processes: a lock made on another host (by name) counts as held. Not
 * for directories that containers with the same host name but process ids of their own share.
 */
import { randomUUID } from 'node:crypto'
import * as fs from 'node:fs'
import { hostname } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { linkOrCopy } from '../common/link-or-copy.js'
import { errnoOf, fileSystemError } from '../common/node-errors.js'
import { StateBackendError } from '../errors.js'

/** Guards of guards: each level is one process that died in the few system calls of a takeover. */
const guardDepthMax = 16
/** Times the lock may change hands between two looks at it before this gives up. */
const attemptsMax = 100

/** Ids of locks that this process gave up and could not remove: they are nobody's, though it lives. */
const givenUp = new Set<string>()

interface LockHolder {
  readonly pid: number
  /** Tells a process from a later one with the same pid; empty where the system does not say. */
  readonly processStartTime: string
  readonly hostname: string
  /** Of this lock: no two locks are the same. */
  readonly id: string
}

/**
 * Linux: the boot's id and the start in clock ticks after it (proc(5), field 22), or 'dead' for a
 * zombie. Elsewhere empty: then a process is known by its pid alone.
 */
function processStartTimeOf(pid: number): string {
  try {
    const boot = fs.readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()
    const stat = fs.readFileSync(`/proc/${pid}/stat`, 'latin1')
    // The second field is the program's name in parentheses and may hold anything; the third comes
    // after the last one.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    if (fields[0] === 'Z' || fields[0] === 'X') return 'dead'
    return `${boot}/${fields[19]}`
  } catch {
    return ''
  }
}

function isAlive(holder: LockHolder): boolean {
  if (holder.hostname !== hostname()) return true
  try {
    process.kill(holder.pid, 0)
  } catch (error) {
    // Anything but "no such process" (EPERM: another user's) means that there is one.
    if (errnoOf(error) === 'ESRCH') return false
  }
  const startTime = processStartTimeOf(holder.pid)
  return startTime === '' || holder.processStartTime === '' || startTime === holder.processStartTime
}

/** The holder written in a lock file, or undefined when there is no such file. */
function readHolder(path: string): LockHolder | undefined {
  const text = readIfThere(path)
  if (text === undefined) return undefined
  const holder = parseHolder(text)
  if (holder !== undefined) return holder
  throw new StateBackendError(
    'DIRECTORY_IN_USE',
    `${path} does not say which process holds it. If no process uses the directory, delete that file.`,
    { details: { path } },
  )
}

function readIfThere(path: string): string | undefined {
  try {
    return fs.readFileSync(path, 'utf8')
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined
    throw error
  }
}

function parseHolder(text: string): LockHolder | undefined {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  if (typeof value !== 'object' || value === null) return undefined
  if (!('pid' in value) || !('processStartTime' in value)) return undefined
  if (!('hostname' in value) || !('id' in value)) return undefined
  const { pid, processStartTime, hostname: host, id } = value
  if (typeof pid !== 'number' || !Number.isSafeInteger(pid) || pid < 1) return undefined
  if (typeof processStartTime !== 'string' || typeof host !== 'string') return undefined
  if (typeof id !== 'string' || !/^[0-9a-f-]{36}$/.test(id)) return undefined
  return { pid, processStartTime, hostname: host, id }
}

export class ProcessLock {
  readonly #path: string
  readonly #id: string

  private constructor(path: string, id: string) {
    this.#path = path
    this.#id = id
  }

  /**
   * Takes the lock file `path`, at once or not at all: `DIRECTORY_IN_USE` when a live process holds
   * it, this one included. Other files it makes for a moment, and after a crash may leave, are
   * named `<path>.<something>`.
   */
  static acquire(path: string): ProcessLock {
    const holder: LockHolder = {
      pid: process.pid,
      processStartTime: processStartTimeOf(process.pid),
      hostname: hostname(),
      id: randomUUID(),
    }
    try {
      claim(path, holder, 0)
      sweep(path)
    } catch (error) {
      throw fileSystemError(error, 'lock the directory with', path, 'STORE_FAILED')
    }
    return new ProcessLock(path, holder.id)
  }

  /**
   * Gives the lock up. A lock that is not this one any more, somebody having deleted it, is left
   * alone.
   */
  release(): void {
    try {
      if (readHolder(this.#path)?.id === this.#id) fs.unlinkSync(this.#path)
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return
      givenUp.add(this.#id)
      throw fileSystemError(error, 'unlock the directory with', this.#path, 'STORE_FAILED')
    }
  }
}

/** Makes `path` the lock of `holder`, or throws. */
function claim(path: string, holder: LockHolder, depth: number): void {
  for (let attempt = 0; attempt < attemptsMax; attempt++) {
    if (place(path, holder, linkExclusively)) return
    const found = readHolder(path)
    if (found === undefined) continue
    const isHeld = isAlive(found) && !givenUp.has(found.id)
    if (isHeld || depth === guardDepthMax) throw inUse(path, found)
    if (takeOver(path, found, holder, depth)) {
      givenUp.delete(found.id)
      return
    }
  }
  throw new StateBackendError(
    'DIRECTORY_IN_USE',
    `Other processes keep taking ${dirname(path)}. Give each process a work directory of its own.`,
    { details: { path: dirname(path) } },
  )
}

/** P1. False when the dead lock is not there any more. */
function takeOver(path: string, dead: LockHolder, holder: LockHolder, depth: number): boolean {
  const guard = guardOf(path, dead)
  claim(guard, holder, depth + 1)
  try {
    return readHolder(path)?.id === dead.id && place(path, holder, fs.renameSync)
  } finally {
    fs.rmSync(guard, { force: true })
  }
}

/** All guards stand beside the one lock, at any depth, so names do not grow. */
function guardOf(path: string, dead: LockHolder): string {
  const lockName = basename(path).replace(/\.guard-[0-9a-f-]{36}$/, '')
  return join(dirname(path), `${lockName}.guard-${dead.id}`)
}

function linkExclusively(from: string, to: string): void {
  if (linkOrCopy(from, to) === 'linked') return
  const file = fs.openSync(to, 'r+')
  try {
    fs.fsyncSync(file)
  } finally {
    fs.closeSync(file)
  }
}

/**
 * Writes `holder` to a file of its own and gives it the name `path` by `name`. False when
 * `linkExclusively` found the name taken.
 */
function place(
  path: string,
  holder: LockHolder,
  name: (from: string, to: string) => void,
): boolean {
  const whole = `${path}.new-${holder.pid}-${randomUUID()}`
  try {
    // Synced, or a power failure could leave a lock that says nothing.
    fs.writeFileSync(whole, JSON.stringify(holder), { flag: 'wx', flush: true })
    name(whole, path)
    return true
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') return false
    throw error
  } finally {
    fs.rmSync(whole, { force: true })
  }
}

/**
 * Removes what dead processes left beside a lock that this process holds. Safe, since a guard of a
 * dead lock protects nothing any more once that lock has been replaced, and its id never comes
 * back.
 */
function sweep(path: string): void {
  for (const name of fs.readdirSync(dirname(path))) {
    if (!name.startsWith(`${basename(path)}.`)) continue
    const leftover = join(dirname(path), name)
    const holder = parseHolder(readIfThere(leftover) ?? '')
    if (holder !== undefined && !isAlive(holder)) fs.rmSync(leftover, { force: true })
  }
}

function inUse(path: string, holder: LockHolder): StateBackendError {
  const who = holder.pid === process.pid ? 'this process' : `process ${holder.pid}`
  return new StateBackendError(
    'DIRECTORY_IN_USE',
    `${dirname(path)} is in use by ${who} on ${holder.hostname}. Stop that process, or choose another work directory. If you ` +
      `know that it is gone for good, delete ${path}.`,
    { details: { path: dirname(path), pid: holder.pid, hostname: holder.hostname } },
  )
}
