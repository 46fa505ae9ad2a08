import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { mergeEntries } from '../../src/table/merging-iterator.js'
import type { TableEntry } from '../../src/table/table-reader.js'
import { deletion, expectEntries, put, sortEntries } from './fixtures.js'

function newestPerKey(entries: readonly TableEntry[]): TableEntry[] {
  const sorted = sortEntries(entries)
  return sorted.filter((entry, index) => sorted[index - 1]?.userKey.equals(entry.userKey) !== true)
}

describe('mergeEntries', () => {
  it('gives the newest entry of every key, in key order, for up to 64 sources', () => {
    const histories = fc.array(
      fc.record({
        userKey: fc.string({ maxLength: 2 }),
        source: fc.nat(63),
        isDeletion: fc.boolean(),
        alsoIn: fc.option(fc.nat(63)),
      }),
      { maxLength: 200 },
    )
    fc.assert(
      fc.property(histories, fc.integer({ min: 1, max: 64 }), (history, sourceCount) => {
        const sources = Array.from({ length: sourceCount }, (): TableEntry[] => [])
        const all: TableEntry[] = []
        for (const [index, { userKey, source, isDeletion, alsoIn }] of history.entries()) {
          const entry = isDeletion ? deletion(userKey, index) : put(userKey, index, `${index}`)
          const homes = new Set([source % sourceCount, (alsoIn ?? source) % sourceCount])
          for (const home of homes) sources[home]?.push(entry)
          all.push(entry)
        }
        const merged = [...mergeEntries(sources.map((source) => sortEntries(source)))]
        expectEntries(merged, newestPerKey(all))
      }),
    )
  })

  it('takes an entry that several sources hold from the first of them', () => {
    const sources = [[put('k', 2, 'first')], [put('k', 2, 'second')], [put('k', 1, 'old')]]
    expectEntries([...mergeEntries(sources)], [put('k', 2, 'first')])
  })

  it('gives nothing for no sources and for empty ones', () => {
    expect([...mergeEntries([])]).toEqual([])
    expect([...mergeEntries([[], []])]).toEqual([])
  })

  it('closes every source when it is left early, and when one fails', () => {
    const closed: string[] = []
    function* source(name: string, fails: boolean): Generator<TableEntry> {
      try {
        yield put(`1${name}`, 1, '')
        if (fails) throw new Error('unreadable')
        yield put(`2${name}`, 1, '')
      } finally {
        closed.push(name)
      }
    }
    for (const entry of mergeEntries([source('a', false), source('b', false)])) {
      expect(entry.userKey.toString()).toBe('1a')
      break
    }
    expect(closed.sort()).toEqual(['a', 'b'])
    closed.length = 0
    expect(() => [...mergeEntries([source('a', true), source('b', false)])]).toThrow('unreadable')
    expect(closed.sort()).toEqual(['a', 'b'])
  })

  it('holds a source that does not ascend to be a bug', () => {
    for (const source of [
      [put('b', 1, ''), put('a', 1, '')],
      [put('a', 1, ''), put('a', 2, '')],
    ]) {
      expect(() => [...mergeEntries([source])]).toThrow(
        expect.objectContaining({ code: 'INVARIANT_BROKEN' }),
      )
    }
  })
})
