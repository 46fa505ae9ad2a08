/**
 * Random rounds of writes, snapshots with every possible end, and restores into both backends, against a model; small memtables and
 * a policy that rebases all the time, so that LevelDB flushes and compacts while its tables are linked.
 *
 * A failing run prints its seed: `TEST_SEED=<seed> npx vitest run test/model/checkpoint-rounds.test.ts`.
 */
import { setImmediate as turn } from 'node:timers/promises'
import { describe, expect, it, vi } from 'vitest'
import { CheckpointOptions, type SnapshotType } from '../../src/checkpoint/checkpoint-options.js'
import type { SnapshotResult } from '../../src/checkpoint/snapshotable.js'
import { StateBackendError } from '../../src/errors.js'
import { SeededRandom, seedOfRun } from '../support/random.js'
import {
  handleOf,
  namedObjects,
  StateTask,
  statesOf,
  throughJSON,
  type BackendKind,
  type Handle,
} from '../support/state-task.js'
import { EMPTY_MODEL, expectModel, ModelWriter, type StateModel } from './state-model.js'

/** Tells whether the next link of a table out of the database fails as if a compaction had removed it. */
const links = vi.hoisted(() => ({ fails: (): boolean => false, missing: 0, made: 0 }))

vi.mock('node:fs', async (original) => {
  const fs = await original<typeof import('node:fs')>()
  const linkSync = (from: string, to: string): void => {
    const captured = to.includes('/capture-')
    if (captured && links.fails()) {
      links.missing++
      throw Object.assign(new Error(`ENOENT: no such file, link '${from}'`), { code: 'ENOENT' })
    }
    fs.linkSync(from, to)
    if (captured) links.made++
  }
  return { ...fs, linkSync }
})

const ROUNDS = 320
const RETAINED_MAX = 3
const POLICY = { smallStateBytes: 100_000, deltaFractionMax: 0.3, deltaCountMax: 5 }

interface Snapshot {
  readonly handle: Handle
  readonly model: StateModel
  readonly kind: SnapshotResult['kind']
}

/** How often things happened: a test of rare events must show that they took place. */
type Tally = Record<string, number>

class Rounds {
  readonly tally: Tally = {}
  readonly #random: SeededRandom
  /** Faults are asked for by work that runs at the same time: theirs is a chance of its own, so that the rest can be repeated. */
  readonly #faults: SeededRandom
  readonly #task: StateTask
  #writer: ModelWriter
  /** Completed, oldest first: their objects stay. */
  #retained: Snapshot[] = []
  /** Uploaded, their end not decided yet. */
  #undecided: Snapshot[] = []
  #savepoints: Snapshot[] = []

  constructor(task: StateTask, seed: number) {
    const random = new SeededRandom(seed)
    this.#task = task
    this.#random = random
    this.#faults = new SeededRandom(seed + 1)
    this.#writer = new ModelWriter(EMPTY_MODEL, random)
  }

  async run(rounds: number): Promise<void> {
    for (let round = 0; round < rounds; round++) {
      await this.#write()
      await this.#snapshot()
      if (this.#random.chance(0.3)) this.#decide()
      await this.#deleteUnreferenced()
      if (round % 10 === 9) await this.#restore()
    }
  }

  #count(what: string): void {
    this.tally[what] = (this.tally[what] ?? 0) + 1
  }

