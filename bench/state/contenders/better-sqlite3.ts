/**
 * SQLite as it is best used by hand: prepared statements, a transaction for each batch of writes, write-ahead log, no sync, and a file
 * that it is alone with: else each read takes locks, which costs three quarters of its rate.
 */
import { Buffer } from 'node:buffer'
import { join } from 'node:path'
import type { Contender, ContenderOptions } from '../contender.js'
import { requirePeer } from '../optional-peers.js'

interface Statement {
  get(...parameters: unknown[]): unknown
  all(...parameters: unknown[]): unknown[]
  run(...parameters: unknown[]): unknown
  pluck(): Statement
  raw(): Statement
}

interface Database {
  pragma(text: string): unknown
  exec(text: string): unknown
  prepare(text: string): Statement
  close(): void
}

const NUMBER_BYTES = 8
const SCHEMA = `
  CREATE TABLE value (key INTEGER PRIMARY KEY, value REAL);
  CREATE TABLE list (key INTEGER PRIMARY KEY, value BLOB);
  CREATE TABLE map (key INTEGER, map_key INTEGER, value REAL, PRIMARY KEY (key, map_key)) WITHOUT ROWID;`

export function openBetterSqlite3(options: ContenderOptions): Promise<Contender> {
  const Sqlite = requirePeer('better-sqlite3') as new (path: string) => Database
  const db = new Sqlite(join(options.directory, 'db.sqlite'))
  // Before the log, which then needs no shared memory.
  db.pragma('locking_mode = EXCLUSIVE')
  db.pragma('journal_mode = WAL')
  db.pragma('synchronous = OFF')
  db.pragma(`cache_size = -${Math.floor(options.memoryBytes / 1024)}`)
  db.exec(SCHEMA)
  const valueGet = db.prepare('SELECT value FROM value WHERE key = ?').pluck()
  const valuePut = db.prepare('INSERT OR REPLACE INTO value VALUES (?, ?)')
  const listGet = db.prepare('SELECT value FROM list WHERE key = ?').pluck()
  const listPut = db.prepare('INSERT OR REPLACE INTO list VALUES (?, ?)')
  const listAppend = db.prepare(
    'INSERT INTO list VALUES (?, ?) ON CONFLICT DO UPDATE SET value = CAST(value || excluded.value AS BLOB)',
  )
  const mapGet = db.prepare('SELECT value FROM map WHERE key = ? AND map_key = ?').pluck()
  const mapHas = db.prepare('SELECT 1 FROM map WHERE key = ? AND map_key = ?').pluck()
  const mapPut = db.prepare('INSERT OR REPLACE INTO map VALUES (?, ?, ?)')
  const mapRemove = db.prepare('DELETE FROM map WHERE key = ? AND map_key = ?')
  const mapAny = db.prepare('SELECT 1 FROM map WHERE key = ? LIMIT 1').pluck()
  const mapKeys = db.prepare('SELECT map_key FROM map WHERE key = ? ORDER BY map_key').pluck()
  const mapValues = db.prepare('SELECT value FROM map WHERE key = ? ORDER BY map_key').pluck()
  const mapAll = db.prepare('SELECT map_key, value FROM map WHERE key = ? ORDER BY map_key').raw()
  let writing = false
  const write = (statement: Statement, ...parameters: unknown[]): void => {
    if (!writing) db.exec('BEGIN')
    writing = true
    statement.run(...parameters)
  }
  const sum = (numbers: unknown[]): number =>
    (numbers as number[]).reduce((total, number) => total + number, 0)
  return Promise.resolve({
    value: {
      get: (key) => valueGet.get(key) as number | undefined,
      update: (key, number) => write(valuePut, key, number),
    },
    list: {
      get: (key) => numbersOf(listGet.get(key) as Buffer | undefined),
      add: (key, number) => write(listAppend, key, bytesOf([number])),
      addAll: (key, numbers) => write(listAppend, key, bytesOf(numbers)),
      update: (key, numbers) => write(listPut, key, bytesOf(numbers)),
    },
    map: {
      get: (key, mapKey) => mapGet.get(key, mapKey) as number | undefined,
      contains: (key, mapKey) => mapHas.get(key, mapKey) !== undefined,
      put: (key, mapKey, number) => write(mapPut, key, mapKey, number),
      putAll: (key, entries) => {
        for (const [mapKey, number] of entries) write(mapPut, key, mapKey, number)
      },
      remove: (key, mapKey) => write(mapRemove, key, mapKey),
      isEmpty: (key) => mapAny.get(key) === undefined,
      sumKeys: (key) => sum(mapKeys.all(key)),
      sumValues: (key) => sum(mapValues.all(key)),
      sumEntries: (key) =>
        (mapAll.all(key) as [number, number][]).reduce((total, [k, v]) => total + k + v, 0),
    },
    settle: () => {
      if (writing) db.exec('COMMIT')
      writing = false
      return undefined
    },
    close: () => {
      db.close()
      return Promise.resolve()
    },
  } satisfies Contender)
}

function bytesOf(numbers: readonly number[]): Buffer {
  const bytes = Buffer.allocUnsafe(numbers.length * NUMBER_BYTES)
  for (let i = 0; i < numbers.length; i++) bytes.writeDoubleBE(numbers[i] ?? 0, i * NUMBER_BYTES)
  return bytes
}

function numbersOf(bytes: Buffer | undefined): number[] {
  const numbers: number[] = []
  for (let at = 0; bytes !== undefined && at < bytes.length; at += NUMBER_BYTES) {
    numbers.push(bytes.readDoubleBE(at))
  }
  return numbers
}
