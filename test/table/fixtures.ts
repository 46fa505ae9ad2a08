/** What the tests of this folder share: temporary directories, entries, tables from entries, LevelDB as the judge. */
import { Buffer } from 'node:buffer'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ClassicLevel } from 'classic-level'
import { expect, onTestFinished } from 'vitest'
import { StateBackendError, type StateBackendErrorCode } from '../../src/errors.js'
import { ValueType } from '../../src/table/internal-key.js'
import { tableFileName, writeManifest } from '../../src/table/manifest.js'
import { TableReader, type TableEntry } from '../../src/table/table-reader.js'
import {
  TableWriter,
  type TableProperties,
  type TableWriterOptions,
} from '../../src/table/table-writer.js'

export type Level = ClassicLevel<Buffer, Buffer>

/** A fresh directory that is gone when the test is. */
export function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'level-state-table-'))
  onTestFinished(() => {
    rmSync(directory, { recursive: true, force: true })
  })
  return directory
}

export async function withLevel<T>(
  directory: string,
  use: (db: Level) => Promise<T>,
  options: { compression?: boolean; writeBufferSize?: number; maxFileSize?: number } = {},
): Promise<T> {
  const db: Level = new ClassicLevel(directory, {
    keyEncoding: 'buffer',
    valueEncoding: 'buffer',
    ...options,
  })
  await db.open()
  try {
    return await use(db)
  } finally {
    await db.close()
  }
}

export function put(
  userKey: Buffer | string,
  sequence: number,
  value: Buffer | string,
): TableEntry {
  return {
    userKey: Buffer.from(userKey),
    sequence,
    type: ValueType.Value,
    value: Buffer.from(value),
  }
}

export function deletion(userKey: Buffer | string, sequence: number): TableEntry {
  return {
    userKey: Buffer.from(userKey),
    sequence,
    type: ValueType.Deletion,
    value: Buffer.alloc(0),
  }
}

export function sortEntries(entries: readonly TableEntry[]): TableEntry[] {
  return [...entries].sort(
    (a, b) => Buffer.compare(a.userKey, b.userKey) || b.sequence - a.sequence,
  )
}

/** Sorts the entries and writes them as one table. */
export function encodeTable(
  entries: readonly TableEntry[],
  options?: TableWriterOptions,
): { bytes: Buffer; properties: TableProperties | undefined } {
  const chunks: Buffer[] = []
  const writer = new TableWriter((chunk) => chunks.push(chunk), options)
  for (const { userKey, sequence, type, value } of sortEntries(entries)) {
    writer.add(userKey, sequence, type, value)
  }
  const properties = writer.finish()
  return { bytes: Buffer.concat(chunks), properties }
}

/** Opens a table for the length of one call. */
export function withTable<T>(path: string, use: (table: TableReader) => T): T {
  const table = TableReader.open(path)
  try {
    return use(table)
  } finally {
    table.close()
  }
}

export function readEntries(path: string): TableEntry[] {
  return withTable(path, (table) => [...table.entries()])
}

/** Makes `directory` a database of these tables: the n-th becomes file n + 1. */
export function adoptTables(
  directory: string,
  tables: readonly {
    level: number
    entries: readonly TableEntry[]
    options?: TableWriterOptions
  }[],
): void {
  let lastSequence = 0
  const files = tables.map(({ level, entries, options }, index) => {
    const { bytes, properties } = encodeTable(entries, options)
    if (properties === undefined) throw new Error('a test adopts tables with entries')
    writeFileSync(join(directory, tableFileName(index + 1)), bytes)
    lastSequence = Math.max(lastSequence, properties.largestSequence)
    const { sizeBytes, smallest, largest } = properties
    return { level, number: index + 1, sizeBytes, smallest, largest }
  })
  writeManifest(directory, { lastSequence, files })
}

function sameEntry(a: TableEntry | undefined, b: TableEntry | undefined): boolean {
  if (a === undefined || b === undefined) return a === b
  return (
    a.sequence === b.sequence &&
    a.type === b.type &&
    a.userKey.equals(b.userKey) &&
    a.value.equals(b.value)
  )
}

/** As `toEqual`, but fast on many bytes. */
export function expectEntry(
  actual: TableEntry | undefined,
  expected: TableEntry | undefined,
): void {
  if (!sameEntry(actual, expected)) expect(actual).toEqual(expected)
}

/** As `toEqual`, but fast on many bytes. */
export function expectEntries(
  actual: readonly TableEntry[],
  expected: readonly TableEntry[],
): void {
  expect(actual.length).toBe(expected.length)
  for (const [index, entry] of actual.entries()) expectEntry(entry, expected[index])
}

/** Numbers in [0, 2^32), the same for the same seed. */
export function numbers(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return (state ^ (state >>> 15)) >>> 0
  }
}

/** Bytes that do not compress. */
export function noise(bytes: number, seed: number): Buffer {
  const next = numbers(seed)
  const result = Buffer.alloc(bytes)
  for (let at = 0; at < bytes; at++) result[at] = next() >>> 11
  return result
}

/** The error `run` throws, which is one of ours and says where the damage is. */
export function expectDamage(
  run: () => unknown,
  code: StateBackendErrorCode,
  file: string,
): StateBackendError {
  let thrown: unknown
  try {
    run()
  } catch (error) {
    thrown = error
  }
  expect(thrown).toBeInstanceOf(StateBackendError)
  if (!(thrown instanceof StateBackendError)) throw thrown
  expect(thrown.code).toBe(code)
  expect(thrown.details['file']).toBe(file)
  expect(thrown.details['offset']).toBeGreaterThanOrEqual(0)
  return thrown
}
