/**
 * Writes a table to a new local file, without holding the event loop: entries are added synchronously into memory, `flush`
 * takes them to the disk in pieces, of which one is written while the next entries are added.
 *
 * T1 the file was not there before ('wx') and is closed when `finish` returns;
 * T2 after a failure or `abort` it is not there any more;
 * T3 the SHA-256 is that of the very bytes handed to the file, in their order.
 * The file is not synced: local files are scratch, checked by SHA-256 before they are trusted after a crash.
 */
import { Buffer } from 'node:buffer'
import { assert } from '../common/assert.js'
import { StateBackendError } from '../errors.js'
import type { ValueType } from './internal-key.js'
import { TableOutput } from './table-output.js'
import { TableWriter, type TableProperties, type TableWriterOptions } from './table-writer.js'

/** Hashed in half a millisecond, and written by one request to the system. Worth a `flush` in the middle of a table. */
const PIECE_BYTES = 2 ** 19

/** More than this waiting for `flush` is a caller that does not flush. One entry may go beyond it. */
const BUFFERED_BYTES_MAX = 256 * 2 ** 20

export interface TableFile extends TableProperties {
  path: string
  /** Lower-case hexadecimal. */
  sha256: string
}

type Phase = 'writing' | 'finished' | 'aborted'

/**
 * One call at a time: `add`, then `await flush()` before more is added, at the end `await finish()`. `abort` may be called at
 * any time, also while another call is pending, which then fails or has already won.
 */
export class TableFileWriter {
  private readonly output: TableOutput
  private readonly writer: TableWriter
  private chunks: Buffer[] = []
  private chunkBytes = 0
  private phase: Phase = 'writing'
  private flushing: Promise<void> | undefined
  private discarding: Promise<void> | undefined

  /** Throws `DISK_FULL` or `STORE_FAILED`, the latter also when the file exists: then it is left alone. */
  static async create(path: string, options: TableWriterOptions = {}): Promise<TableFileWriter> {
    return new TableFileWriter(await TableOutput.create(path), options)
  }

  private constructor(output: TableOutput, options: TableWriterOptions) {
    this.output = output
    this.writer = new TableWriter((chunk) => {
      this.chunks.push(chunk)
      this.chunkBytes += chunk.length
    }, options)
  }

  /** As `TableWriter.add`. Touches memory only. */
  add(userKey: Uint8Array, sequence: number, type: ValueType, value: Uint8Array): number {
    assert(this.isWriting(), 'entries are added while the table is being written')
    assert(this.chunkBytes <= BUFFERED_BYTES_MAX, 'a table file is flushed between slices')
    return this.writer.add(userKey, sequence, type, value)
  }

  /** Bytes waiting for `flush`. */
  get bufferedBytes(): number {
    return this.chunkBytes
  }

  /** Bytes of the table so far, flushed or not; the block being built is not among them. */
  get writtenBytes(): number {
    return this.writer.writtenBytes
  }

  /**
   * Hands what is buffered to the file, in pieces; the last may still be on its way, and what it fails with is what the next call fails
   * with. On `DISK_FULL` or `STORE_FAILED` the table is aborted; `SNAPSHOT_ABORTED` when `abort` was called meanwhile.
   */
  async flush(): Promise<void> {
    assert(this.isWriting(), 'a table is flushed while it is being written')
    assert(this.flushing === undefined, 'a table is flushed by one caller at a time')
    this.flushing = this.writeBuffered()
    try {
      await this.flushing
    } catch (error) {
      this.flushing = undefined
      await this.abort()
      throw error
    } finally {
      this.flushing = undefined
    }
    this.throwIfAborted()
  }

  /** As `flush`, for the pauses in the middle of a table: only where as much is waiting as is worth its turns of the event loop. */
  async flushPieces(): Promise<void> {
    if (this.chunkBytes >= PIECE_BYTES) await this.flush()
  }

  /**
   * Completes and closes the file. Undefined, and no file, when nothing was added. Fails as `flush` does, and then there is no
   * file either.
   */
  async finish(): Promise<TableFile | undefined> {
    assert(this.isWriting(), 'a table is finished once')
    const properties = this.writer.finish()
    if (properties === undefined) {
      await this.abort()
      return undefined
    }
    await this.flush()
    let sha256: string
    try {
      sha256 = await this.output.finish()
    } catch (error) {
      await this.abort()
      throw error
    }
    this.throwIfAborted()
    this.phase = 'finished'
    return { ...properties, path: this.output.path, sha256 }
  }

  /** Closes and removes the file. Idempotent; does nothing after a successful `finish`. Never throws. */
  async abort(): Promise<void> {
    if (this.phase === 'finished') return
    this.phase = 'aborted'
    this.discarding ??= this.discard()
    await this.discarding
  }

  private isWriting(): boolean {
    return this.phase === 'writing'
  }

  private throwIfAborted(): void {
    if (this.isWriting()) return
    throw new StateBackendError(
      'SNAPSHOT_ABORTED',
      'The table was given up while it was written.',
      {
        details: { path: this.output.path },
      },
    )
  }

  private async writeBuffered(): Promise<void> {
    while (this.chunks.length > 0 && this.isWriting()) {
      await this.output.append(this.takePiece())
    }
  }

  private takePiece(): Buffer {
    let count = 0
    let bytes = 0
    for (const chunk of this.chunks) {
      if (count > 0 && bytes + chunk.length > PIECE_BYTES) break
      count++
      bytes += chunk.length
    }
    this.chunkBytes -= bytes
    return Buffer.concat(this.chunks.splice(0, count), bytes)
  }

  private async discard(): Promise<void> {
    await this.flushing?.catch(() => undefined)
    this.chunks = []
    this.chunkBytes = 0
    await this.output.discard()
  }
}
