/** LevelDB's writes, held back as a compaction would hold them back. */
import { onTestFinished, vi } from 'vitest'
import { LevelDBStore } from '../../src/store/leveldb-store.js'

/** So many make everything go on that does not wait for what is held back, on an idle machine. */
const TURNS = 2000
/** On any machine: then what is waited for never comes. */
const TURNS_MAX = 1_000_000

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

export async function turns(): Promise<void> {
  for (let turn = 0; turn < TURNS; turn++) await nextTurn()
}

export async function until(condition: () => boolean): Promise<void> {
  for (let turn = 0; !condition(); turn++) {
    if (turn === TURNS_MAX) throw new Error('what a test waits for does not come')
    await nextTurn()
  }
}

/** Holds back every batch of every store, from now to the end of the test or until it is opened. */
export class HeldWrites {
  isHolding = true
  /** When they are let go. */
  failure: Error | undefined
  readonly #held: (() => void)[] = []

  constructor() {
    const commit = Reflect.get(LevelDBStore.prototype, 'commit')
    const released = (): Promise<void> => this.#released()
    const spy = vi.spyOn(LevelDBStore.prototype, 'commit').mockImplementation(async function (
      this: LevelDBStore,
      batch,
    ) {
      await released()
      return commit.call(this, batch)
    })
    onTestFinished(() => {
      this.open()
      spy.mockRestore()
    })
  }

  async #released(): Promise<void> {
    if (this.isHolding) await new Promise<void>((resolve) => this.#held.push(resolve))
    if (this.failure !== undefined) throw this.failure
  }

  get count(): number {
    return this.#held.length
  }

  /** Lets go of what is held, and of what comes. */
  open(): void {
    this.isHolding = false
    for (const release of this.#held.splice(0)) release()
  }
}
