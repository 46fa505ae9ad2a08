/**
 * Writes frozen generations one after the other, and plans snapshots between them.
 *
 * Invariants
 * A1 Generations are written and retired in the order they were frozen, one at a time.
 * A2 A snapshot is planned right after its generation's tables were written and before the next one is; what it needs of the store it
 *    looks at when that has the generation. The in-memory backend's is retired before: what it folds into is the store.
 * A3 After the first failure to write a generation nothing is written or planned any more: the order of writes would have a hole.
 * A4 What was frozen for a snapshot goes to the store when the snapshot has ended, or something else needs it there: `release`, a snapshot
 *    that takes the store's tables, the next generation.
 * A5 After `close` nothing is begun: what comes in is dropped, also what retiring the generation under way freezes.
 */
import type { Clock } from '../common/clock.js'
import { throwIfAborted } from '../common/concurrency.js'
import { SerialQueue } from '../common/serial-queue.js'
import { BACKGROUND_SLICE_MS, Slicer } from '../common/slicer.js'
import type { StateBackendError } from '../errors.js'
import { writeGeneration, type WrittenGeneration } from '../store/generation-writer.js'
import type { LevelDBStore } from '../store/leveldb-store.js'
import type { Generation, WriteBuffer } from '../store/write-buffer.js'
import { TableFileWriter } from '../table/table-file.js'
import type { TableWriterOptions } from '../table/table-writer.js'
import type { SnapshotType } from './checkpoint-options.js'
import { deltaTable } from './delta-table.js'
import type { PlannedSnapshot, SnapshotStrategy } from './snapshot-strategy.js'

export interface GenerationPipelineOptions {
  readonly buffer: WriteBuffer
  /** `undefined` for the in-memory backend. */
  readonly store: LevelDBStore | undefined
  readonly strategy: SnapshotStrategy
  readonly table: TableWriterOptions
  readonly clock: Clock
  /** The last sequence of what was restored; 0 for nothing. */
  readonly lastSequence: number
  /** Called with a generation that is in the store and in the read cache. */
  readonly onWritten: (generation: Generation) => void
  /** Called once, with the error that stopped the pipeline. */
  readonly onFailure: (error: unknown) => void
}

export class GenerationPipeline {
  readonly #options: GenerationPipelineOptions
  readonly #queue = new SerialQueue()
  readonly #slicer: Slicer
  #lastSequence: number
  /** Its tables are written; the store may have it or not, and it is not yet in the read cache. */
  #written: (WrittenGeneration & { readonly generation: Generation }) | undefined
  /** Whether the generation that was submitted last is held back (A4). */
  #isHeld = false
  /** Why nothing is begun any more. */
  #end: { readonly error: unknown } | undefined

  constructor(options: GenerationPipelineOptions) {
    this.#options = options
    this.#slicer = new Slicer(options.clock, BACKGROUND_SLICE_MS)
    this.#lastSequence = options.lastSequence
  }

  /** The sequence of the last entry that was written. */
  get lastSequence(): number {
    return this.#lastSequence
  }

  /**
   * Takes over a frozen generation; drops it after a failure or `close`. `held`: it was frozen for a snapshot, and is held back from the
   * store so as not to be in its way.
   */
  submit(generation: Generation, { held }: { readonly held: boolean }): void {
    if (this.#end !== undefined) return
    this.#isHeld = held
    this.#push(() => this.#write(generation, held))
  }

  /** Lets what is held back go to the store and into the read cache; nothing where nothing is. */
  release(): void {
    if (!this.#isHeld) return
    this.#isHeld = false
    this.#push(() => this.#retire())
  }

  #push(work: () => Promise<void>): void {
    void this.#queue.push(async () => {
      if (this.#end !== undefined) return
      try {
        await work()
      } catch (error) {
        this.#end ??= { error }
        this.#options.onFailure(error)
      }
    })
  }

  /** Plans a snapshot of everything submitted so far. Rejects with the failure that stopped the pipeline, or the reason of `close`. */
  plan(
    checkpointId: number,
    snapshotType: SnapshotType,
    signal: AbortSignal,
  ): Promise<PlannedSnapshot> {
    return this.#queue.push(() => {
      if (this.#end !== undefined) throw this.#end.error
      throwIfAborted(signal)
      return this.#options.strategy.plan({
        checkpointId,
        snapshotType,
        throughSequence: this.#lastSequence,
        stored: () => this.#written?.store() ?? Promise.resolve(),
      })
    })
  }

  /** Resolves when everything submitted so far was written, or the pipeline has failed. More may have been submitted meanwhile. */
  idle(): Promise<void> {
    this.release()
    return this.#queue.idle()
  }

  /**
   * Begins nothing more: waiting generations are dropped, waiting plans reject with `reason`. Resolves when what is under way has
   * ended; nothing of the pipeline touches a file after that. Never rejects.
   */
  async close(reason: StateBackendError): Promise<void> {
    this.#end ??= { error: reason }
    await this.#queue.idle()
    await this.#written?.settled()
  }

  async #write(generation: Generation, held: boolean): Promise<void> {
    await this.#retire()
    const { buffer, store, strategy, table } = this.#options
    const written = await writeGeneration(
      {
        keySerializer: buffer.keySerializer,
        startKeyGroup: buffer.startKeyGroup,
        numberOfKeyGroups: buffer.numberOfKeyGroups,
        layers: generation.layers,
        raw: generation.raw,
      },
      {
        store,
        held,
        lastSequence: this.#lastSequence,
        createTable: () => TableFileWriter.create(strategy.newTablePath(), table),
        slicer: this.#slicer,
      },
    )
    const deltas = written.tables.map(({ file, sketch }) => deltaTable(file, sketch))
    this.#lastSequence = deltas.at(-1)?.toSequence ?? this.#lastSequence
    strategy.addDeltas(deltas)
    this.#written = { ...written, generation }
    // What was too much to be held back is on its way to the store; its room in the buffer is needed.
    if (written.isHeld) return
    if (store === undefined) return this.#retire()
    void written.store()
    // Behind the plan that waits for this generation: a checkpoint need not wait for the read cache.
    this.#push(async () => {
      if (this.#written?.generation === generation) await this.#retire()
    })
  }

  async #retire(): Promise<void> {
    if (this.#written === undefined) return
    const { generation, store } = this.#written
    const { buffer, strategy, onWritten } = this.#options
    await store()
    this.#written = undefined
    strategy.boundDeltas()
    this.#slicer.restart()
    await buffer.retire(generation, this.#slicer)
    onWritten(generation)
  }
}
