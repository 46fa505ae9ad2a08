/**
 * Brings the tables of handles to local disk: a table that a dead incarnation left is linked where its digest matches, every other one
 * is fetched from storage. Counts both.
 *
 * R1 Either way every byte was checked against size and SHA-256 before anything else reads it.
 */
import { Buffer } from 'node:buffer'
import type { RestoreStatistics } from '../checkpoint/checkpointable-keyed-state-backend.js'
import type { TableHandle } from '../checkpoint/keyed-state-handle.js'
import type { CheckpointStateReader } from '../storage/checkpoint-state-reader.js'
import type { StreamStateHandle } from '../storage/stream-state-handle.js'
import type { TableContents } from '../store/leftover-tables.js'

/** Tables that are on this machine already, by their contents. */
export interface LocalTables {
  /** Makes the new file `path` a table with these contents; false when there is none, and then there is no such file. */
  link(contents: TableContents, path: string, signal?: AbortSignal): Promise<boolean>
}

export class StateDownloader {
  readonly #reader: CheckpointStateReader
  readonly #localTables: LocalTables | undefined
  #linkedTables = 0
  #linkedBytes = 0
  #fetchedTables = 0
  #fetchedBytes = 0

  constructor(reader: CheckpointStateReader, localTables: LocalTables | undefined) {
    this.#reader = reader
    this.#localTables = localTables
  }

  get statistics(): RestoreStatistics {
    return {
      linkedTables: this.#linkedTables,
      linkedBytes: this.#linkedBytes,
      fetchedTables: this.#fetchedTables,
      fetchedBytes: this.#fetchedBytes,
    }
  }

  /** See `CheckpointStateReader.isReusable`. */
  isReusable(state: StreamStateHandle): boolean {
    return this.#reader.isReusable(state)
  }

  /**
   * Makes the new file `path` the table; rejects as `CheckpointStateReader.download` does. The file may share its bytes with another
   * one: it may be read and deleted, never written to.
   *
   * Storage is not asked about a table that is linked, not even whether it still has it: the digest says that these are the bytes of the
   * checkpoint, and a task that had not died would go on naming that object without a look at it just the same. Whether a checkpoint is
   * whole is what verifying it tells.
   */
  async bring(table: TableHandle, path: string, signal?: AbortSignal): Promise<void> {
    const { state } = table
    const { kind, sizeBytes } = state
    if (kind === 'object' && (await this.#link(table, path, signal))) {
      this.#linkedTables++
      this.#linkedBytes += sizeBytes
      return
    }
    await this.#reader.download(state, path, { signal })
    if (kind === 'inline') return
    this.#fetchedTables++
    this.#fetchedBytes += sizeBytes
  }

  async #link(
    { state, smallest, largest }: TableHandle,
    path: string,
    signal: AbortSignal | undefined,
  ): Promise<boolean> {
    if (this.#localTables === undefined) return false
    const { sizeBytes, sha256 } = state
    const contents = {
      sizeBytes,
      sha256,
      smallest: Buffer.from(smallest, 'base64'),
      largest: Buffer.from(largest, 'base64'),
    }
    return this.#localTables.link(contents, path, signal)
  }
}
