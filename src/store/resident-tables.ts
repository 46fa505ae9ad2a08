/**
 * Writes all resident cells of an in-memory backend as base tables: what LevelDB's own files are to the other backend.
 */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { assert } from '../common/assert.js'
import { makeFolder } from '../common/make-folder.js'
import type { Slicer } from '../common/slicer.js'
import { ValueType } from '../table/internal-key.js'
import { tableFileName } from '../table/manifest.js'
import { TableFileWriter } from '../table/table-file.js'
import type { TableWriterOptions } from '../table/table-writer.js'
import { cellEntries } from './cell-entries.js'
import type { CapturedTable, CapturedTables, CapturePreview } from './leveldb-store.js'
import type { Buckets } from './cell.js'
import type { StateTable } from './state-table.js'
import type { WriteBuffer } from './write-buffer.js'

/** Small enough to be clipped and uploaded in parallel, large enough to be few. */
const TABLE_BYTES = 8 * 2 ** 20

/** Non-overlapping tables belong in a level above 0. */
const RESIDENT_LEVEL = 1

export class ResidentTables {
  readonly #buffer: WriteBuffer
  readonly #slicer: Slicer
  readonly #options: TableWriterOptions
  readonly #lastSequence: () => number
  #nextNumber: number

  constructor(options: {
    buffer: WriteBuffer
    slicer: Slicer
    table: TableWriterOptions
    lastSequence: () => number
    /** Above every number this incarnation has given to a table. */
    firstNumber: number
  }) {
    this.#buffer = options.buffer
    this.#slicer = options.slicer
    this.#options = options.table
    this.#lastSequence = options.lastSequence
    this.#nextNumber = options.firstNumber
  }

  /** How large the tables will be is known when they are written. */
  previewCapture(): CapturePreview {
    return { tables: [], coveredSequence: this.#lastSequence() }
  }

  /** To be called between generations. Every entry gets the last sequence: no key occurs twice. */
  async captureTables(directory: string): Promise<CapturedTables> {
    const coveredSequence = this.#lastSequence()
    makeFolder(directory)
    const tables: CapturedTable[] = []
    let table: TableFileWriter | undefined
    try {
      this.#slicer.restart()
      for (const entry of this.#entries()) {
        if (entry?.value !== undefined) {
          table ??= await this.#create(directory)
          table.add(entry.key, coveredSequence, ValueType.Value, entry.value)
        }
        if (entry === undefined ? this.#slicer.overdue() : this.#slicer.due(entry.value?.length)) {
          await table?.flushPieces()
          await this.#slicer.pause()
        }
        if (table !== undefined && table.writtenBytes >= TABLE_BYTES) {
          tables.push(await this.#finish(table))
          table = undefined
        }
      }
      if (table !== undefined) tables.push(await this.#finish(table))
      return { tables, coveredSequence }
    } catch (error) {
      await table?.abort()
      await rm(directory, { recursive: true, force: true })
      throw error
    }
  }

  #entries(): ReturnType<typeof cellEntries> {
    const layers = new Map<StateTable, Buckets>()
    for (const table of this.#buffer.tables.values()) layers.set(table, table.cached.young)
    const { keySerializer, startKeyGroup, numberOfKeyGroups } = this.#buffer
    return cellEntries({
      keySerializer,
      startKeyGroup,
      numberOfKeyGroups,
      layers,
      raw: new Map(),
    })
  }

  #create(directory: string): Promise<TableFileWriter> {
    const path = join(directory, tableFileName(this.#nextNumber))
    return TableFileWriter.create(path, this.#options)
  }

  async #finish(table: TableFileWriter): Promise<CapturedTable> {
    const file = await table.finish()
    assert(file !== undefined, 'a table that was begun has entries')
    const number = this.#nextNumber++
    const { path, sizeBytes, smallest, largest } = file
    return { level: RESIDENT_LEVEL, number, path, sizeBytes, smallest, largest }
  }
}
