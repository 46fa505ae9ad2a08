/** Who is compared, by the names that `--only` and the figures know them by. */
import { betterSqlite3 } from './contenders/better-sqlite3.js'
import { levelDBCopy } from './contenders/leveldb-copy.js'
import { levelDBFiles } from './contenders/leveldb-files.js'
import { lmdb } from './contenders/lmdb.js'
import { full, incremental } from './contenders/ours.js'
import type { ContenderModule } from './contender.js'
import type { ContenderName } from './names.js'

export const CONTENDERS: Readonly<Record<ContenderName, ContenderModule>> = {
  incremental,
  full,
  'leveldb-files': levelDBFiles,
  'leveldb-copy': levelDBCopy,
  lmdb,
  'better-sqlite3': betterSqlite3,
}
