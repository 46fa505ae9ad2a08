/** The ways to bring a checkpoint back: ours, with tables from storage or from local disk, and Flink's. */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { inChild } from '../harness/child-process.js'
import { withWorkDirectory } from '../harness/command-line.js'
import { buildFlinkCheckpoint, restoreWithFlink, type FlinkRestore } from '../peers/flink/run.js'
import type { Measurement } from '../rescale/measurement.js'
import { RECORD_BYTES } from '../rescale/records.js'
import { MEMORY_BYTES } from '../rescale/sources.js'
import type { TablesFrom } from './child.js'

/** Contenders, by what `--only` calls them. */
export const WAYS = {
  storage: 'LevelDBStateBackend, from storage',
  local: 'LevelDBStateBackend, from local disk',
  flink: 'Flink RocksDB',
} as const
export type Way = keyof typeof WAYS

const TABLES_FROM: Readonly<Record<Exclude<Way, 'flink'>, TablesFrom>> = {
  storage: 'downloaded',
  local: 'recovered',
}

const CHILD = new URL('child.ts', import.meta.url)
const MEMORY_MIB = MEMORY_BYTES / 2 ** 20

/** The same state in a checkpoint of ours and one of Flink's, both taken at `parallelism`. */
export interface Checkpoints {
  readonly stateMb: number
  readonly parallelism: number
  readonly ours: string
  /** Not there where it is not wanted, or could not be built. */
  readonly flinks: string
}

export function buildOurs(directory: string, parallelism: number, stateMb: number): Promise<void> {
  return inChild(CHILD, 'build', directory, parallelism, stateMb * 1e6)
}

/** Writes all records of our checkpoint into a file, for Flink. */
export async function writeRecordsFile(
  root: string,
  ours: string,
  stateMb: number,
): Promise<string> {
  const path = join(root, 'records')
  const records = Math.ceil((stateMb * 1e6) / RECORD_BYTES)
  await withWorkDirectory(root, (scratch) =>
    inChild(CHILD, 'writeRecords', ours, scratch, records, path),
  )
  return path
}

/** Throws the reason where it cannot be built. */
export async function buildFlinks(
  recordsPath: string,
  directory: string,
  parallelism: number,
): Promise<void> {
  await mkdir(directory)
  const options = { recordsPath, directory, parallelism, memoryMib: MEMORY_MIB }
  const unbuilt = await buildFlinkCheckpoint(options)
  if (unbuilt !== undefined) throw new Error(unbuilt.absent)
}

/** One measurement, in a process and an empty directory of its own. */
export function restore(
  root: string,
  way: Way,
  { ours, flinks }: Checkpoints,
  parallelism: number,
  verify: boolean,
): Promise<Measurement | FlinkRestore> {
  return withWorkDirectory(root, async (workDirectory) => {
    if (way !== 'flink') {
      const from = TABLES_FROM[way]
      return inChild<Measurement>(CHILD, 'restore', from, ours, workDirectory, parallelism, verify)
    }
    const options = { directory: flinks, workDirectory, parallelism, memoryMib: MEMORY_MIB, verify }
    const result = await restoreWithFlink(options)
    if ('absent' in result) throw new Error(result.absent)
    return result
  })
}
