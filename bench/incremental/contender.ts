/**
 * What keeps state and takes checkpoints of it, to be compared: our backend, and what a user would do by hand.
 *
 * K1 A checkpoint holds what was written before `checkpoint()` was called. Where a contender cannot say so while the stream goes on,
 *    the notes do; the last checkpoint of a run is taken with the stream standing, and is the one that is verified.
 * K2 A checkpoint is durable when its files and their names are: fsync of each, as our own storage does.
 */

export interface Uploaded {
  /** Everything that went to storage for this checkpoint. */
  readonly bytes: number
  /** Ours: `delta`, `merge` or `rebase`. */
  readonly kind: string
}

export interface RunningCheckpoint {
  /** The stream may go on: the end of the synchronous part. */
  readonly resumed: Promise<unknown>
  /** The end of the asynchronous part. */
  readonly durable: Promise<Uploaded>
}

export interface Contender {
  /** Sees every write before it. */
  read(key: number): Uint8Array | undefined
  /** The value is the contender's own. */
  write(key: number, value: Buffer): void
  /** Whether `settle` must be awaited before the next write. */
  readonly mustSettle: boolean
  settle(): Promise<unknown>
  /** To be called when no other is running, and with no write while `resumed` is pending. */
  checkpoint(): RunningCheckpoint
  /** Deletes from storage what the newest checkpoint does not need: untimed. */
  discardOld(): Promise<void>
  /** Resolves when the store has nothing left to do in the background. Missing where it never has. */
  quiet?(): Promise<void>
  /** Writes what was collected. */
  close(): Promise<void>
}

export interface ContenderOptions {
  /** Of this run alone; storage is `checkpoints/` in it. */
  readonly directory: string
  readonly memoryBytes: number
}

export interface ContenderModule {
  /**
   * What a prepared state is left as: the newest checkpoint, or the store's own files. A run begins with a copy of these, and of nothing
   * else of the directory.
   */
  readonly prepared: 'checkpoint' | 'files'
  /** On a directory that is empty or was prepared. */
  open(options: ContenderOptions): Promise<Contender>
  /** Brings back the newest checkpoint of a closed contender, in files of its own, until it can be read. */
  restore(options: ContenderOptions): Promise<Contender>
}
