/**
 * A part of the benchmark that waits in a child of its own until it is ended, each with a temporary directory. The child says on standard
 * error, which it shares with whoever started the part, which directories there are.
 */
import { writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { answerParent, runNode } from '../../bench/harness/child-process.js'
import { readCommandLine, withTemporaryDirectory } from '../../bench/harness/command-line.js'

/** Of the part and of its child. */
export type Directories = readonly string[]

const FOREVER_MS = 2 ** 31 - 1

function waitIn(parentDirectory: string): Promise<void> {
  return withTemporaryDirectory(async (directory) => {
    writeFileSync(join(directory, 'file'), '')
    const directories: Directories = [parentDirectory, directory]
    writeSync(2, `${JSON.stringify(directories)}\n`)
    await new Promise((resolve) => setTimeout(resolve, FOREVER_MS))
  })
}

if (process.argv[2] === 'waitIn') {
  await answerParent({ waitIn })
} else {
  readCommandLine('', { options: { json: { type: 'boolean' } } })
  await withTemporaryDirectory(async (directory) => {
    const parameters = ['--import', 'tsx', fileURLToPath(import.meta.url), 'waitIn']
    const options = { stderr: 'inherit', timeoutMs: FOREVER_MS, graceMs: FOREVER_MS } as const
    await runNode([...parameters, JSON.stringify([directory])], options)
    process.stderr.write('the part went on\n')
  })
}
