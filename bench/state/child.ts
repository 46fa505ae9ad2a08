/** One contender and one group in a process of its own. */
import { answerParent } from '../harness/child-process.js'
import { withTemporaryDirectory } from '../harness/command-line.js'
import type { OpenContender } from './contender.js'
import { openHashMapStateBackend, openLevelDBStateBackend } from './contenders/backends.js'
import { openBetterSqlite3 } from './contenders/better-sqlite3.js'
import { openClassicLevel } from './contenders/classic-level.js'
import { openLmdb } from './contenders/lmdb.js'
import { openPlainMap } from './contenders/plain-map.js'
import { openRocksDBNative } from './contenders/rocksdb-native.js'
import { measureGroup, type GroupResult, type MeasureOptions } from './measure.js'
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

function measure(
  name: NodeContender,
  group: Group,
  options: MeasureOptions & { readonly memoryMib: number },
): Promise<GroupResult> {
  return withTemporaryDirectory(async (directory) => {
    const memoryBytes = options.memoryMib * 2 ** 20
    const contender = await openers[name]({ directory, memoryBytes })
    const result = await measureGroup(contender, group, options)
    await contender.close()
    return result
  })
}

await answerParent({ measure })
