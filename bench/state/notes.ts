/** What the table has to say besides figures: what is not the same for all, and what is not measured. */
import { OPTIONAL_PEERS } from './optional-peers.js'

export function notesOf(memoryMib: number): string[] {
  return [
    'Figures: thousand operations per second, the median of all rounds and half their range; scans count entries.',
    'Durability: none is synchronous; what a crash may lose is the business of checkpoints. classic-level, rocksdb-native and ' +
      'SQLite write a log; the backends, Flink, and lmdb (which writes its pages) do not. No checkpoint is taken meanwhile.',
    `Memory: ${memoryMib} MiB each. Not so: Map and the heap backends hold all state; lmdb uses the page cache; rocksdb-native sizes ` +
      'its write buffers only; "Flink RocksDB" is as in Flink\'s benchmarks (8 MiB block cache, two write buffers of 64 MiB), ' +
      '"Flink RocksDB budget" has the rest of the budget as its block cache.',
    'Writes by hand are batched by 2000 and read from the batch; Flink writes each into its write buffer; ours go to the write buffer.',
    'Lists by hand are one value, read and written again to append (SQLite appends in place; Flink merges).',
    `rocksdb-native ${OPTIONAL_PEERS['rocksdb-native']} reads asynchronously only, one read at a time, as an operator would.`,
    'Not measured here: state larger than memory, checkpoints, restore, more than one task.',
  ]
}
