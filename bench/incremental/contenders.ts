/** Who is compared, by the names that `--only` and the figures know them by. */
import { levelDBCopy } from './contenders/leveldb-copy.js'
import { levelDBFiles } from './contenders/leveldb-files.js'
import { full, incremental } from './contenders/ours.js'
import type { ContenderModule } from './contender.js'
import type { ContenderName } from './names.js'

/** Packages that may not be installed are imported when they are wanted. */
const LOADERS: Readonly<Record<ContenderName, () => Promise<ContenderModule>>> = {
  incremental: () => Promise.resolve(incremental),
  full: () => Promise.resolve(full),
  'leveldb-files': () => Promise.resolve(levelDBFiles),
  'leveldb-copy': () => Promise.resolve(levelDBCopy),
  lmdb: async () => (await import('./contenders/lmdb.js')).lmdb,
  'better-sqlite3': async () => (await import('./contenders/better-sqlite3.js')).betterSqlite3,
}

/** Rejects where the contender is not installed. */
export function loadContender(name: ContenderName): Promise<ContenderModule> {
  return LOADERS[name]()
}
