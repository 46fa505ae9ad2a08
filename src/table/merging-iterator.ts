/**
 * Merges sorted sources of table entries into one, as LevelDB's compaction does: of every user key only the newest entry, a
 * deletion included, since older tables may still hold what it deletes.
 */
import { assert } from '../common/assert.js'
import type { TableEntry } from './table-reader.js'

interface Source {
  iterator: Iterator<TableEntry>
  /** Position among the sources, which decides between equal entries. */
  order: number
  head: TableEntry
}

/**
 * Union in user-key order. Every source ascends by user key, then descends by sequence. An entry that several sources hold
 * (same key and sequence) is taken from the first of them. A source's entry must stay valid while the source goes on. Leaving the
 * loop early closes the sources.
 */
export function* mergeEntries(sources: readonly Iterable<TableEntry>[]): Generator<TableEntry> {
  const iterators = sources.map((source) => source[Symbol.iterator]())
  try {
    const heap: Source[] = []
    for (const [order, iterator] of iterators.entries()) {
      const first = iterator.next()
      if (first.done !== true) heap.push({ iterator, order, head: first.value })
    }
    for (let index = (heap.length >>> 1) - 1; index >= 0; index--) siftDown(heap, index)
    let last: TableEntry | undefined
    for (let top = heap[0]; top !== undefined; top = heap[0]) {
      if (last === undefined || !last.userKey.equals(top.head.userKey)) {
        last = top.head
        yield last
      }
      advance(heap, top)
    }
  } finally {
    for (const iterator of iterators) iterator.return?.()
  }
}

/** Replaces the head of the topmost source, or drops a source that has ended. */
function advance(heap: Source[], top: Source): void {
  const next = top.iterator.next()
  if (next.done === true) {
    const last = heap.pop()
    if (last === undefined || last === top) return
    heap[0] = last
  } else {
    assert(compareEntries(top.head, next.value) < 0, 'a source of a merge ascends')
    top.head = next.value
  }
  siftDown(heap, 0)
}

function siftDown(heap: Source[], start: number): void {
  const moving = heap[start]
  if (moving === undefined) return
  let hole = start
  for (;;) {
    let childAt = 2 * hole + 1
    let child = heap[childAt]
    if (child === undefined) break
    const sibling = heap[childAt + 1]
    if (sibling !== undefined && compareSources(sibling, child) < 0) {
      childAt++
      child = sibling
    }
    if (compareSources(moving, child) <= 0) break
    heap[hole] = child
    hole = childAt
  }
  heap[hole] = moving
}

function compareSources(a: Source, b: Source): number {
  return compareEntries(a.head, b.head) || a.order - b.order
}

function compareEntries(a: TableEntry, b: TableEntry): number {
  return a.userKey.compare(b.userKey) || b.sequence - a.sequence
}
