/** The contenders' names, apart from their code: the parent process loads no store. */

export const OURS = 'incremental'
export const FULL = 'full'
export const CONTENDER_NAMES = [
  OURS,
  FULL,
  'leveldb-files',
  'leveldb-copy',
  'lmdb',
  'better-sqlite3',
] as const
export type ContenderName = (typeof CONTENDER_NAMES)[number]

/** Contenders that keep their state in the same way begin with the same files. */
type StoreName = 'ours' | 'leveldb' | 'lmdb' | 'better-sqlite3'

export const STORES: Readonly<Record<ContenderName, StoreName>> = {
  incremental: 'ours',
  full: 'ours',
  'leveldb-files': 'leveldb',
  'leveldb-copy': 'leveldb',
  lmdb: 'lmdb',
  'better-sqlite3': 'better-sqlite3',
}
