/** A job's checkpoints in a directory, and the command run over it in this process. */
import { mkdir, utimes, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { run } from '../../src/cli/run.js'
import { HashMapStateBackend } from '../../src/hash-map-state-backend.js'
import { DirectoryObjectStore } from '../../src/storage/directory-object-store.js'
import { collectInto, countingJob, numbers, type Results } from '../host/counting-job.js'
import { ManualClock } from '../support/manual-clock.js'
import { temporaryDirectory } from '../support/state-task.js'

const dayMs = 24 * 60 * 60 * 1000

export interface CommandResult {
  readonly exitCode: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs the command with a clock that stands two days after 1970 began. */
export async function runCommand(
  args: readonly string[],
  { isTTY = false, onProgress = (): void => undefined } = {},
): Promise<CommandResult> {
  const clock = new ManualClock()
  await clock.advance(2 * dayMs)
  const written = { stdout: '', stderr: '' }
  const exitCode = await run(args, {
    stdout: { write: (text) => void (written.stdout += text) },
    stderr: {
      isTTY,
      write(text) {
        written.stderr += text
        onProgress()
      },
    },
    clock,
  })
  return { exitCode, ...written }
}

export class StoredJob {
  readonly directory: string = temporaryDirectory()
  readonly objectStore: DirectoryObjectStore = new DirectoryObjectStore(this.directory)

  /** Processes records up to `records`, from where the last checkpoint left off, and returns the state at the end. */
  async process(records: number): Promise<Results> {
    const results: Results = {}
    const job = countingJob({
      objectStore: this.objectStore,
      stateBackend: new HashMapStateBackend({ memory: 8 * 2 ** 20 }),
      source: numbers(records),
      checkpoints: { everyRecords: 30, retainedCheckpointsMax: 3 },
    })
    await job.run({ scan: collectInto(results) })
    return results
  }

  /** A file below the directory that was last written to on the first day of 1970. */
  async leave(path: string, bytes = 'left over'): Promise<void> {
    const file = join(this.directory, path)
    await mkdir(dirname(file), { recursive: true })
    await writeFile(file, bytes)
    await utimes(file, 1, 1)
  }

  async keys(): Promise<string[]> {
    const keys: string[] = []
    for await (const { key } of this.objectStore.list('')) keys.push(key)
    return keys
  }
}
