/** When the file of a delta goes. */
import { Buffer } from 'node:buffer'
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { DeltaTable } from '../../src/checkpoint/delta-table.js'
import { LocalDeltas } from '../../src/checkpoint/local-deltas.js'
import { temporaryDirectory } from '../support/state-task.js'

function delta(directory: string, fromSequence: number, toSequence: number): DeltaTable {
  const path = join(directory, `${fromSequence}-${toSequence}.ldb`)
  writeFileSync(path, 'table')
  return {
    path,
    sizeBytes: 5,
    sha256: '',
    smallest: Buffer.alloc(8),
    largest: Buffer.alloc(8),
    fromSequence,
    toSequence,
    entryCount: 1,
    sketch: undefined,
  }
}

describe('LocalDeltas', () => {
  it('keeps what no completed checkpoint has, and what is needed', () => {
    const directory = temporaryDirectory()
    const deltas = new LocalDeltas()
    const [first, second, third] = [
      delta(directory, 1, 10),
      delta(directory, 11, 20),
      delta(directory, 21, 30),
    ]
    for (const each of [first, second, third]) deltas.add(each)
    expect(deltas.unconfirmedBytes).toBe(15)

    deltas.forgetThrough(19)
    expect(deltas.unconfirmed).toEqual([second, third])
    deltas.sweep([first])
    expect([first, second, third].map(({ path }) => existsSync(path))).toEqual([true, true, true])
    deltas.sweep([])
    expect([first, second, third].map(({ path }) => existsSync(path))).toEqual([false, true, true])

    deltas.forgetThrough(20)
    expect(deltas.unconfirmed).toEqual([third])
    deltas.sweep([])
    expect([second, third].map(({ path }) => existsSync(path))).toEqual([false, true])
    expect(deltas.unconfirmedBytes).toBe(5)
  })

  it('removes a tracked file when nobody needs it, and no file it was never told of', () => {
    const directory = temporaryDirectory()
    const deltas = new LocalDeltas()
    const [tracked, stranger] = [delta(directory, 1, 10), delta(directory, 11, 20)]
    deltas.track(tracked.path)
    deltas.sweep([tracked])
    expect(existsSync(tracked.path)).toBe(true)
    deltas.sweep([])
    expect(existsSync(tracked.path)).toBe(false)
    expect(existsSync(stranger.path)).toBe(true)
  })

  it('a file that is gone already is no failure', () => {
    const deltas = new LocalDeltas()
    deltas.track(join(temporaryDirectory(), 'never-made.ldb'))
    expect(() => deltas.sweep([])).not.toThrow()
  })

  it('takes back deltas of a checkpoint that cannot be built on, before all others', () => {
    const directory = temporaryDirectory()
    const deltas = new LocalDeltas()
    const [old, added] = [delta(directory, 1, 10), delta(directory, 11, 20)]
    deltas.add(old)
    deltas.forgetThrough(10)
    deltas.add(added)
    deltas.unconfirm([old])
    expect(deltas.unconfirmed).toEqual([old, added])
    deltas.sweep([])
    expect(existsSync(old.path)).toBe(true)
  })
})
