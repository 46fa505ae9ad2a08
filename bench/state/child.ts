/** One contender and one group in a process of its own, which loads no other contender: any may be missing. */
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { answerParent } from '../harness/child-process.js'
import type { OpenContender } from './contender.js'
import { measureGroup, type GroupResult, type MeasureOptions } from './measure.js'
import type { Group } from './operations.js'
import type { NodeContender } from './report.js'

const openers: Record<NodeContender, () => Promise<OpenContender>> = {
  LevelDBStateBackend: async () =>
    (await import('./contenders/backends.js')).openLevelDBStateBackend,
  HashMapStateBackend: async () =>
    (await import('./contenders/backends.js')).openHashMapStateBackend,
  'classic-level': async () => (await import('./contenders/classic-level.js')).openClassicLevel,
  lmdb: async () => (await import('./contenders/lmdb.js')).openLmdb,
  'better-sqlite3': async () => (await import('./contenders/better-sqlite3.js')).openBetterSqlite3,
  'rocksdb-native': async () => (await import('./contenders/rocksdb-native.js')).openRocksDBNative,
  Map: async () => (await import('./contenders/plain-map.js')).openPlainMap,
}

/** The directory is empty, and its maker's to remove. */
async function measure(
  name: NodeContender,
  group: Group,
  directory: string,
  options: MeasureOptions & { readonly memoryMib: number },
): Promise<GroupResult> {
  const memoryBytes = options.memoryMib * 2 ** 20
  const open = await openers[name]()
  const contender = await open({ directory, memoryBytes })
  const result = await measureGroup(contender, group, options)
  const storedBytes = await bytesIn(directory)
  await contender.close()
  return { ...result, storedBytes }
}

/** A file that was made longer than what was written counts what was written. */
async function bytesIn(directory: string): Promise<number> {
  let bytes = 0
  for (const file of await readdir(directory, { recursive: true, withFileTypes: true })) {
    if (file.isFile()) bytes += (await stat(join(file.parentPath, file.name))).blocks * BLOCK_BYTES
  }
  return bytes
}

/** Of `stat`, on any file system. */
const BLOCK_BYTES = 512

await answerParent({ measure })
