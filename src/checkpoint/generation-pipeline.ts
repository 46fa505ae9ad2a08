/**
 * Writes frozen generations one after the other, and plans snapshots between them.
 *
 * Invariants
 * A1 Generations are written and retired in the order they were frozen, one at a time.
 * A2 A snapshot is planned right after its generation's tables were written and before the next one is; what it needs of the store it
 *    looks at when that has the generation. The in-memory backend's is retired before: what it folds into is the store.
 * A3 After the first failure to write a generation nothing is written or planned any more: the order of writes would have a hole.
 * A4 After `close` nothing is begun: what comes in is dropped, also what retiring the generation under way freezes.
 */
import type { Clock } from '../common/clock.js'
import { throwIfAborted } from '../common/concurrency.js'
import { SerialQueue } from '../common/serial-queue.js'
import { Slicer } from '../common/slicer.js'
import type { StateBackendError } from '../errors.js'
import { writeGeneration } from '../store/generation-writer.js'
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
  /** Its tables are written; it is on its way to the store, and not yet in the read cache. */
  #written: { readonly generation: Generation; readonly stored: Promise<void> } | undefined
  /** Why nothing is begun any more. */
  #end: { readonly error: unknown } | undefined

  constructor(options: GenerationPipelineOptions) {
    this.#options = options
    this.#slicer = new Slicer(options.clock)
    this.#lastSequence = options.lastSequence
  }

  /** The sequence of the last entry that was written. */
  get lastSequence(): number {
    return this.#lastSequence
  }

  /** Takes over a frozen generation; drops it after a failure or `close`. */
  submit(generation: Generation): void {
    if (this.#end !== undefined) return
    this.#push(() => this.#write(generation))
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
        stored: () => this.#written?.stored ?? Promise.resolve(),
      })
    })
  }

  /** Resolves when everything submitted so far was written, or the pipeline has failed. More may have been submitted meanwhile. */
  idle(): Promise<void> {
    return this.#queue.idle()
  }

  /**
   * Begins nothing more: waiting generations are dropped, waiting plans reject with `reason`. Resolves when what is under way has
   * ended; nothing of the pipeline touches a file after that. Never rejects.
   */
  async close(reason: StateBackendError): Promise<void> {
    this.#end ??= { error: reason }
    await this.#queue.idle()
    await this.#written?.stored.catch(() => undefined)
  }

  async #write(generation: Generation): Promise<void> {
    await this.#retire()
    const { buffer, store, strategy, table } = this.#options
    const { tables, stored } = await writeGeneration(
      {
        keySerializer: buffer.keySerializer,
        startKeyGroup: buffer.startKeyGroup,
        numberOfKeyGroups: buffer.numberOfKeyGroups,
        layers: generation.layers,
        raw: generation.raw,
      },
      {
        store,
        lastSequence: this.#lastSequence,
        createTable: () => TableFileWriter.create(strategy.newTablePath(), table),
        slicer: this.#slicer,
      },
    )
    const deltas = tables.map(({ file, sketch }) => deltaTable(file, sketch))
    this.#lastSequence = deltas.at(-1)?.toSequence ?? this.#lastSequence
    strategy.addDeltas(deltas)
    this.#written = { generation, stored }
    if (store === undefined) await this.#retire()
    // Behind the plan that waits for this generation: a checkpoint need not wait for the read cache.
    else this.#push(() => this.#retire())
  }

  async #retire(): Promise<void> {
    if (this.#written === undefined) return
    const { generation, stored } = this.#written
    const { buffer, strategy, onWritten } = this.#options
    await stored
    this.#written = undefined
    strategy.boundDeltas()
    this.#slicer.restart()
    await buffer.retire(generation, this.#slicer)
    onWritten(generation)
  }
}
