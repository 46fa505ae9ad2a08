/** One contender and one group in a process of its own: `child.ts <contender> <group> <JSON options>`, result as JSON on standard output. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { OpenContender } from './contender.js'
import { openHashMapStateBackend, openLevelDBStateBackend } from './contenders/backends.js'
import { openBetterSqlite3 } from './contenders/better-sqlite3.js'
import { openClassicLevel } from './contenders/classic-level.js'
import { openLmdb } from './contenders/lmdb.js'
import { openPlainMap } from './contenders/plain-map.js'
import { openRocksDBNative } from './contenders/rocksdb-native.js'
import { measureGroup, type MeasureOptions } from './measure.js'
import type { Group } from './operations.js'
import type { NodeContender } from './report.js'

const openers: Record<NodeContender, OpenContender> = {
  LevelDBStateBackend: openLevelDBStateBackend,
  HashMapStateBackend: openHashMapStateBackend,
  'classic-level': openClassicLevel,
  lmdb: openLmdb,
  'better-sqlite3': openBetterSqlite3,
  'rocksdb-native': openRocksDBNative,
  Map: openPlainMap,
}

const [name, group, json] = process.argv.slice(2)
const options = JSON.parse(json ?? '{}') as MeasureOptions & { memoryMib: number }
const directory = await mkdtemp(join(tmpdir(), 'level-state-backend-state-'))
try {
  const open = openers[name as NodeContender]
  const contender = await open({ directory, memoryBytes: options.memoryMib * 2 ** 20 })
  const result = await measureGroup(contender, group as Group, options)
  await contender.close()
  process.stdout.write(JSON.stringify(result))
} finally {
  await rm(directory, { recursive: true, force: true })
}
