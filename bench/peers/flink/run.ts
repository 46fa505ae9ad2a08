/**
 * Flink's own backends, measured by the Java harness of this folder. It is built by Maven when it is first wanted, from released
 * artefacts, into temp/; a machine without Java or Maven has no such peer.
 */
import { execFile } from 'node:child_process'
import { mkdir, readFile, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

export type FlinkBackend = 'HEAP' | 'ROCKSDB' | 'ROCKSDB_BUDGET'

export interface FlinkOptions {
  readonly keys: number
  readonly rounds: number
  readonly millis: number
  /** Whether a round is over after `millis` of processor time. */
  readonly cpu: boolean
  readonly memoryMib: number
  readonly backends: readonly FlinkBackend[]
  readonly groups: readonly string[]
}

export interface FlinkRates {
  readonly backend: FlinkBackend
  readonly operation: string
  readonly opsPerSecond: number[]
  readonly opsPerCpuSecond: number[]
}

export interface FlinkResult {
  readonly version: string
  readonly jdk: string
  readonly results: FlinkRates[]
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
const HEAP = '-Xmx4g'
/** Flink's serializers look into these. */
const OPENED = ['--add-opens', 'java.base/java.util=ALL-UNNAMED']

const execute = promisify(execFile)

/** Builds the harness unless it is built from these sources. `undefined` when it can be run, else why not. */
export async function buildFlink(): Promise<Absent | undefined> {
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
  await mkdir(TARGET, { recursive: true })
  const build = ['-q', '-B', '-f', join(SOURCES, 'pom.xml'), `-Dharness.directory=${TARGET}`]
  try {
    await execute('mvn', [...build, 'compile'], { timeout: BUILD_TIMEOUT_MS })
    return undefined
  } catch (error) {
    return { absent: `the harness does not build: ${errorLine(error)}` }
  }
}

/** Runs the operations, in a process for all of `backends` and `groups`: pass one of each for figures that do not mix. */
export async function runFlink(options: FlinkOptions): Promise<FlinkResult | Absent> {
  const unbuilt = await buildFlink()
  if (unbuilt !== undefined) return unbuilt
  const { keys, rounds, millis, memoryMib, cpu, backends, groups } = options
  const parameters = ['--keys', String(keys), '--rounds', String(rounds)]
  parameters.push('--millis', String(millis), '--clock', cpu ? 'cpu' : 'wall')
  parameters.push('--memory-mib', String(memoryMib))
  parameters.push('--backends', backends.join(','), '--groups', groups.join(','))
  return runHarness<FlinkResult>('StateBenchmark', parameters)
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
  scratch?: string,
): Promise<T | Absent> {
  const classpath = `${join(TARGET, 'classes')}:${await readFile(CLASSPATH, 'utf8')}`
  const temporary = scratch === undefined ? [] : [`-Djava.io.tmpdir=${scratch}`]
  const java = [HEAP, ...OPENED, ...temporary, '-cp', classpath, `peer.${name}`, ...parameters]
  try {
    const { stdout } = await execute('java', java, { timeout: RUN_TIMEOUT_MS })
    return JSON.parse(stdout.slice(stdout.indexOf('{'))) as T
  } catch (error) {
    return { absent: `the harness fails: ${errorLine(error)}` }
  }
}

async function isBuilt(): Promise<boolean> {
  try {
    const built = await stat(CLASSPATH)
    const files = await readdir(SOURCES, { recursive: true, withFileTypes: true })
    const sources = files.filter((file) => file.isFile() && !file.name.endsWith('.ts'))
    const changed = await Promise.all(
      sources.map(async (file) => (await stat(join(file.parentPath, file.name))).mtimeMs),
    )
    return changed.every((mtimeMs) => mtimeMs <= built.mtimeMs)
  } catch {
    return false
  }
}

function errorLine(error: unknown): string {
  const { stdout = '', stderr = '', message = String(error) } = error as Record<string, string>
  const lines = `${stderr}\n${stdout}`.split('\n')
  return lines.find((line) => line.includes('ERROR') || line.includes('Exception')) ?? message
}
