/**
 * A second link to every base table of the last completed checkpoint, where LevelDB would compact the table away: so a task that restarts
 * on this machine finds all of its checkpoint here. Deltas stay by themselves as long as a checkpoint names them.
 *
 * B1 Kept is what `retain` named last, and what was added since: tables of the completed checkpoint, and of what may become one.
 * B2 A failure here only costs a download: no call throws or rejects, and nobody waits for one but who closes.
 */
import { mkdirSync } from 'node:fs'
import { link, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { mapLimit } from '../common/concurrency.js'
import { SerialQueue } from '../common/serial-queue.js'

/** Links made or removed at a time. */
const LINKS_MAX = 8

export class KeptBaseTables {
  readonly #directory: string
  readonly #queue = new SerialQueue()
  /** Identities of tables: `<incarnation>/<file number>`. */
  readonly #kept = new Set<string>()

  /** `directory` is made here, in an existing one. */
  constructor(directory: string) {
    this.#directory = directory
    try {
      mkdirSync(directory)
    } catch {
      // Nothing can be linked into it then (B2).
    }
  }

  /** Keeps tables that were restored or captured just now. A file that is gone before its turn is not kept. */
  add(tables: readonly { readonly identity: string; readonly path: string }[]): Promise<void> {
    return this.#queue.push(async () => {
      const added = tables.filter(({ identity }) => !this.#kept.has(identity))
      for (const { identity } of added) this.#kept.add(identity)
      await mapLimit(added, LINKS_MAX, async ({ identity, path }) => {
        // Where there are no hard links nothing is kept: a copy would double what a rebase costs.
        await link(path, this.#pathOf(identity)).catch(() => undefined)
      })
    })
  }

  /** Lets go of all tables but these. */
  retain(identities: ReadonlySet<string>): Promise<void> {
    return this.#queue.push(async () => {
      const unneeded = [...this.#kept].filter((identity) => !identities.has(identity))
      for (const identity of unneeded) this.#kept.delete(identity)
      await mapLimit(unneeded, LINKS_MAX, async (identity) => {
        await rm(this.#pathOf(identity), { force: true }).catch(() => undefined)
      })
    })
  }

  /** Resolves when nothing is going on here; the directory is its owner's to remove then. */
  idle(): Promise<void> {
    return this.#queue.idle()
  }

  #pathOf(identity: string): string {
    return join(this.#directory, `${identity.replaceAll('/', '-')}.ldb`)
  }
}
