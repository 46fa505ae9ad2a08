/**
 * `npm run bench:local-recovery`: how long a killed task of 200 MB takes to restore on a machine that still has its table files, beside
 * one that has none. Only the ratios are of interest.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { IncrementalRemoteKeyedStateHandleFields, RestoreStatistics } from '../../src/index.js'
import { readCommandLine, withTemporaryDirectory } from '../harness/command-line.js'
import { isEnding, ownChild } from '../harness/lifetime.js'
import { medianOf } from '../harness/statistics.js'

const ROUNDS = 5
const USAGE = `Usage: npm run bench:local-recovery

Restores a task of 200 MB that was killed, ${ROUNDS} times in each way; has no options.`
/** To end in, once it is told to. */
const GRACE_MS = 5000
/** Of a gigabit per second. */
const NETWORK_MEBIBYTES_PER_SECOND = 119

export interface Task {
  readonly workDirectory: string
  readonly storageDirectory: string
  readonly localRecovery: boolean
  /** Of the storage; left out for the disk's own. */
  readonly mebibytesPerSecond?: number
  /** What to restore; left out by the process that writes. */
  readonly handle?: IncrementalRemoteKeyedStateHandleFields
}

export interface RestoreFigures extends RestoreStatistics {
  readonly durationMs: number
  readonly cpuMs: number
}

/** The line a child says; it is killed when it has said it, or ends by itself. */
async function run<T>(task: Task): Promise<T> {
  const child = new URL('child.ts', import.meta.url).pathname
  const parameters = ['--import', 'tsx', child, JSON.stringify(task)]
  const started = spawn(process.execPath, parameters, { stdio: ['pipe', 'pipe', 'inherit'] })
  ownChild(started, GRACE_MS)
  const ended = once(started, 'close')
  const lines = createInterface({ input: started.stdout })[Symbol.asyncIterator]()
  const line: IteratorResult<string, unknown> = await lines.next()
  if (task.handle === undefined) started.kill('SIGKILL')
  await ended
  // The process is about to end: nothing is to follow.
  if (isEnding()) return new Promise(() => undefined)
  if (line.done === true) throw new Error('the measured process failed')
  return JSON.parse(line.value) as T
}

/** Where a restore starts: what is left of the process that was killed, and how it was configured. */
const KINDS = {
  fetched: 'nothing is left',
  found: 'localRecovery: false',
  kept: 'localRecovery: true',
} as const
type Kind = keyof typeof KINDS

async function restores(
  directory: string,
  killed: Readonly<Record<Kind, Task>>,
  mebibytesPerSecond: number | undefined,
): Promise<void> {
  const speed = mebibytesPerSecond === undefined ? {} : { mebibytesPerSecond }
  const kinds = Object.keys(KINDS) as Kind[]
  const figures = new Map<Kind, RestoreFigures[]>(kinds.map((kind) => [kind, []]))
  for (let round = 0; round < ROUNDS; round++) {
    for (const kind of round % 2 === 0 ? kinds : kinds.toReversed()) {
      const workDirectory = join(directory, 'restored')
      if (kind === 'fetched') mkdirSync(workDirectory)
      else cpSync(killed[kind].workDirectory, workDirectory, { recursive: true })
      const task = { ...killed[kind], ...speed, workDirectory }
      figures.get(kind)?.push(await run<RestoreFigures>(task))
      rmSync(workDirectory, { recursive: true })
    }
  }
  const where = mebibytesPerSecond === undefined ? 'on the same disk' : 'behind 1 Gbit/s'
  console.log(`storage ${where}, medians of ${ROUNDS}:`)
  const slowest = medianOf((figures.get('fetched') ?? []).map(({ durationMs }) => durationMs))
  for (const [kind, all] of figures) {
    const ms = medianOf(all.map(({ durationMs }) => durationMs))
    const cpuMs = medianOf(all.map((figure) => figure.cpuMs))
    const { linkedTables, linkedBytes, fetchedTables, fetchedBytes } = all[0] ?? expectFigures()
    console.log(
      `  ${KINDS[kind].padEnd(20)} ${ms.toFixed(0).padStart(5)} ms, ${cpuMs.toFixed(0)} ms of CPU, ${(slowest / ms).toFixed(1)} times as fast; ` +
        `${linkedTables} tables linked (${megabytes(linkedBytes)}), ${fetchedTables} fetched (${megabytes(fetchedBytes)})`,
    )
  }
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(0)} MB`
}

function expectFigures(): never {
  throw new Error('every kind was measured')
}

/** A process that writes the state, takes checkpoints and is killed. */
async function killedTask(directory: string, localRecovery: boolean): Promise<Task> {
  const task = {
    workDirectory: join(directory, `work-${localRecovery}`),
    storageDirectory: join(directory, `storage-${localRecovery}`),
    localRecovery,
  }
  return { ...task, handle: await run<IncrementalRemoteKeyedStateHandleFields>(task) }
}

readCommandLine(USAGE, { options: {} })
await withTemporaryDirectory(async (directory) => {
  const found = await killedTask(directory, false)
  const kept = await killedTask(directory, true)
  await restores(directory, { fetched: found, found, kept }, undefined)
  await restores(directory, { fetched: found, found, kept }, NETWORK_MEBIBYTES_PER_SECOND)
})
