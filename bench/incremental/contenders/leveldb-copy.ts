/** Closes LevelDB, copies its directory to storage, and opens it again: the stream stands meanwhile. */
import { cp, mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type {
  Contender,
  ContenderModule,
  ContenderOptions,
  RunningCheckpoint,
  Uploaded,
} from '../contender.js'
import { copyTree, removeOlder, syncDirectory } from '../durable-files.js'
import { LevelDBContender } from './leveldb.js'

export const levelDBCopy: ContenderModule = {
  prepared: 'files',
  open: (options) => new LevelDBCopy({ ...options, name: 'db' }).open(),
  restore: restoreCopy,
}

async function restoreCopy(options: ContenderOptions): Promise<Contender> {
  const storage = join(options.directory, 'checkpoints')
  const newest = Math.max(...(await readdir(storage)).map(Number))
  await cp(join(storage, String(newest)), join(options.directory, 'restored'), { recursive: true })
  return new LevelDBCopy({ ...options, name: 'restored' }).open()
}

class LevelDBCopy extends LevelDBContender {
  #checkpointId = 0

  checkpoint(): RunningCheckpoint {
    const durable = this.#copy()
    return { resumed: durable, durable }
  }

  async #copy(): Promise<Uploaded> {
    await this.close()
    await mkdir(this.storage, { recursive: true })
    const bytes = await copyTree(
      this.databaseDirectory,
      join(this.storage, String(++this.#checkpointId)),
    )
    await syncDirectory(this.storage)
    await this.open()
    return { bytes, kind: 'copy' }
  }

  discardOld(): Promise<void> {
    return removeOlder(this.storage, this.#checkpointId)
  }
}
