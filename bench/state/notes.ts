/** What the table has to say besides figures: what is not the same for all, and what is not measured. */
import { FLINK_HEAP_GIB } from '../peers/flink/run.js'
import { SAMPLES_PER_PROCESS, WARM_UP_ROUNDS, warmUpMs } from './measure.js'
import { OPTIONAL_PEERS } from './optional-peers.js'
import type { StateParameters } from './part.js'
import type { ContenderName } from './report.js'

export function notesOf(
  parameters: StateParameters,
  storedBytes: ReadonlyMap<ContenderName, number>,
): string[] {
  const { keys, memoryMib } = parameters
  return [
    'Figures: thousand operations per second, the median of all samples and half their range; scans count entries.',
    howMeasured(parameters),
    'Durability: none is synchronous; what a crash may lose is the business of checkpoints. No checkpoint is taken meanwhile.',
    'Writing on the clock: classic-level, rocksdb-native, lmdb and SQLite write every 2000 operations, to a log or (lmdb) in place; ' +
      `LevelDBStateBackend and Flink's RocksDB have no log, and write when a write buffer is full. ${storedText(parameters, storedBytes)}`,
    `Memory: ${memoryMib} MiB each. Not so: Map and the heap backends hold all state; lmdb uses the page cache; rocksdb-native sizes ` +
      'its write buffers only; "Flink RocksDB" is as in Flink\'s benchmarks (8 MiB block cache, two write buffers of 64 MiB), ' +
      '"Flink RocksDB budget" has the rest of the budget as its block cache. What the engines\' own heaps hold comes on top: of the JVM ' +
      `up to ${FLINK_HEAP_GIB} GiB, of Node.js up to its default.`,
    'Writes by hand are batched by 2000 and read from the batch; Flink writes each into its write buffer; ours go to the write buffer.',
    'Lists by hand are one value, read and written again to append (SQLite appends in place; Flink merges).',
    `rocksdb-native ${OPTIONAL_PEERS['rocksdb-native']} reads asynchronously only, one read at a time, as an operator would.`,
    `All read the same: the first 1000 of the ${keys.toLocaleString('en')} keys, added up, for each operation that reads.`,
    'Not measured here: state larger than memory, checkpoints, restore, more than one task.',
  ]
}

function howMeasured({ rounds, millis, cpu }: StateParameters): string {
  const processes = rounds === 1 ? 'one process' : `${rounds} processes`
  const clock = cpu ? ' of processor time' : ''
  return (
    `Frame: ${processes} of each contender for each kind of state, which its operations share, one after the other; each kind of state ` +
    'and round begins with another contender. The clock starts when a process has come to rest behind its set-up. ' +
    `An operation warms up for ${warmUpMs(millis)} ms (the first in a JVM for 1 s), and is then ` +
    `sampled ${SAMPLES_PER_PROCESS} times for ${millis} ms${clock}; one that adds keys or removes entries goes over all keys once instead, after ` +
    `${WARM_UP_ROUNDS} times to warm up (one that appends to lists warms up over them as often at most).${rounds === 1 ? ' The range is that within a process: another process may differ by more.' : ''}`
  )
}

function storedText(
  { keys, memoryMib }: StateParameters,
  storedBytes: ReadonlyMap<ContenderName, number>,
): string {
  if (storedBytes.size === 0) return ''
  const texts = [...storedBytes].map(
    ([name, bytes]) => `${name} ${Math.round(bytes / 2 ** 20)} MiB`,
  )
  const size = `${keys.toLocaleString('en')} keys and ${memoryMib} MiB of memory`
  return `In their directories at the end, with ${size}: ${texts.join(', ')}.`
}
