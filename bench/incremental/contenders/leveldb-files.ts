/**
 * Uploads LevelDB's own table files that the checkpoint before did not have, by name and size, and its MANIFEST.
 *
 * LevelDB has no call that flushes. `compactRange` of a range that holds no key is one: it switches the memtable and writes the old one
 * to a table. Its promise may wait seconds for a compaction that is under way, so the MANIFEST is watched instead: the flush is done when
 * the log it names is newer than every log there was before. The stream stands until then, and until the tables are hard-linked.
 */
import { existsSync, linkSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { copyFile, cp, mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { errnoOf } from '../../../src/common/node-errors.js'
import { manifestFileName, readManifest, tableFileName } from '../../../src/table/manifest.js'
import type {
  Contender,
  ContenderModule,
  ContenderOptions,
  RunningCheckpoint,
  Uploaded,
} from '../contender.js'
import { copyDurably, syncDirectory } from '../durable-files.js'
import { LevelDBContender, type LevelDBOptions } from './leveldb.js'

const LOG_NAME = /^(\d+)\.log$/
const WATCH_INTERVAL_MS = 1
/** A compaction may remove a table between the reading of the MANIFEST and the linking. */
const CAPTURE_ATTEMPTS_MAX = 16

export const levelDBFiles: ContenderModule = {
  prepared: 'files',
  open: (options) => new LevelDBFiles({ ...options, name: 'db' }).open(),
  restore: restoreFiles,
}

async function restoreFiles(options: ContenderOptions): Promise<Contender> {
  const storage = join(options.directory, 'checkpoints')
  const ids = (await readdir(storage)).filter((name) => name !== 'tables').map(Number)
  const newest = join(storage, String(Math.max(...ids)))
  const restored = join(options.directory, 'restored')
  await cp(newest, restored, { recursive: true })
  for (const { number } of readManifest(newest).files) {
    const name = tableFileName(number)
    await copyFile(join(storage, 'tables', name), join(restored, name))
  }
  return new LevelDBFiles({ ...options, name: 'restored' }).open()
}

class LevelDBFiles extends LevelDBContender {
  readonly #captures: string
  #checkpointId = 0
  /** Of the newest checkpoint, with their sizes. */
  #uploaded = new Map<string, number>()
  #flushing: Promise<void> | undefined

  constructor(options: LevelDBOptions) {
    super(options)
    this.#captures = join(options.directory, 'captures')
  }

  checkpoint(): RunningCheckpoint {
    const capture = join(this.#captures, String(++this.#checkpointId))
    const resumed = this.#capture(capture)
    return { resumed, durable: resumed.then((tables) => this.#upload(capture, tables)) }
  }

  /** Hard-links LevelDB's tables, with everything that was written in them. */
  async #capture(capture: string): Promise<Map<string, number>> {
    await this.settle()
    for (let attempt = 0; attempt < CAPTURE_ATTEMPTS_MAX; attempt++) {
      await this.#flush()
      const tables = this.#link(capture)
      if (tables !== undefined) return tables
    }
    throw new Error('compactions kept replacing the tables')
  }

  async #flush(): Promise<void> {
    await this.#flushing
    const directory = this.databaseDirectory
    const logs = readdirSync(directory).map((name) => Number(LOG_NAME.exec(name)?.[1] ?? 0))
    const newestLog = Math.max(...logs)
    this.#flushing = this.compactNothing()
    while (readManifest(directory).logNumber <= newestLog) await sleep(WATCH_INTERVAL_MS)
  }

  #link(capture: string): Map<string, number> | undefined {
    const directory = this.databaseDirectory
    mkdirSync(capture, { recursive: true })
    // The copy is read, not the original: LevelDB may be appending to that.
    const current = readFileSync(join(directory, 'CURRENT'), 'utf8')
    const manifestName = current.trimEnd()
    writeFileSync(join(capture, manifestName), readFileSync(join(directory, manifestName)))
    writeFileSync(join(capture, 'CURRENT'), current)
    const tables = new Map<string, number>()
    try {
      for (const { number, sizeBytes } of readManifest(capture).files) {
        const name = tableFileName(number)
        tables.set(name, sizeBytes)
        const isKnown = this.#uploaded.get(name) === sizeBytes
        if (!isKnown && !existsSync(join(capture, name))) {
          linkSync(join(directory, name), join(capture, name))
        }
      }
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return undefined
      throw error
    }
    return tables
  }

  async #upload(capture: string, tables: Map<string, number>): Promise<Uploaded> {
    const storedTables = join(this.storage, 'tables')
    const checkpoint = join(this.storage, String(this.#checkpointId))
    await mkdir(storedTables, { recursive: true })
    await mkdir(checkpoint, { recursive: true })
    let bytes = 0
    for (const [name, size] of tables) {
      if (this.#uploaded.get(name) === size) continue
      bytes += await copyDurably(join(capture, name), join(storedTables, name))
    }
    await syncDirectory(storedTables)
    const manifestName = manifestFileName(readManifest(capture).manifestNumber)
    for (const name of [manifestName, 'CURRENT']) {
      bytes += await copyDurably(join(capture, name), join(checkpoint, name))
    }
    await syncDirectory(checkpoint)
    await syncDirectory(this.storage)
    await rm(capture, { recursive: true })
    this.#uploaded = tables
    return { bytes, kind: 'files' }
  }

  async discardOld(): Promise<void> {
    for (const name of await readdir(this.storage)) {
      if (Number(name) < this.#checkpointId) {
        await rm(join(this.storage, name), { recursive: true })
      }
    }
    const storedTables = join(this.storage, 'tables')
    for (const name of await readdir(storedTables)) {
      if (!this.#uploaded.has(name)) await rm(join(storedTables, name))
    }
  }

  override async close(): Promise<void> {
    await this.#flushing
    await super.close()
  }
}
