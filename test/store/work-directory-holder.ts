/**
 * A process of its own for the tests of `WorkDirectory`: obeys one word a line, `acquire` or
 * `release`, and answers each with one line. It ends with its standard input.
 */
import { createInterface } from 'node:readline'
import { StateBackendError } from '../../src/errors.js'
import { WorkDirectory } from '../../src/store/work-directory.js'

const directory = process.argv[2] ?? ''
let work: WorkDirectory | undefined

function obey(word: string): string {
  if (word === 'release') {
    work?.release()
    work = undefined
    return 'released'
  }
  try {
    work = WorkDirectory.acquire(directory)
    return `acquired ${work.createIncarnation('child')}`
  } catch (error) {
    return error instanceof StateBackendError ? `${error.code} ${error.message}` : String(error)
  }
}

createInterface({ input: process.stdin }).on('line', (word) => console.log(obey(word)))
console.log('ready')
