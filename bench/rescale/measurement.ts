/** What one contender did in one direction, and how it is counted. */
import { readFileSync } from 'node:fs'
import { KeyGroupRange } from '../../src/index.js'
import type { Contents } from './records.js'
import type { Sources } from './sources.js'

/** What is to be brought back. */
export interface Restore {
  readonly sources: Sources
  /** Missing, or empty. */
  readonly workDirectory: string
  /** Of the new subtasks. */
  readonly ranges: readonly KeyGroupRange[]
  /** Whose contents are to be counted, outside the time. */
  readonly verify: Verified
}

/** Of the key groups of each new subtask: none, its first eighth, or all. */
export type Verified = 'none' | 'eighth' | 'all'

/** The key groups of a subtask that are verified, where some are. */
export function verifiedOf(range: KeyGroupRange, verify: Verified): KeyGroupRange {
  if (verify === 'all') return range
  const keyGroups = Math.ceil(range.numberOfKeyGroups / 8)
  return KeyGroupRange.of(range.startKeyGroup, range.startKeyGroup + keyGroups - 1)
}

export interface Measurement {
  /** All new subtasks, one after the other, each until its first read. */
  readonly elapsedMs: number
  /** Of all threads of the process, user and system: says more than the time where other processes want the processors too. */
  readonly cpuMs: number
  /** Of the tables that had to be on local disk; shared ones count for each subtask that needs them. */
  readonly bytesFetched: number
  /** By read(2): what is read through mapped memory is not in it. `undefined` where the system does not tell. */
  readonly bytesRead: number | undefined
  /** By write(2), what LevelDB wrote meanwhile included. */
  readonly bytesWritten: number | undefined
  /** Of what was to be verified, over all new subtasks. */
  readonly contents: Contents | undefined
}

/** Bytes this process has read and written so far. */
interface ProcessBytes {
  readonly read: number
  readonly written: number
}

function processBytes(): ProcessBytes | undefined {
  if (process.platform !== 'linux') return undefined
  const text = readFileSync('/proc/self/io', 'utf8')
  const count = (name: string): number =>
    Number(new RegExp(`^${name}: (\\d+)$`, 'm').exec(text)?.[1])
  return { read: count('rchar'), written: count('wchar') }
}

/** Runs while started; sums over any number of runs. */
export class Stopwatch {
  #elapsedMs = 0
  #cpuMs = 0
  #read: number | undefined
  #written: number | undefined

  async time<T>(work: () => Promise<T>): Promise<T> {
    const before = processBytes()
    const cpuBefore = process.cpuUsage()
    const startMs = performance.now()
    const result = await work()
    this.#elapsedMs += performance.now() - startMs
    const { user, system } = process.cpuUsage(cpuBefore)
    this.#cpuMs += (user + system) / 1000
    const after = processBytes()
    if (before !== undefined && after !== undefined) {
      this.#read = (this.#read ?? 0) + after.read - before.read
      this.#written = (this.#written ?? 0) + after.written - before.written
    }
    return result
  }

  result(bytesFetched: number, contents: Contents | undefined): Measurement {
    return {
      elapsedMs: this.#elapsedMs,
      cpuMs: this.#cpuMs,
      bytesFetched,
      bytesRead: this.#read,
      bytesWritten: this.#written,
      contents,
    }
  }
}
