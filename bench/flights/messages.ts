/** Between the main program and the process that runs the job. */
import type { CheckpointEvent } from '../../src/host/checkpoint-events.js'
import type { RouteResult } from './route-result.js'

export const stateBackendNames = ['leveldb', 'hashmap'] as const
export type StateBackendName = (typeof stateBackendNames)[number]

/** The job's only argument, as JSON. */
export interface JobSettings {
  readonly records: number
  readonly parallelism: number
  readonly stateBackend: StateBackendName
  /** A directory, or `s3://bucket/prefix`. */
  readonly checkpointDirectory: string
  readonly s3Endpoint: string | undefined
  readonly jobId: string
  readonly workDirectory: string
  readonly checkpointEveryRecords: number
  readonly reportEveryRecords: number
}

export type JobMessage =
  | {
      readonly type: 'started'
      /** 0 when there was no checkpoint. */
      readonly restoredCheckpointId: number
      /** Records whose effect is in the state already. */
      readonly records: number
    }
  /** All records up to this one are processed. */
  | { readonly type: 'progress'; readonly records: number }
  | { readonly type: 'checkpoint'; readonly event: CheckpointSummary }
  /** All records are processed, and the final checkpoint is completed. */
  | { readonly type: 'processed' }
  | { readonly type: 'results'; readonly routes: readonly RouteResult[] }
  | { readonly type: 'failed'; readonly error: string }

type WithoutCause<Event> = Event extends unknown ? Omit<Event, 'cause'> : never

/** An event without its cause, which may be anything; its message is in `failure`. */
export type CheckpointSummary = WithoutCause<CheckpointEvent> & { readonly failure?: string }
