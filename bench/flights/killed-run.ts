/**
 * The job over its whole input, in two processes: the first is killed half way, the second comes back from the last completed
 * checkpoint and finishes.
 */
import { startJobProcess, type JobProcess } from './job-process.js'
import type { CheckpointSummary, JobMessage, JobSettings } from './messages.js'
import { checkpointLine, whole, type Report } from './report.js'
import type { RouteResult } from './route-result.js'

export type CompletedSummary = Extract<CheckpointSummary, { status: 'completed' }>

export interface KilledRun {
  /** The last record the first process said it had processed. */
  readonly killedAtRecord: number
  readonly restoredFromCheckpoint: number
  readonly restoredAtRecord: number
  /** By both processes. */
  readonly recordsProcessed: number
  /** From the first record to the kill, and from there the second's first record to its final checkpoint. */
  readonly seconds: number
  readonly checkpoints: readonly CompletedSummary[]
}

export class KilledRunner {
  readonly #settings: JobSettings
  readonly #restoreParallelism: number
  readonly #temporaryDirectory: string
  readonly #report: Report
  readonly #checkpoints: CompletedSummary[] = []
  #process: JobProcess | undefined
  #interrupted = false

  constructor(
    settings: JobSettings,
    restoreParallelism: number,
    temporaryDirectory: string,
    report: Report,
  ) {
    this.#settings = settings
    this.#restoreParallelism = restoreParallelism
    this.#temporaryDirectory = temporaryDirectory
    this.#report = report
  }

  /** `onResults` is given what the second process found in its state. */
  async run(onResults: (routes: readonly RouteResult[]) => void): Promise<KilledRun> {
    const { records } = this.#settings
    const first = await this.#runUntil(Math.ceil(records / 2))
    this.#report.line(`killed with SIGKILL at flight ${whole(first.records)}`)
    const second = await this.#runToEnd(onResults)
    return {
      killedAtRecord: first.records,
      restoredFromCheckpoint: second.restoredFromCheckpoint,
      restoredAtRecord: second.restoredAtRecord,
      recordsProcessed: first.records + records - second.restoredAtRecord,
      seconds: (first.milliseconds + second.milliseconds) / 1000,
      checkpoints: this.#checkpoints,
    }
  }

  /** Ends the process that is running; `run` rejects. */
  interrupt(): void {
    this.#interrupted = true
    this.#process?.kill()
  }

  async #runUntil(records: number): Promise<{ records: number; milliseconds: number }> {
    let processed = 0
    let startMs = 0
    let endMs = 0
    const ended = await this.#start(this.#settings, (message, process) => {
      if (message.type === 'started') startMs = performance.now()
      if (message.type === 'progress') processed = message.records
      if (message.type === 'processed') processed = this.#settings.records
      if (processed < records || endMs > 0) return
      endMs = performance.now()
      process.kill()
    })
    if (ended === 'killed') return { records: processed, milliseconds: endMs - startMs }
    throw new Error('The first process ended before it could be killed. Give it more records.')
  }

  async #runToEnd(onResults: (routes: readonly RouteResult[]) => void): Promise<{
    restoredFromCheckpoint: number
    restoredAtRecord: number
    milliseconds: number
  }> {
    let restoredFromCheckpoint = 0
    let restoredAtRecord = 0
    let startMs = 0
    let milliseconds = 0
    const settings = { ...this.#settings, parallelism: this.#restoreParallelism }
    await this.#start(settings, (message) => {
      if (message.type === 'started') {
        startMs = performance.now()
        restoredFromCheckpoint = message.restoredCheckpointId
        restoredAtRecord = message.records
        const flight = whole(restoredAtRecord)
        this.#report.line(
          `restored from checkpoint ${restoredFromCheckpoint}, at flight ${flight}, parallelism ${this.#restoreParallelism}`,
        )
      }
      if (message.type === 'processed') {
        milliseconds = performance.now() - startMs
        this.#report.progress(this.#settings.records)
      }
      if (message.type === 'results') onResults(message.routes)
    })
    return { restoredFromCheckpoint, restoredAtRecord, milliseconds }
  }

  async #start(
    settings: JobSettings,
    onMessage: (message: JobMessage, process: JobProcess) => void,
  ): Promise<'finished' | 'killed'> {
    const started = startJobProcess(settings, this.#temporaryDirectory, (message) => {
      if (message.type === 'progress') this.#report.progress(message.records)
      if (message.type === 'checkpoint') this.#checkpoint(message.event)
      onMessage(message, started)
    })
    this.#process = started
    const ended = await started.ended
    if (this.#interrupted) throw new Error('interrupted')
    return ended
  }

  #checkpoint(event: CheckpointSummary): void {
    this.#report.line(checkpointLine(event))
    if (event.status === 'completed') this.#checkpoints.push(event)
  }
}
