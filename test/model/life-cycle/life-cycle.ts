/**
 * The life of one job, from attempt to attempt, beside a model of what each of its checkpoints and savepoints must hold. What must be in
 * storage is `retention.ts`'s and `storage-checks.ts`'s.
 */
import { StateBackendError } from '../../../src/errors.js'
import { HashMapStateBackend } from '../../../src/hash-map-state-backend.js'
import type { CheckpointEvent } from '../../../src/host/checkpoint-events.js'
import type { RestoreSource } from '../../../src/host/checkpoint-selection.js'
import { LevelDBStateBackend } from '../../../src/leveldb-state-backend.js'
import {
  disposeSnapshot,
  openSnapshot,
  type SnapshotLocation,
} from '../../../src/restore/snapshot-location.js'
import type { StateBackend } from '../../../src/state-backend.js'
import { CheckpointStateReader } from '../../../src/storage/checkpoint-state-reader.js'
import { CheckpointStorage } from '../../../src/storage/checkpoint-storage.js'
import { ManualClock } from '../../support/manual-clock.js'
import { SeededRandom } from '../../support/random.js'
import { SMALL_MEMORY_BYTES } from '../../support/state-task.js'
import { Attempt } from './attempt.js'
import { AuditedObjectStore, type Published } from './audited-object-store.js'
import { checkAll, type KeyedModel, type KeyModel } from './keyed-model.js'
import { Retention } from './retention.js'
import { JOB_ID, randomSettings, type Profile, type Settings } from './settings.js'
import { checkAtEnd, checkRestore, verifyAll } from './storage-checks.js'
import { StorageFaults } from './storage-faults.js'

/** Starts that faults may foil; then they are over. */
const FAULTY_STARTS_MAX = 3
/** At the end: ids may be taken by what fenced attempts stored. */
const LAST_CHECKPOINTS_MAX = 20

/** `linger`: it does not know that it ended, and its acknowledgements may come any time. */
export type Ending = 'close' | 'crash' | 'linger'

export class LifeCycle {
  readonly profile: Profile
  readonly settings: Settings
  readonly clock: ManualClock = new ManualClock()
  readonly store: AuditedObjectStore = new AuditedObjectStore({ jobId: JOB_ID, clock: this.clock })
  readonly faults: StorageFaults
  readonly storage: CheckpointStorage
  readonly count: (what: string) => void
  /** What the state is now. */
  model: Map<number, KeyModel> = new Map()
  /** Attempts that ended with acknowledgements on their way. */
  readonly former: Attempt[] = []
  readonly #random: SeededRandom
  readonly #retention: Retention
  /** At the barrier, by epoch and id. */
  readonly #snapshots = new Map<string, KeyedModel>()
  #attempt: Attempt | undefined

  constructor(profile: Profile, seed: number, count: (what: string) => void) {
    const random = new SeededRandom(seed)
    this.#random = random
    this.profile = profile
    this.settings = randomSettings(random)
    this.count = count
    const { store, settings } = this
    this.faults = new StorageFaults(store, count)
    const { inlineThresholdBytes, limits } = settings
    this.storage = new CheckpointStorage(this.faults.store, { jobId: JOB_ID, inlineThresholdBytes })
    const { faults } = profile
    this.#retention = new Retention({ store, retainedMax: limits.retainedCheckpointsMax, faults })
  }

  get attempt(): Attempt {
    if (this.#attempt === undefined) throw new Error('no attempt is running')
    return this.#attempt
  }

  begin(): Promise<void> {
    return this.#start(this.#random, undefined)
  }

  /** At a barrier: what the state is now is what the next id stands for. */
  trigger(start: () => Promise<CheckpointEvent>): void {
    const { attempt } = this
    const before = attempt.triggered.length
    void start()
    const [checkpointId] = attempt.triggered.slice(before)
    if (checkpointId === undefined) throw new Error('no task was asked')
    this.#snapshots.set(`${attempt.epoch}/${checkpointId}`, new Map(this.model))
  }

  #modelOf({ epoch, checkpointId }: { epoch: number; checkpointId: number }): KeyedModel {
    const model = this.#snapshots.get(`${epoch}/${checkpointId}`)
    if (model === undefined) throw new Error(`nobody ever triggered ${epoch}/${checkpointId}`)
    return model
  }

  /** Ends the attempt, and starts another one from `pick`, at a random parallelism, on a random backend. */
  async restart(random: SeededRandom, ending: Ending, pick?: Published): Promise<void> {
    this.count(`ended by ${ending}`)
    const { attempt } = this
    this.#attempt = undefined
    this.former.push(attempt)
    if (ending === 'linger') await attempt.settle()
    const closing = ending === 'linger' ? undefined : attempt.coordinator.close()
    if (ending === 'close') await closing
    await attempt.closeBackends()
    await closing
    await this.#start(random, pick)
  }

