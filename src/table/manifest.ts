/**
 * A LevelDB directory's MANIFEST: which tables at which levels are the database. Read from a directory that LevelDB may be
 * writing to, and written into a new one so that LevelDB opens tables it has not made.
 *
 * M1 what is written passes every check LevelDB makes when it opens a database; some of those abort the process;
 * M2 a file number is used once in a directory, whatever kind of file it names;
 * M3 CURRENT is written last: a directory without it is no database.
 */
import { Buffer } from 'node:buffer'
import { readFileSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { assert } from '../common/assert.js'
import { errnoOf } from '../common/node-errors.js'
import { StateBackendError } from '../errors.js'
import { diskError } from './disk-error.js'
import { compareInternalKeys, isInternalKey, sequenceOf } from './internal-key.js'
import { encodeLogRecords, logDamaged, readLogRecords } from './log-format.js'
import {
  decodeVersionEdit,
  encodeVersionEdit,
  LEVEL_COUNT,
  type ManifestFile,
  type VersionEdit,
} from './version-edit.js'

export type { ManifestFile } from './version-edit.js'

const COMPARATOR = 'leveldb.BytewiseComparator'
const CURRENT_FILE_NAME = 'CURRENT'
const MANIFEST_NAME = /^MANIFEST-(\d{1,15})$/

export interface ManifestState {
  manifestNumber: number
  comparator: string
  /** Logs with this number or a larger one hold writes that are in no table yet. */
  logNumber: number
  nextFileNumber: number
  lastSequence: number
  /** Level ascending, then number ascending in level 0, smallest key ascending above. */
  files: ManifestFile[]
}

export function tableFileName(number: number): string {
  return `${padded(number)}.ldb`
}

export function logFileName(number: number): string {
  return `${padded(number)}.log`
}

export function manifestFileName(number: number): string {
  return `MANIFEST-${padded(number)}`
}

function padded(number: number): string {
  return String(number).padStart(6, '0')
}

/**
 * The state of a database, live or not. Synchronous. LevelDB may be appending meanwhile: an edit that is not whole yet has not
 * happened. Throws `MANIFEST_DAMAGED` with `{file, offset}`, also when CURRENT or the MANIFEST it names is missing (`cause` is
 * then the ENOENT error), and `STORE_FAILED`.
 */
export function readManifest(directory: string): ManifestState {
  const currentPath = join(directory, CURRENT_FILE_NAME)
  const current = readWhole(currentPath).toString('latin1')
  const name = current.endsWith('\n') ? current.slice(0, -1) : ''
  const manifestNumber = Number(MANIFEST_NAME.exec(name)?.[1] ?? Number.NaN)
  if (Number.isNaN(manifestNumber)) {
    throw logDamaged('MANIFEST_DAMAGED', currentPath, 0, 'it does not name a MANIFEST')
  }
  const path = join(directory, name)
  const { records, offsets } = readLogRecords(readWhole(path), path, {
    tolerateTornTail: true,
    damageCode: 'MANIFEST_DAMAGED',
  })
  const replay = new Replay(path)
  for (const [index, record] of records.entries()) {
    replay.apply(decodeVersionEdit(record, path, offsets[index] ?? 0))
  }
  return { manifestNumber, ...replay.finish() }
}

/** The effect of a MANIFEST's edits, one after the other. */
class Replay {
  private readonly path: string
  private readonly files = new Map<string, ManifestFile>()
  private comparator: string | undefined
  private logNumber: number | undefined
  private prevLogNumber = 0
  private nextFileNumber: number | undefined
  private lastSequence: number | undefined

  constructor(path: string) {
    this.path = path
  }

  apply(edit: VersionEdit): void {
    this.comparator = edit.comparator ?? this.comparator
    this.logNumber = edit.logNumber ?? this.logNumber
    this.prevLogNumber = edit.prevLogNumber ?? this.prevLogNumber
    this.nextFileNumber = edit.nextFileNumber ?? this.nextFileNumber
    this.lastSequence = edit.lastSequence ?? this.lastSequence
    for (const { level, number } of edit.deletedFiles) this.files.delete(`${level}/${number}`)
    for (const file of edit.newFiles) this.files.set(`${file.level}/${file.number}`, file)
  }

  finish(): Omit<ManifestState, 'manifestNumber'> {
    const { comparator, logNumber, nextFileNumber, lastSequence } = this
    if (
      comparator === undefined ||
      logNumber === undefined ||
      nextFileNumber === undefined ||
      lastSequence === undefined
    ) {
      throw this.damaged('a required field is missing')
    }
    if (comparator !== COMPARATOR) throw this.damaged(`keys are ordered by ${comparator}`)
    if (this.prevLogNumber !== 0)
      throw this.damaged('it names a previous log, which LevelDB 1.20 never does')
    const files = sortFiles([...this.files.values()])
    const problem =
      findProblem(files) ??
      (isAboveAll(nextFileNumber, files) ? undefined : 'next file number in use')
    if (problem !== undefined) throw this.damaged(problem)
    return { comparator, logNumber, nextFileNumber, lastSequence, files }
  }

  private damaged(reason: string): StateBackendError {
    return logDamaged('MANIFEST_DAMAGED', this.path, 0, reason)
  }
}

/**
 * Makes `directory`, which holds the tables and nothing else of LevelDB, a database: writes a MANIFEST of one edit, numbered
 * above every table, then CURRENT. `lastSequence` is at least the largest sequence in any table (only that of the files' bounds
 * can be checked here). In level 0 the file with the larger number is the newer. Synchronous. Throws `INVARIANT_BROKEN` for
 * files LevelDB would refuse or abort the process over, `DIRECTORY_NOT_EMPTY` when there is a MANIFEST of that number or a
 * CURRENT, `DISK_FULL` and `STORE_FAILED`; then neither file is left behind.
 */
export function writeManifest(
  directory: string,
  state: { lastSequence: number; files: readonly ManifestFile[] },
): void {
  const files = sortFiles([...state.files])
  assertWritable(state.lastSequence, files)
  const manifestNumber = 1 + files.reduce((largest, file) => Math.max(largest, file.number), 0)
  const edit = encodeVersionEdit({
    comparator: COMPARATOR,
    logNumber: 0,
    prevLogNumber: 0,
    nextFileNumber: manifestNumber + 1,
    lastSequence: state.lastSequence,
    compactPointers: [],
    deletedFiles: [],
    newFiles: files,
  })
  const manifestName = manifestFileName(manifestNumber)
  const manifestPath = join(directory, manifestName)
  writeNew(manifestPath, encodeLogRecords([edit]))
  try {
    writeNew(join(directory, CURRENT_FILE_NAME), Buffer.from(`${manifestName}\n`, 'latin1'))
  } catch (cause) {
    removeQuietly(manifestPath)
    throw cause
  }
}

function assertWritable(lastSequence: number, files: readonly ManifestFile[]): void {
  assert(
    Number.isSafeInteger(lastSequence) && lastSequence >= 0,
    'a last sequence lies in [0, 2^53 - 1]',
  )
  for (const { level, number, sizeBytes, smallest, largest } of files) {
    const details = { level, number, sizeBytes }
    assert(
      Number.isInteger(level) && level >= 0 && level < LEVEL_COUNT,
      'a level lies in [0, 6]',
      details,
    )
    assert(Number.isSafeInteger(number) && number > 0, 'a file number is positive', details)
    assert(Number.isSafeInteger(sizeBytes) && sizeBytes > 0, 'a table has bytes', details)
    assert(isInternalKey(smallest) && isInternalKey(largest), 'bounds are internal keys', details)
    assert(
      Math.max(sequenceOf(smallest), sequenceOf(largest)) <= lastSequence,
      'no table is newer than the last sequence, or it would be invisible',
      details,
    )
  }
  const problem = findProblem(files)
  assert(problem === undefined, `a MANIFEST that LevelDB accepts: ${problem ?? ''}`)
}

/** What LevelDB would stumble or abort over in `files`, which are sorted. */
function findProblem(files: readonly ManifestFile[]): string | undefined {
  const numbers = new Set<number>()
  let previous: ManifestFile | undefined
  for (const file of files) {
    if (numbers.has(file.number)) return `file ${file.number} is named twice`
    numbers.add(file.number)
    if (compareInternalKeys(file.smallest, file.largest) > 0) {
      return `file ${file.number} ends before it begins`
    }
    if (
      file.level > 0 &&
      previous?.level === file.level &&
      compareInternalKeys(previous.largest, file.smallest) >= 0
    ) {
      return `files ${previous.number} and ${file.number} overlap at level ${file.level}`
    }
    previous = file
  }
  return undefined
}

function isAboveAll(number: number, files: readonly ManifestFile[]): boolean {
  return files.every((file) => file.number < number)
}

function sortFiles(files: ManifestFile[]): ManifestFile[] {
  return files.sort(
    (a, b) =>
      a.level - b.level ||
      (a.level === 0 ? 0 : compareInternalKeys(a.smallest, b.smallest)) ||
      a.number - b.number,
  )
}

function readWhole(path: string): Buffer {
  try {
    return readFileSync(path)
  } catch (cause) {
    if (errnoOf(cause) !== 'ENOENT') throw diskError(cause, path)
    throw new StateBackendError(
      'MANIFEST_DAMAGED',
      `${path} is missing, so its directory is no LevelDB database. Restore from the last completed checkpoint.`,
      { cause, details: { file: path, offset: 0 } },
    )
  }
}

function writeNew(path: string, bytes: Buffer): void {
  try {
    writeFileSync(path, bytes, { flag: 'wx' })
  } catch (cause) {
    if (errnoOf(cause) === 'EEXIST') {
      throw new StateBackendError(
        'DIRECTORY_NOT_EMPTY',
        `${path} exists already. A database is put together in a new directory.`,
        { cause, details: { path } },
      )
    }
    removeQuietly(path)
    throw diskError(cause, path)
  }
}

/** Cleaning up after an error that is about to be thrown: that one counts. */
function removeQuietly(path: string): void {
  try {
    unlinkSync(path)
  } catch {
    return
  }
}
