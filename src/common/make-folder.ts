/** Makes a new folder of a work directory. Throws `DISK_FULL`, `DIRECTORY_NOT_WRITABLE` or `STORE_FAILED`. */
import { mkdirSync } from 'node:fs'
import { fileSystemError } from './node-errors.js'

export function makeFolder(path: string): void {
  try {
    mkdirSync(path)
  } catch (error) {
    throw fileSystemError(error, 'make the folder', path, 'STORE_FAILED')
  }
}