  async #start(random: SeededRandom, pick: Published | undefined): Promise<void> {
    for (let failures = 0; ; failures++) {
      if (failures === FAULTY_STARTS_MAX) this.faults.heal()
      const attempt = this.#newAttempt(random)
      this.#attempt = attempt
      // It may have been subsumed since it was picked.
      const found = pick !== undefined && this.store.published.has(pick.key) ? pick : undefined
      try {
        return await this.#restore(attempt, await this.#sourceOf(random, found), random)
      } catch (error) {
        await attempt.coordinator.close()
        const gone = found !== undefined && !this.store.published.has(found.key)
        const outage = error instanceof StateBackendError && error.kind === 'unavailable'
        const excused = gone || (this.profile.faults && outage)
        if (!excused || failures === FAULTY_STARTS_MAX) throw error
        this.count('start failed')
      }
    }
  }

  #newAttempt(random: SeededRandom): Attempt {
    const { clock, storage, count } = this
    const attempt: Attempt = new Attempt({
      storage,
      stateBackend: this.#stateBackend(random),
      limits: this.settings.limits,
      clock,
      random: new SeededRandom(random.below(2 ** 32)),
      noticeLoss: random.pick([0, 0.2, 0.6]),
      count,
      onEvent: (event) => this.#retention.onEvent(attempt, event),
    })
    return attempt
  }

  #stateBackend(random: SeededRandom): StateBackend {
    const { clock, profile, settings } = this
    const onLevelDB = random.chance(profile.levelDBShare)
    this.count(onLevelDB ? 'on LevelDB' : 'in memory')
    const { directory } = profile
    const { policy: rebasePolicy } = settings
    const options = { directory, clock, memory: SMALL_MEMORY_BYTES, rebasePolicy }
    return onLevelDB ? new LevelDBStateBackend(options) : new HashMapStateBackend(options)
  }

  async #sourceOf(random: SeededRandom, pick: Published | undefined): Promise<RestoreSource> {
    if (pick === undefined) return random.chance(0.2) ? { walkBack: true } : {}
    if (this.store.isOwn(pick)) return { checkpointId: pick.checkpoint.checkpointId }
    const snapshot = await this.#open(pick)
    if (random.chance(0.2)) return { snapshot }
    return { snapshot, claimMode: random.pick(['CLAIM', 'NO_CLAIM']) }
  }

  /** Found without faults; read and deleted with them. */
  async #open({ folder }: Published): Promise<SnapshotLocation> {
    const objectStore = this.faults.store
    const state = new CheckpointStateReader(objectStore, { root: `${folder}/` })
    return { ...(await openSnapshot(this.store, folder)), objectStore, state }
  }

  async #restore(attempt: Attempt, source: RestoreSource, random: SeededRandom): Promise<void> {
    const restored = await attempt.coordinator.restore(source)
    const checkpoint = restored?.checkpoint
    const own = this.#retention.ownByAge()
    const published = own.find(
      (each) =>
        each.checkpoint.epoch === checkpoint?.epoch &&
        each.checkpoint.checkpointId === checkpoint.checkpointId,
    )
    this.#retention.onRestored(attempt, source, published)
    await attempt.start(restored, 1 + random.below(3))
    this.model = new Map(checkpoint && this.#modelOf(checkpoint))
    this.count(`restored ${sourceName(source, restored !== undefined)}`)
    if (restored !== undefined) await this.checkState()
  }

  /** M1, of the state as it is now. */
  checkState(): Promise<void> {
    const { backends, of } = this.attempt
    return checkAll(this.model, backends, of)
  }

  checkRestore(published: Published, random: SeededRandom): Promise<void> {
    return checkRestore(this, published, {
      stateBackend: this.#stateBackend(random),
      parallelism: 1 + random.below(3),
      expected: this.#modelOf(published.checkpoint),
    })
  }

  async dispose(savepoint: Published): Promise<void> {
    this.#retention.giveUp(savepoint.key)
    await disposeSnapshot(await this.#open(savepoint))
  }

  checkViolations(): void {
    const [violation] = this.store.violations
    if (violation !== undefined) throw new Error(violation)
  }

  /** All that is on its way arrives, and what was lost is given up. */
  async quiesce(): Promise<void> {
    const { attempt, clock, settings } = this
    await attempt.deliverAll()
    if (attempt.lost > 0) await clock.advance(settings.limits.timeoutMs)
    await attempt.coordinator.idle()
  }

  /** Everything arrives, faults are over, and the job takes one more checkpoint for each that it retains. */
  async quietEnd(): Promise<void> {
    this.faults.heal()
    for (const former of this.former) {
      await former.deliverAll()
      await former.coordinator.close()
    }
    for (const notice of this.attempt.notices.splice(0)) notice()
    await this.quiesce()
    if (this.attempt.failure !== undefined) await this.restart(this.#random, 'close')
    await this.#completeLast()
    this.checkViolations()
    this.#retention.check()
    await this.checkState()
    await verifyAll(this)
    await checkAtEnd(this)
    await verifyAll(this)
    this.checkViolations()
  }

  async #completeLast(): Promise<void> {
    const { attempt, clock } = this
    const { retainedCheckpointsMax, minPauseMs } = this.settings.limits
    attempt.answers = 'themselves'
    let completed = 0
    for (let taken = 0; completed < retainedCheckpointsMax; taken++) {
      await clock.advance(minPauseMs)
      this.trigger(() => attempt.coordinator.triggerCheckpoint(null))
      await attempt.deliverAll()
      await attempt.coordinator.idle()
      const event = attempt.events.get(attempt.triggered.at(-1) ?? 0)
      if (event?.status === 'completed') completed++
      else if (event?.reason !== 'not-published' || taken === LAST_CHECKPOINTS_MAX) {
        throw new Error(`no checkpoint is completed any more: ${event?.reason}`)
      }
    }
  }

  /** Closes everything, whatever state it is in. */
  async close(): Promise<void> {
    this.faults.heal()
    for (const attempt of [...this.former, this.#attempt]) {
      await attempt?.closeBackends()
      await attempt?.coordinator.close()
    }
  }
}

function sourceName(source: RestoreSource, found: boolean): string {
  if (!found) return 'nothing'
  if ('snapshot' in source) return `savepoint, ${source.claimMode ?? 'default'}`
  if (source.walkBack === true) return 'newest, walking back'
  return source.checkpointId === undefined ? 'newest' : 'by id'
}
