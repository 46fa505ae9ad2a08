/** What a sceptic must know. */
import { OPTIONAL_PEERS } from '../state/optional-peers.js'
import { ZIPF_EXPONENT } from './key-source.js'
import { KEY_BYTES, RECORD_BYTES, VALUE_BYTES } from './records.js'

export function notesOf(memoryMib: number): string[] {
  return [
    `Records: a number as key, ${VALUE_BYTES} bytes that do not compress as value, counted as ${KEY_BYTES} + ${VALUE_BYTES} bytes; MB are ` +
      `10^6 bytes of these. Changed bytes: the distinct keys that were written since the checkpoint before × ${RECORD_BYTES}. Nothing is removed.`,
    `Keys: uniform, or skewed: the key of rank r with a likelihood of r^-${ZIPF_EXPONENT} (the Zipf distribution of YCSB), the ranks scattered over ` +
      'the keys. Writes go on until the given part of the keys is changed, so skewed keys are written several times each. Reads are of ' +
      'other keys, of the same distribution.',
    'Every run begins with a copy of a state that was filled in no order, and one checkpoint that is not counted. Bytes, times and restore: ' +
      'the stream stands while a checkpoint is taken. Throughput: from runs of their own, in which it never stands and writes what it ' +
      'can, 1 read per write. It gives the event loop a turn every 5 ms, as the local host does.',
    'Uploaded: all bytes put to the storage directory, `_metadata` and inlined state included, every file and name synced. Ours also ' +
      'computes a SHA-256 of each; the others do not.',
    'leveldb-files: LevelDB cannot flush; compactRange over a range without keys makes it write its memtable, and the stream stands until ' +
      'the MANIFEST names a log newer than all before. Uploaded is each table whose name and size the last checkpoint did not have.',
    'leveldb-copy: the stream stands from the close to the end of the copy and of the open after it.',
    'lmdb and better-sqlite3: their backups hold the whole state. lmdb cuts it when its thread begins, SQLite when its backup ends: with a ' +
      'stream that goes on, neither is the moment that was asked for. Verified is the last one, taken with the stream standing.',
    'Each contender takes its checkpoints of a load in one process of its own; those that share a load follow each other, each load begins ' +
      'with another one. "Up to" so many checkpoints: contenders that upload their whole state each time take fewer, as what they upload does ' +
      "not depend on it, and so do LevelDB's own files where ours take 100 or more; the parameters tell how many each. By default, the former " +
      'are measured on one load.',
    `Memory: ${memoryMib} MiB. Ours: all of it. LevelDB by hand: an eighth for each of two memtables (at most 16 MiB), the rest for blocks. SQLite: its page ` +
      'cache. lmdb: the page cache of the system, which the budget does not bind.',
    'Verified after each restore: every key that a run changed, and every eighth of the others. Restores are from files in the page cache, and ' +
      'nobody syncs what is restored.',
    `better-sqlite3 ${OPTIONAL_PEERS['better-sqlite3']}. Not measured: storage over a network (bench:s3), more than one task (bench:scale), rescaling ` +
      '(bench:rescale), a disk that others use.',
  ]
}
