/**
 * The live backend against a model while checkpoints are under way, and their ends are told late, out of order or never: what was frozen for
 * them goes to LevelDB at any moment in between, also under a scan that is suspended.
 *
 * A failing run prints its seed: `TEST_SEED=<seed> npx vitest run test/model/late-notices.test.ts`.
 */
import { setImmediate as turn } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { CheckpointOptions, type SnapshotType } from '../../src/checkpoint/checkpoint-options.js'
import type { SnapshotResult } from '../../src/checkpoint/snapshotable.js'
import { StateBackendError } from '../../src/errors.js'
import { SeededRandom, seedOfRun } from '../support/random.js'
import { StateTask, statesOf, type Handle } from '../support/state-task.js'
import { EMPTY_MODEL, expectModel, ModelWriter, type StateModel } from './state-model.js'

const STEPS = 200
/** Most rounds write far less; so many fill the write buffer. */
const MANY_WRITES = 3000

interface Snapshot {
  readonly handle: Handle
  readonly model: StateModel
}

class Run {
  readonly tally: Record<string, number> = {}
  readonly #task: StateTask
  readonly #random: SeededRandom
  #writer: ModelWriter
  readonly #underWay: Promise<void>[] = []
  /** Checkpoints whose end was not told yet. */
  #untold: Snapshot[] = []
  #restorable: Snapshot[] = []

  constructor(task: StateTask, random: SeededRandom) {
    this.#task = task
    this.#random = random
    this.#writer = new ModelWriter(EMPTY_MODEL, random)
  }

  async step(): Promise<void> {
    const random = this.#random
    const kind = random.next()
    if (kind < 0.4) await this.#write(random.below(random.chance(0.1) ? MANY_WRITES : 300))
    else if (kind < 0.65) await this.#snapshot()
    else if (kind < 0.8) this.#tell()
    else if (kind < 0.87) await this.#scan()
    else if (kind < 0.92) await this.check()
    else if (kind < 0.95) await this.#restore()
    else await this.#turns()
  }

  async check(): Promise<void> {
    await expectModel(this.#task.backend, this.#task.states, this.#writer.model())
  }

  async end(): Promise<void> {
    await Promise.all(this.#underWay)
    await this.check()
  }

  async #write(count: number): Promise<void> {
    const { backend, states } = this.#task
    for (let index = 0; index < count; index++) {
      if (backend.needsDrain) {
        this.#count('drained')
        await backend.drain()
      }
      this.#writer.write(backend, states, this.#random.chance(0.3))
      if (index % 53 === 0) await turn()
    }
  }

  async #snapshot(): Promise<void> {
    const random = this.#random
    const kind = random.next()
    const options =
      kind < 0.75
        ? CheckpointOptions.checkpoint()
        : kind < 0.9
          ? CheckpointOptions.fullCheckpoint()
          : CheckpointOptions.savepoint()
    const model = this.#writer.model()
    const abortion = new AbortController()
    const fails = random.chance(0.08)
    this.#task.objects.plan = (operation) => (fails && operation === 'put' ? 'before' : undefined)
    const ended = this.#taken(
      this.#task.snapshot(options, { signal: abortion.signal }),
      options.snapshotType,
      model,
    )
    this.#underWay.push(ended)
    if (random.chance(0.1)) void this.#turns().then(() => abortion.abort())
    if (fails || random.chance(0.5)) await ended
  }

  async #taken(
    snapshot: Promise<SnapshotResult>,
    type: SnapshotType,
    model: StateModel,
  ): Promise<void> {
    try {
      const { kind, jobManagerOwnedSnapshot: handle } = await snapshot
      this.#count(type === 'checkpoint' ? kind : type)
      if (handle === undefined) return
      if (type === 'savepoint') this.#restorable.push({ handle, model })
      else this.#untold.push({ handle, model })
    } catch (error) {
      if (!(error instanceof StateBackendError)) throw error
      this.#count(error.code)
      expect(['SNAPSHOT_ABORTED', 'STORAGE_FAILED', 'CHECKPOINT_FAILED']).toContain(error.code)
    }
  }

  /** The end of one of the checkpoints, which may never be told. */
  #tell(): void {
    const [told] = this.#untold.splice(this.#random.below(this.#untold.length), 1)
    if (told === undefined) return
    const { checkpointId } = told.handle
    const end = this.#random.next()
    if (end < 0.45) {
      this.#count('completed')
      this.#task.backend.notifyCheckpointComplete(checkpointId)
      this.#restorable.push(told)
      this.#untold = this.#untold.filter(({ handle }) => handle.checkpointId > checkpointId)
    } else if (end < 0.8) {
      this.#count('aborted')
      this.#task.backend.notifyCheckpointAborted(checkpointId)
    } else {
      this.#count('never told')
    }
  }

  /** Of all maps and some of their entries, while ends are told. */
  async #scan(): Promise<void> {
    this.#count('scanned')
    const { backend, states } = this.#task
    const { maps } = this.#writer.model()
    const keys: number[] = []
    for await (const key of backend.getKeys('map')) {
      keys.push(key)
      if (this.#random.chance(0.2)) {
        this.#tell()
        await this.#turns()
      }
      if (!this.#random.chance(0.3)) continue
      backend.setCurrentKey(key)
      const found = new Map<number, string>()
      for await (const [userKey, text] of states.map.entries()) {
        found.set(userKey, text)
        if (this.#random.chance(0.02)) this.#tell()
        if (this.#random.chance(0.02)) await turn()
      }
      expect(found, `key ${key}`).toEqual(maps.get(key))
    }
    expect(keys.sort((a, b) => a - b)).toEqual([...maps.keys()].sort((a, b) => a - b))
  }

  async #restore(): Promise<void> {
    await Promise.all(this.#underWay.splice(0))
    const from = this.#restorable.at(this.#random.below(this.#restorable.length))
    if (from === undefined) return
    this.#count('restored')
    await this.#task.restore(from.handle)
    // Registered at once: the model's keys are looked for in all three.
    statesOf(this.#task.backend)
    this.#writer = new ModelWriter(from.model, this.#random)
    this.#untold = []
    const { checkpointId } = from.handle
    this.#restorable = this.#restorable.filter(({ handle }) => handle.checkpointId <= checkpointId)
    await this.check()
  }

  async #turns(): Promise<void> {
    for (let count = this.#random.below(20); count > 0; count--) await turn()
  }

  #count(what: string): void {
    this.tally[what] = (this.tally[what] ?? 0) + 1
  }
}

describe('a live backend', () => {
  const seed = seedOfRun()

  it.each([
    ['that keeps its base', {}],
    ['that renews it often', { smallStateBytes: 100_000, deltaFractionMax: 0.3, deltaCountMax: 5 }],
  ])(`%s holds what was written, whenever its checkpoints end, seed ${seed}`, async (_, policy) => {
    const task = await StateTask.start({ policy })
    statesOf(task.backend)
    const run = new Run(task, new SeededRandom(seed))
    for (let step = 0; step < STEPS; step++) await run.step()
    await run.end()
    for (const what of ['completed', 'aborted', 'scanned', 'delta']) {
      expect(run.tally[what], what).toBeGreaterThan(0)
    }
  })
})
