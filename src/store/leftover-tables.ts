/**
 * The table files that dead incarnations left in a work directory, for a restore to link instead of fetching them again: local recovery.
 *
 * Invariants
 * T1 Nothing here is trusted but bytes that this process has read and found to have the wanted SHA-256: the machine may have died with
 *    the one before.
 * T2 A failure here only costs a download: whatever cannot be read or linked counts as not there.
 * T3 A file is only ever read, linked and removed here; a linked table is never written to by anybody, since LevelDB and we make every
 *    table under a new name and then only delete it.
 */
import { Buffer } from 'node:buffer'
import { createHash } from 'node:crypto'
import { rmSync } from 'node:fs'
import { open, readdir, rm, stat, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { mapLimit, throwIfAborted } from '../common/concurrency.js'
import { linkOrCopyAsync } from '../common/link-or-copy.js'
import { SerialQueue } from '../common/serial-queue.js'
import { readManifest, tableFileName, type ManifestFile } from '../table/manifest.js'

/** Files looked at, in all folders together: 100 GB of LevelDB's. What is beyond is fetched. */
const INDEXED_FILES_MAX = 50_000
/** Files looked at at a time. */
const STATS_MAX = 8
/** Read at a time, and hashed at a time: a third of a millisecond of the event loop. */
const HASH_CHUNK_BYTES = 256 * 1024

/** Of an incarnation: LevelDB's tables, the deltas, and the base tables that were kept. */
const TABLE_FOLDERS = ['db', 'tables', 'base']

/** What a table is known by. `sha256` is in lower-case hexadecimal. */
export interface TableContents {
  readonly sizeBytes: number
  readonly sha256: string
  /** Internal keys. */
  readonly smallest: Buffer
  readonly largest: Buffer
}

interface LeftoverFile {
  readonly path: string
  readonly inode: number
  readonly sizeBytes: number
  /** What may lead to the file: its size, and where a MANIFEST has it also its first and last key. */
  readonly clue: string
}

/** Files that were not hashed yet, by clue. */
type Index = Map<string, LeftoverFile[]>

export class LeftoverTables {
  /** In the order in which they are removed. */
  readonly #folders: Set<string>
  readonly #indexedFilesMax: number
  #swept = false
  #index: Promise<Index> | undefined
  /** Paths of files that were hashed. */
  readonly #bySha256 = new Map<string, string>()
  /** So that no file is hashed twice. */
  readonly #lookups = new SerialQueue()

  /** `folders` are those of dead incarnations, and from now on this object's own. */
  constructor(folders: readonly string[], indexedFilesMax: number = INDEXED_FILES_MAX) {
    this.#folders = new Set(folders)
    this.#indexedFilesMax = indexedFilesMax
  }

  /** Those that nobody has begun to remove. */
  get folders(): readonly string[] {
    return this.#swept ? [] : [...this.#folders]
  }

  /**
   * Makes the new file `path` a table with these contents and returns true; or false, and then there is no such file. Of many calls at a
   * time the files are read one after the other. Rejects only after an abort, with `SNAPSHOT_ABORTED` or the signal's own reason.
   */
  async link(contents: TableContents, path: string, signal?: AbortSignal): Promise<boolean> {
    const index = await this.#files()
    // What is not there at all need not wait for the others' hashing.
    if (!cluesOf(contents).some((clue) => index.has(clue))) return false
    return this.#lookups.push(async () => {
      const found = await this.#find(index, contents, signal)
      if (found === undefined) return false
      try {
        await linkOrCopyAsync(found, path)
        return true
      } catch {
        return false
      }
    })
  }

  async #find(
    index: Index,
    contents: TableContents,
    signal: AbortSignal | undefined,
  ): Promise<string | undefined> {
    const { sha256 } = contents
    for (const clue of cluesOf(contents)) {
      const files = index.get(clue) ?? []
      while (!this.#bySha256.has(sha256)) {
        throwIfAborted(signal)
        const file = files.at(-1)
        if (file === undefined) break
        const actual = await sha256OfFile(file, signal)
        files.pop()
        if (actual !== undefined) this.#bySha256.set(actual, file.path)
      }
    }
    throwIfAborted(signal)
    return this.#bySha256.get(sha256)
  }

  #files(): Promise<Index> {
    this.#index ??= indexOf([...this.#folders], this.#indexedFilesMax)
    return this.#index
  }

  /** Removes the folders without holding the event loop. What cannot be removed is left to the next process. Idempotent. */
  async sweep(): Promise<void> {
    this.#forgetFiles()
    for (const folder of this.#folders) {
      await rm(folder, { recursive: true, force: true }).catch(() => undefined)
      this.#folders.delete(folder)
    }
  }

  /** As `sweep`, at once, and with what a `sweep` under way has not removed yet. */
  sweepSync(): void {
    this.#forgetFiles()
    for (const folder of this.#folders) {
      try {
        rmSync(folder, { recursive: true, force: true })
      } catch {
        // Left to the next process: nothing depends on it.
      }
    }
    this.#folders.clear()
  }

  #forgetFiles(): void {
    this.#swept = true
    this.#index = Promise.resolve(new Map())
    this.#bySha256.clear()
  }
}

