/**
 * Flink's own backends, measured by the Java harness of this folder. It is built by Maven when it is first wanted, from released
 * artefacts, into temp/; a machine without Java or Maven has no such peer.
 */
import { execFile } from 'node:child_process'
import { mkdir, readFile, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { reasonOf } from '../../harness/child-process.js'
import { withTemporaryDirectory } from '../../harness/command-line.js'
import { isEnding, ownChild } from '../../harness/lifetime.js'

export type FlinkBackend = 'HEAP' | 'ROCKSDB' | 'ROCKSDB_BUDGET'

export interface FlinkOptions {
  readonly keys: number
  /** That are measured, after those that warm up. */
  readonly rounds: number
  readonly millis: number
  /** Whether a round is over after `millis` of processor time. */
  readonly cpu: boolean
  readonly memoryMib: number
  readonly backend: FlinkBackend
  readonly group: string
}

export interface FlinkRates {
  readonly operation: string
  readonly opsPerSecond: number[]
  readonly opsPerCpuSecond: number[]
}

export interface FlinkResult {
  readonly results: FlinkRates[]
  /** What the first operations of each reading kind add up to. */
  readonly checks: Record<string, number>
}

export interface FlinkCheckpointOptions {
  /** As bench/recovery/records-file.ts writes it. */
  readonly recordsPath: string
  /** Exists, and is empty. */
  readonly directory: string
  readonly parallelism: number
  /** Managed memory of a subtask. */
  readonly memoryMib: number
}

export interface FlinkRestoreOptions {
  /** Of the checkpoint. */
  readonly directory: string
  /** Exists, and is empty. */
  readonly workDirectory: string
  readonly parallelism: number
  readonly memoryMib: number
  /** Whether the contents are to be counted, outside the time. */
  readonly verify: boolean
}

export interface FlinkRestore {
  /** All subtasks, one after the other, each until its first read. */
  readonly elapsedMs: number
  /** Of all threads of the process. */
  readonly cpuMs: number
  readonly bytesFetched: number
  readonly contents?: { readonly entries: number; readonly checksum: number }
}

export interface Absent {
  readonly absent: string
}

const SOURCES = fileURLToPath(new URL('.', import.meta.url))
const TARGET = fileURLToPath(new URL('../../../temp/flink-peer/', import.meta.url))
const CLASSPATH = join(TARGET, 'classpath.txt')
/** The first build fetches 60 MB of artefacts. */
const BUILD_TIMEOUT_MS = 15 * 60 * 1000
const RUN_TIMEOUT_MS = 30 * 60 * 1000
/** To remove its files in, once it is told to end. */
const GRACE_MS = 5000
/** The most a JVM takes for its heap, which Flink's RocksDB is not in. */
export const FLINK_HEAP_GIB = 4
/** Flink's serializers look into these. */
const OPENED = ['--add-opens', 'java.base/java.util=ALL-UNNAMED']

const execute = promisify(execFile)

let building: Promise<Absent | undefined> | undefined

/** Builds the harness unless it is built from these sources, once. `undefined` when it can be run, else why not. */
export function buildFlink(): Promise<Absent | undefined> {
  return (building ??= build())
}

async function build(): Promise<Absent | undefined> {
  try {
    await execute('java', ['-version'])
  } catch {
    return { absent: 'there is no java on this machine' }
  }
  if (await isBuilt()) return undefined
  try {
    await execute('mvn', ['-version'])
  } catch {
    return { absent: 'there is no mvn on this machine' }
  }
  const goals = ['-f', join(SOURCES, 'pom.xml'), `-Dharness.directory=${TARGET}`, 'compile']
  try {
    await mkdir(TARGET, { recursive: true })
    await executeOwned('mvn', ['-q', '-B', ...goals], BUILD_TIMEOUT_MS)
    return undefined
  } catch (error) {
    return { absent: `the harness does not build: ${mavenReasonOf(error)}` }
  }
}

/** Runs the operations of a group on a backend, in a process of its own. */
export async function runFlink(options: FlinkOptions): Promise<FlinkResult | Absent> {
  const unbuilt = await buildFlink()
  if (unbuilt !== undefined) return unbuilt
  const { keys, rounds, millis, memoryMib, cpu, backend, group } = options
  const parameters = ['--keys', String(keys), '--rounds', String(rounds)]
  parameters.push('--millis', String(millis), '--clock', cpu ? 'cpu' : 'wall')
  parameters.push('--memory-mib', String(memoryMib), '--backend', backend, '--group', group)
  return withTemporaryDirectory((scratch) =>
    runHarness<FlinkResult>('StateBenchmark', parameters, scratch),
  )
}

/** Has Flink write the records at a parallelism, and leave a checkpoint of them in `directory`. `undefined` when it did, else why not. */
export async function buildFlinkCheckpoint(
  options: FlinkCheckpointOptions,
): Promise<Absent | undefined> {
  const unbuilt = await buildFlink()
  if (unbuilt !== undefined) return unbuilt
  const { recordsPath, directory, parallelism, memoryMib } = options
  const parameters = ['build', '--records', recordsPath, '--directory', directory]
  parameters.push('--parallelism', String(parallelism), '--memory-mib', String(memoryMib))
  const built = await runHarness<object>('RestoreBenchmark', parameters, directory)
  return 'absent' in built ? built : undefined
}

/** Brings back such a checkpoint at a parallelism. */
export function restoreWithFlink(options: FlinkRestoreOptions): Promise<FlinkRestore | Absent> {
  const { directory, workDirectory, parallelism, memoryMib, verify } = options
  const parameters = ['restore', '--directory', directory, '--work', workDirectory]
  parameters.push('--parallelism', String(parallelism), '--memory-mib', String(memoryMib))
  parameters.push('--verify', String(verify))
  return runHarness<FlinkRestore>('RestoreBenchmark', parameters, workDirectory)
}

/** Runs a class of the harness, built, in a process of its own. What it leaves in its temporary directory goes to `scratch`. */
async function runHarness<T extends object>(
  name: string,
  parameters: readonly string[],
  scratch: string,
): Promise<T | Absent> {
  try {
    const classpath = `${join(TARGET, 'classes')}:${await readFile(CLASSPATH, 'utf8')}`
    const machine = [`-Xmx${FLINK_HEAP_GIB}g`, `-Djava.io.tmpdir=${scratch}`, ...OPENED]
    const java = [...machine, '-cp', classpath, `peer.${name}`, ...parameters]
    const stdout = await executeOwned('java', java, RUN_TIMEOUT_MS)
    return JSON.parse(stdout.slice(stdout.indexOf('{'))) as T
  } catch (error) {
    return { absent: `the harness fails: ${reasonOf(error)}` }
  }
}

/** Its standard output. It is told to end when this process is, and from then on the promise never settles, so that nothing follows. */
async function executeOwned(
  file: string,
  parameters: readonly string[],
  timeout: number,
): Promise<string> {
  const running = execute(file, parameters, { timeout })
  ownChild(running.child, GRACE_MS)
  try {
    return (await running).stdout
  } catch (error) {
    if (isEnding()) await new Promise(() => undefined)
    throw error
  }
}

async function isBuilt(): Promise<boolean> {
  try {
    const { mtimeMs: builtMs } = await stat(CLASSPATH)
    const files = await readdir(SOURCES, { recursive: true, withFileTypes: true })
    const sources = files.filter((file) => file.isFile() && !file.name.endsWith('.ts'))
    const changed = await Promise.all(
      sources.map(async (file) => (await stat(join(file.parentPath, file.name))).mtimeMs),
    )
    return changed.every((mtimeMs) => mtimeMs <= builtMs)
  } catch {
    return false
  }
}

/** Maven says it on standard output. */
function mavenReasonOf(error: unknown): string {
  const { stdout = '' } = error as { readonly stdout?: string }
  return stdout.split('\n').find((line) => line.startsWith('[ERROR]')) ?? reasonOf(error)
}
