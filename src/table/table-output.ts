/**
 * A new table file for a writer that has its bytes ready and waits for the disk: one write is under way while the next bytes
 * are made. (table-file.ts buffers, for a writer that cannot wait.)
 *
 * O1 the file was not there before ('wx') and is closed when `finish` returns;
 * O2 after `discard` it is not there any more;
 * O3 the SHA-256 is that of the very bytes handed to the file, in their order.
 * The file is not synced: local files are scratch, checked by SHA-256 before they are trusted after a crash.
 */
import { Buffer } from 'node:buffer'
import { createHash } from 'node:crypto'
import { open, unlink, type FileHandle } from 'node:fs/promises'
import { diskError } from './disk-error.js'

/** Zeros are written from one buffer of this size. */
const ZERO_BYTES = 4096
const ZEROS = Buffer.alloc(ZERO_BYTES)

/** One call at a time. Errors are `DISK_FULL` or `STORE_FAILED`; after one, or any other failure, `discard` is to be called. */
export class TableOutput {
  readonly path: string
  private readonly file: FileHandle
  private readonly hash = createHash('sha256')
  private writing: Promise<void> = Promise.resolve()
  private bytes = 0

  /** Fails with `STORE_FAILED` when the file exists: then it is left alone. */
  static async create(path: string): Promise<TableOutput> {
    try {
      return new TableOutput(path, await open(path, 'wx'))
    } catch (cause) {
      throw diskError(cause, path)
    }
  }

  private constructor(path: string, file: FileHandle) {
    this.path = path
    this.file = file
  }

  /** Bytes appended so far. */
  get sizeBytes(): number {
    return this.bytes
  }

  /** The chunk is not to be changed until the next call has returned. Returns when the chunk before it is written. */
  async append(chunk: Buffer): Promise<void> {
    this.hash.update(chunk)
    this.bytes += chunk.length
    await this.written()
    this.writing = this.file.writeFile(chunk)
    // Whoever calls next gets the failure; until then nobody waits for it.
    this.writing.catch(() => undefined)
  }

  /** Appends zeros up to `offset`. */
  async fillTo(offset: number): Promise<void> {
    while (this.bytes < offset) await this.append(ZEROS.subarray(0, offset - this.bytes))
  }

  /** Waits for the last write and closes the file; its SHA-256 in lower-case hexadecimal. To be called once. */
  async finish(): Promise<string> {
    await this.written()
    try {
      await this.file.close()
    } catch (cause) {
      throw diskError(cause, this.path)
    }
    return this.hash.digest('hex')
  }

  /** Closes and removes the file. Never throws. */
  async discard(): Promise<void> {
    await this.writing.catch(() => undefined)
    // Whoever discards has an error of its own to report; a file that cannot even be removed is swept with its folder.
    await this.file.close().catch(() => undefined)
    await unlink(this.path).catch(() => undefined)
  }

  private async written(): Promise<void> {
    try {
      await this.writing
    } catch (cause) {
      throw diskError(cause, this.path)
    }
  }
}
