/** The tables of a task on local disk, key by key. */
import { existsSync, linkSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import { keyGroupOf } from '../../src/record/composite-key.js'
import type { KeyGroupRange } from '../../src/record/key-group-range.js'
import { readManifest, tableFileName } from '../../src/table/manifest.js'
import { TableReader } from '../../src/table/table-reader.js'
import { temporaryDirectory } from '../support/state-task.js'

/**
 * For the work directory of one backend that was restored just now: no table of LevelDB's, and none that the next checkpoint may need,
 * holds a key outside `range`. Returns how many it looked into.
 */
export function expectFilesInRange(workDirectory: string, range: KeyGroupRange): number {
  const scratch = temporaryDirectory()
  let found = 0
  for (const path of localTables(workDirectory)) {
    const held = join(scratch, `${found}.ldb`)
    if (!linked(path, held)) continue
    found++
    const reader = TableReader.open(held)
    const groups = new Set([...reader.entries()].map(({ userKey }) => keyGroupOf(userKey)))
    reader.close()
    const outside = [...groups].filter((group) => !range.contains(group))
    expect(outside, `${path} of ${range.toString()}`).toEqual([])
  }
  return found
}

function localTables(workDirectory: string): string[] {
  const name = readdirSync(workDirectory).find((entry) => entry.startsWith('inc-'))
  if (name === undefined) throw new Error('a backend has a folder')
  const incarnation = join(workDirectory, name)
  const database = join(incarnation, 'db')
  // Not every file in the folder: LevelDB may be writing one. An in-memory backend has none.
  const version = existsSync(database)
    ? readManifest(database).files.map(({ number }) => join(database, tableFileName(number)))
    : []
  const links = readdirSync(join(incarnation, 'tables')).map((each) =>
    join(incarnation, 'tables', each),
  )
  return [...version, ...links]
}

/** False when the file is gone: LevelDB has replaced it. */
function linked(from: string, to: string): boolean {
  try {
    linkSync(from, to)
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return false
    throw error
  }
}
