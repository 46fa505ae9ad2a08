/**
 * One memory budget for everything a keyed state backend holds: write buffer, read cache, LevelDB's block cache and memtables.
 */
import { StateBackendError } from '../errors.js'

const MIB = 2 ** 20

/** Below this LevelDB's own minimum buffers would not fit. */
const MIN_BUDGET_BYTES = 8 * MIB
const DEFAULT_BUDGET_BYTES = 256 * MIB

/** What one backend may use, in bytes. */
export interface MemoryShare {
  /** Active and frozen generations together; past it a write throws `WRITE_BUFFER_FULL`. */
  readonly writeBufferBytes: number
  readonly readCacheBytes: number
  /** What tells new keys from stored ones without a look at LevelDB. */
  readonly keyFilterBytes: number
  readonly blockCacheBytes: number
  /** One LevelDB memtable; there may be two. */
  readonly memtableBytes: number
}

/** Memtables beyond this make restores and flushes longer without making writes faster (measured from 4 to 64 MB). */
const MAX_MEMTABLE_BYTES = 16 * MIB
const MIN_MEMTABLE_BYTES = 1 * MIB
const MEMTABLE_FRACTION = 1 / 8

/** At 10 bits a key 3 million keys in the default budget; it is of use up to three times as many. */
const KEY_FILTER_FRACTION = 1 / 64

/** Uncompressed blocks are read from mapped files and never enter the block cache: it gets what it needs to exist. */
const UNUSED_BLOCK_CACHE_BYTES = MIB / 2
/** Of what the memtables leave. */
const BLOCK_CACHE_FRACTION = 1 / 8
/** Of what memtables, block cache and key filter leave; the read cache gets the rest. */
const WRITE_BUFFER_FRACTION = 0.6

/**
 * A budget in bytes, divided evenly between the backends that share it. Pass one instance to several state backends, or let one
 * state backend create several keyed backends, and say in `backends` how many there will be.
 */
export class MemoryBudget {
  readonly totalBytes: number
  readonly backends: number

  /** Throws `INVALID_ARGUMENT` when a backend's share is under 8 MiB. */
  constructor(
    totalBytes: number = DEFAULT_BUDGET_BYTES,
    options: { backends?: number | undefined } = {},
  ) {
    this.totalBytes = totalBytes
    this.backends = options.backends ?? 1
    if (!Number.isInteger(this.backends) || this.backends < 1) {
      throw new StateBackendError(
        'INVALID_ARGUMENT',
        `backends must be a positive integer, got ${this.backends}.`,
      )
    }
    if (!(totalBytes / this.backends >= MIN_BUDGET_BYTES)) {
      throw new StateBackendError(
        'INVALID_ARGUMENT',
        `A keyed state backend needs at least ${MIN_BUDGET_BYTES} bytes of memory, ${totalBytes} bytes over ${this.backends} ` +
          'backends are less. Raise the budget or lower the parallelism per process.',
      )
    }
  }
}

/** The share of one backend whose tables are compressed or not. */
export function memoryShareOf(
  { totalBytes, backends }: MemoryBudget,
  compression: 'none' | 'snappy',
): MemoryShare {
  const bytes = totalBytes / backends
  const memtableBytes = Math.min(
    Math.max(bytes * MEMTABLE_FRACTION, MIN_MEMTABLE_BYTES),
    MAX_MEMTABLE_BYTES,
  )
  const blockCacheBytes =
    compression === 'none'
      ? UNUSED_BLOCK_CACHE_BYTES
      : (bytes - 2 * memtableBytes) * BLOCK_CACHE_FRACTION
  const keyFilterBytes = bytes * KEY_FILTER_FRACTION
  const rest = bytes - 2 * memtableBytes - blockCacheBytes - keyFilterBytes
  const writeBufferBytes = rest * WRITE_BUFFER_FRACTION
  return {
    memtableBytes: Math.floor(memtableBytes),
    blockCacheBytes: Math.floor(blockCacheBytes),
    writeBufferBytes: Math.floor(writeBufferBytes),
    readCacheBytes: Math.floor(rest - writeBufferBytes),
    keyFilterBytes: Math.floor(keyFilterBytes),
  }
}
