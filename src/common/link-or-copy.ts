/**
 * A second name for a file that is never changed, or a second file where that cannot be had: some file systems have no hard links, and
 * none has them to another file system.
 */
import { constants, linkSync, copyFileSync, rmSync } from 'node:fs'
import { copyFile, rm } from 'node:fs/promises'
import { errnoOf } from './node-errors.js'

/**
 * link(2): another file system; a file system without hard links, or a file that the system does not let us link; too many links. Some
 * file systems in user space answer with one of the last three instead.
 */
const noLinkPossible = new Set(['EXDEV', 'EPERM', 'EMLINK', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS'])

/** A clone where the file system can make one: it shares the bytes as a link does. Never onto a file that is there. */
const copyMode = constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE

type Link = (from: string, to: string) => void

/**
 * Makes the new file `to` with the bytes of `from`, at once. A failure is the file system's own error (`ENOENT`, `EEXIST`, `ENOSPC`, …), and
 * leaves nothing of `to` but a file that was there before. Neither file may be written to afterwards: they may be one.
 */
export function linkOrCopy(from: string, to: string, link: Link = linkSync): 'linked' | 'copied' {
  if (linked(from, to, link)) return 'linked'
  try {
    copyFileSync(from, to, copyMode)
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') rmSync(to, { force: true })
    throw error
  }
  return 'copied'
}

/** As `linkOrCopy`, but a copy does not hold the event loop: for files of any size. */
export async function linkOrCopyAsync(
  from: string,
  to: string,
  link: Link = linkSync,
): Promise<'linked' | 'copied'> {
  if (linked(from, to, link)) return 'linked'
  try {
    await copyFile(from, to, copyMode)
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') await rm(to, { force: true })
    throw error
  }
  return 'copied'
}

function linked(from: string, to: string, link: Link): boolean {
  try {
    link(from, to)
    return true
  } catch (error) {
    if (noLinkPossible.has(errnoOf(error) ?? '')) return false
    throw error
  }
}
