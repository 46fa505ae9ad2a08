/**
 * Work directories in a directory for temporary files, for backends that were given none of their own.
 *
 * Each is new and has the lock of a work directory, so whoever comes next can tell one whose process died, and removes it.
 */
import { lstatSync, mkdtempSync, readdirSync, rmdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileSystemError } from '../common/node-errors.js'
import { WORK_DIRECTORY_LOCK, WorkDirectory } from './work-directory.js'

const prefix = 'level-state-backend-'
const namePattern = /^level-state-backend-[A-Za-z0-9]{6}$/
/** Removed in one go; what is beyond is left to the next. */
const sweptDirectoriesMax = 1000

/** Makes a directory in `parent`, an existing one. `DIRECTORY_NOT_WRITABLE`, `DISK_FULL`, `STORE_FAILED`. */
export function makeScratchDirectory(parent: string): string {
  const path = join(parent, prefix)
  try {
    return mkdtempSync(path)
  } catch (error) {
    throw fileSystemError(error, 'make the folder', path, 'STORE_FAILED')
  }
}

/** Removes a directory that was made here, whatever is in it, when its lock was given up. */
export function removeScratchDirectory(path: string): void {
  try {
    rmSync(path, { recursive: true, force: true })
  } catch {
    // Another process that starts now takes it for abandoned, puts its own lock in, and removes it.
  }
}

/**
 * Removes the directories in `parent` whose processes are dead: those of this user that have a lock, since one without may have been made
 * just now. What cannot be removed stays.
 */
export function sweepScratchDirectories(parent: string): void {
  for (const path of candidates(parent).slice(0, sweptDirectoriesMax)) {
    try {
      // Taking a directory over and giving it up sweeps it; one in use, or with anything strange in it, is refused.
      WorkDirectory.acquire(path).release()
      rmdirSync(path)
    } catch {
      continue
    }
  }
}

function candidates(parent: string): string[] {
  try {
    return readdirSync(parent)
      .filter((name) => namePattern.test(name))
      .map((name) => join(parent, name))
      .filter(isOwnAndLocked)
  } catch {
    return []
  }
}

/** Of this user: anybody may make a directory among temporary files. */
function isOwnAndLocked(path: string): boolean {
  const user = process.getuid?.()
  const info = lstatSync(path, { throwIfNoEntry: false })
  if (info?.isDirectory() !== true || (user !== undefined && info.uid !== user)) return false
  const lock = lstatSync(join(path, WORK_DIRECTORY_LOCK), { throwIfNoEntry: false })
  return lock?.isFile() === true
}