  async #write(): Promise<void> {
    const random = this.#random
    const hot = random.chance(0.3)
    const writes = random.chance(0.1) ? 0 : random.below(random.chance(0.1) ? 3000 : 400)
    for (let index = 0; index < writes; index++) {
      if (this.#task.backend.needsDrain) {
        this.#count('drain')
        await this.#task.backend.drain()
      }
      this.#writer.write(this.#task.backend, this.#task.states, hot)
      if (index % 97 === 0) await turn()
    }
  }

  async #snapshot(): Promise<void> {
    const random = this.#random
    const linksFail = random.pick([0, 0, 0, 0.05, 0.3, 1])
    links.fails = () => this.#faults.chance(linksFail)
    const uploadsFail = random.pick([0, 0, 0, 0, 0.3])
    this.#task.objects.plan = (operation) =>
      operation === 'put' && this.#faults.chance(uploadsFail)
        ? this.#faults.pick(['before', 'after'] as const)
        : undefined
    const snapshots = [this.#take()]
    if (random.chance(0.25)) {
      await this.#write()
      snapshots.push(this.#take())
    }
    if (random.chance(0.3)) this.#decide()
    if (random.chance(0.2)) await this.#write()
    const taken = await Promise.all(snapshots)
    links.fails = () => false
    this.#task.objects.heal()
    for (const snapshot of taken) {
      if (snapshot === undefined) continue
      if (random.chance(0.6)) this.#complete(snapshot)
      else this.#undecided.push(snapshot)
    }
  }

  /** The synchronous part is done when this returns. */
  async #take(): Promise<Snapshot | undefined> {
    const random = this.#random
    const type: SnapshotType = random.chance(0.08)
      ? 'savepoint'
      : random.chance(0.06)
        ? 'full-checkpoint'
        : 'checkpoint'
    const newest = this.#retained.at(-1)?.handle.checkpointId
    const lastCompleted = random.chance(0.5) ? newest : undefined
    const options =
      type === 'savepoint'
        ? CheckpointOptions.savepoint()
        : type === 'full-checkpoint'
          ? CheckpointOptions.fullCheckpoint(lastCompleted)
          : CheckpointOptions.checkpoint(lastCompleted)
    const abortion = new AbortController()
    const model = this.#writer.model()
    const snapshot = this.#task.snapshot(options, { signal: abortion.signal })
    if (random.chance(0.1)) void this.#abortSoon(abortion)
    try {
      const result = await snapshot
      this.#count(type === 'checkpoint' ? result.kind : type)
      const taken = { handle: handleOf(result), model, kind: result.kind }
      if (type !== 'savepoint') return taken
      this.#savepoints.push(taken)
      return undefined
    } catch (error) {
      if (!(error instanceof StateBackendError)) throw error
      this.#count(error.code)
      expect(['SNAPSHOT_ABORTED', 'STORAGE_FAILED', 'CHECKPOINT_FAILED']).toContain(error.code)
      return undefined
    }
  }

  async #abortSoon(abortion: AbortController): Promise<void> {
    for (let turns = this.#random.below(12); turns > 0; turns--) await turn()
    abortion.abort()
  }

  /** The end of something that was left undecided: completed late, aborted, or never told. */
  #decide(): void {
    const random = this.#random
    const [snapshot] = this.#undecided.splice(random.below(this.#undecided.length), 1)
    if (snapshot === undefined) return
    const newest = this.#retained.at(-1)?.handle.checkpointId ?? 0
    const end = random.next()
    if (end < 0.4 && snapshot.handle.checkpointId > newest) this.#complete(snapshot)
    else if (end < 0.7) {
      this.#task.backend.notifyCheckpointAborted(snapshot.handle.checkpointId)
      this.#count('aborted')
    } else this.#count('never told')
  }

  #complete(snapshot: Snapshot): void {
    const { checkpointId } = snapshot.handle
    const newest = this.#retained.at(-1)
    if (newest !== undefined && newest.handle.checkpointId > checkpointId) return
    this.#retained.push(snapshot)
    this.#undecided = this.#undecided.filter(({ handle }) => handle.checkpointId > checkpointId)
    this.#count('completed')
    // A notice that is lost is made up for by a later one, or at a barrier.
    if (this.#random.chance(0.15)) this.#count('notice lost')
    else this.#task.backend.notifyCheckpointComplete(checkpointId)
    const older = this.#random.pick(this.#retained).handle.checkpointId
    if (this.#random.chance(0.2)) this.#task.backend.notifyCheckpointComplete(older)
  }

  /**
   * What a coordinator deletes: all that no retained checkpoint names, nor one whose end is open. The base of what the task takes next
   * stays, since a lost notice leaves it with an older base until a barrier.
   */
  async #deleteUnreferenced(): Promise<void> {
    if (!this.#random.chance(0.5)) return
    const newest = this.#retained.at(-1)
    if (newest !== undefined) {
      this.#task.backend.notifyCheckpointComplete(newest.handle.checkpointId)
    }
    this.#retained = this.#retained.slice(-RETAINED_MAX)
    this.#savepoints = this.#savepoints.slice(-1)
    const kept = [...this.#retained, ...this.#undecided, ...this.#savepoints]
    const named = new Set(namedObjects(kept.map(({ handle }) => handle)))
    const stored = await this.#task.storedObjects()
    for (const name of named) expect(stored).toContain(name)
    const unnamed = stored.filter((name) => !named.has(name))
    await this.#task.objects.delete(unnamed.map((name) => `job/${name}`))
  }

  /** Goes back to something that is retained, and looks at everything; from there it goes on, or from where it was. */
  async #restore(): Promise<void> {
    const random = this.#random
    const candidates = [...this.#retained, ...this.#savepoints.slice(-1)]
    if (candidates.length === 0) return
    const snapshot = random.pick(candidates)
    const kind: BackendKind = random.chance(0.65) ? 'leveldb' : 'hashmap'
    this.#count(`restored into ${kind}`)
    const { checkpointId } = snapshot.handle
    await this.#task.close()
    await this.#task.open([throughJSON(snapshot.handle)], { kind })
    await expectModel(this.#task.backend, statesOf(this.#task.backend), snapshot.model)
    this.#writer = new ModelWriter(snapshot.model, random)
    this.#retained = this.#retained.filter(({ handle }) => handle.checkpointId <= checkpointId)
    this.#savepoints = this.#savepoints.filter(({ handle }) => handle.checkpointId <= checkpointId)
    this.#undecided = []
  }
}

describe('random rounds', () => {
  const seed = seedOfRun()

  it(`restore what was snapshotted, seed ${seed}`, { timeout: 300_000 }, async () => {
    const task = await StateTask.start({ policy: POLICY })
    statesOf(task.backend)
    const rounds = new Rounds(task, seed)
    await rounds.run(ROUNDS)
    const { tally } = rounds
    console.log(JSON.stringify({ seed, ...tally, ...links }))
    for (const what of ['delta', 'merge', 'rebase', 'none', 'savepoint', 'full-checkpoint']) {
      expect(tally[what] ?? 0, what).toBeGreaterThan(0)
    }
    expect(tally['rebase']).toBeGreaterThan(20)
    expect(tally['SNAPSHOT_ABORTED']).toBeGreaterThan(0)
    expect(tally['STORAGE_FAILED']).toBeGreaterThan(0)
    expect(links.missing).toBeGreaterThan(0)
    expect(links.made).toBeGreaterThan(100)
  })
})