/**
 * Tables of one size are common; of one size and with the same keys and sequences they are not, so hardly a file is hashed in vain. A
 * file that no MANIFEST names (a delta, or one that LevelDB had just made or given up) is known by its size alone.
 */
function cluesOf({ sizeBytes, smallest, largest }: TableContents): [string, string] {
  return [clueOf(sizeBytes, { smallest, largest }), clueOf(sizeBytes, undefined)]
}

function clueOf(
  sizeBytes: number,
  bounds: Pick<TableContents, 'smallest' | 'largest'> | undefined,
): string {
  if (bounds === undefined) return `${sizeBytes}`
  return `${sizeBytes} ${bounds.smallest.toString('hex')} ${bounds.largest.toString('hex')}`
}

/** All tables in the folders, each once, whatever links it has. */
async function indexOf(folders: readonly string[], indexedFilesMax: number): Promise<Index> {
  const index: Index = new Map()
  const inodes = new Set<number>()
  let left = indexedFilesMax
  for (const folder of folders.flatMap((each) => TABLE_FOLDERS.map((name) => join(each, name)))) {
    const names = (await tablesIn(folder)).slice(0, left)
    left -= names.length
    const manifest = names.length === 0 ? undefined : manifestFilesOf(folder)
    const files = await mapLimit(names, STATS_MAX, (name) =>
      leftoverFile(join(folder, name), manifest?.get(name)),
    )
    for (const file of files) {
      if (file === undefined || inodes.has(file.inode)) continue
      inodes.add(file.inode)
      const alike = index.get(file.clue)
      if (alike === undefined) index.set(file.clue, [file])
      else alike.push(file)
    }
  }
  return index
}

async function tablesIn(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).filter((name) => name.endsWith('.ldb'))
  } catch {
    return []
  }
}

/** By name; none where the folder is no database, or its MANIFEST did not survive. */
function manifestFilesOf(folder: string): Map<string, ManifestFile> {
  try {
    const { files } = readManifest(folder)
    return new Map(files.map((file) => [tableFileName(file.number), file]))
  } catch {
    return new Map()
  }
}

async function leftoverFile(
  path: string,
  bounds: ManifestFile | undefined,
): Promise<LeftoverFile | undefined> {
  try {
    const { ino, size } = await stat(path)
    return { path, inode: ino, sizeBytes: size, clue: clueOf(size, bounds) }
  } catch {
    return undefined
  }
}

/** Of the file as it is now; `undefined` when it cannot be read, or has another size than it had. */
async function sha256OfFile(
  { path, sizeBytes }: LeftoverFile,
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  let file: FileHandle | undefined
  try {
    file = await open(path, 'r')
    const hash = createHash('sha256')
    const chunk = Buffer.allocUnsafe(HASH_CHUNK_BYTES)
    let position = 0
    while (position <= sizeBytes) {
      throwIfAborted(signal)
      const { bytesRead } = await file.read(chunk, 0, chunk.length, position)
      if (bytesRead === 0) break
      hash.update(chunk.subarray(0, bytesRead))
      position += bytesRead
    }
    return position === sizeBytes ? hash.digest('hex') : undefined
  } catch {
    throwIfAborted(signal)
    return undefined
  } finally {
    await file?.close().catch(() => undefined)
  }
}
