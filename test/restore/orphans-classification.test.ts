import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  classifyObjects,
  classifyUpload,
  type ClassifiedObject,
  type PublishedCheckpoint,
} from '../../src/restore/orphans-classification.js'
import type { CheckpointObject } from '../../src/storage/checkpoint-storage.js'
import { exclusiveName, sharedName, stateName } from './orphans-fixture.js'

const nowMs = 1_000_000
const minAgeMs = 1000
const limit = { minAgeMs, nowMs }
const old = nowMs - minAgeMs
const young = old + 1

const object = (location: string, lastModifiedMs = old): CheckpointObject => ({
  location,
  sizeBytes: 1,
  lastModifiedMs,
})

const named = (checkpointId: number, ...locations: string[]): PublishedCheckpoint => ({
  checkpointId,
  locations,
})
const unreadable = (checkpointId: number): PublishedCheckpoint => ({
  checkpointId,
  locations: undefined,
})

/** The class and reason of one object among others. */
function verdict(
  location: string,
  checkpoints: readonly PublishedCheckpoint[] = [],
  { lastModifiedMs = old, others = [] as string[] } = {},
): [string, string] {
  const objects = [location, ...others].map((each) => object(each))
  const all = classifyObjects(
    objects.map((each) => (each.location === location ? { ...each, lastModifiedMs } : each)),
    checkpoints,
    limit,
  )
  const found = all.find((each) => each.location === location)
  return [found?.class ?? '', found?.reason ?? '']
}

describe('classifyObjects', () => {
  it('finds live: _metadata, what it names, and the highest epoch', () => {
    const shared = sharedName(1)
    expect(verdict('chk-7/_metadata')).toEqual(['live', 'it is checkpoint 7'])
    expect(verdict('chk-7/_metadata', [unreadable(7)])).toEqual(['live', 'it is checkpoint 7'])
    expect(verdict(shared, [named(5, shared), named(7, shared), named(6)])).toEqual([
      'live',
      'checkpoint 7 names it',
    ])
    expect(verdict(exclusiveName(7, 1), [named(7, exclusiveName(7, 1))])[0]).toBe('live')
    expect(verdict('epochs/10', [], { others: ['epochs/9', 'epochs/2'] })).toEqual([
      'live',
      'the latest attempt at running the job claimed it',
    ])
  })

  it('finds orphans: old, of a name it knows, and named by none', () => {
    expect(verdict(sharedName(1), [named(7, sharedName(2))])).toEqual([
      'orphan',
      'no checkpoint names it',
    ])
    expect(verdict(exclusiveName(7, 1), [named(7, exclusiveName(7, 2))])).toEqual([
      'orphan',
      'checkpoint 7 does not name it',
    ])
    expect(verdict(exclusiveName(6, 1), [named(7)])).toEqual(['orphan', 'there is no checkpoint 6'])
    expect(verdict('epochs/9', [], { others: ['epochs/10'] })).toEqual([
      'orphan',
      'attempt 10 has begun since',
    ])
  })

  it.each([sharedName(1), exclusiveName(7, 1), 'epochs/1'])(
    'G2: takes %s for pending while it is young, from the future, or of no time',
    (location) => {
      const others = ['epochs/2']
      expect(verdict(location, [], { others })[0]).toBe('orphan')
      for (const lastModifiedMs of [young, nowMs, nowMs + 1, nowMs + 1e12, NaN]) {
        expect(verdict(location, [], { others, lastModifiedMs })).toEqual([
          'pending',
          'stored recently: a running checkpoint may be about to name it',
        ])
      }
    },
  )

  it('G2: without a minimum age, takes what was stored by now for old, and nothing from the future', () => {
    const ages = [0, -1, 1].map((ahead) => object(sharedName(ahead + 2), nowMs + ahead))
    const classes = classifyObjects(ages, [], { minAgeMs: 0, nowMs }).map((each) => each.class)
    expect(classes).toEqual(['orphan', 'orphan', 'pending'])
  })

  it('G3: spares what a checkpoint that cannot be read may name: shared state, and what is in its folder', () => {
    const checkpoints = [named(7), unreadable(5), unreadable(6)]
    expect(verdict(sharedName(1), checkpoints)).toEqual([
      'pending',
      'checkpoint 5 cannot be read, and may name it',
    ])
    expect(verdict(exclusiveName(6, 1), checkpoints)).toEqual([
      'pending',
      'checkpoint 6 cannot be read, and may name it',
    ])
    expect(verdict(exclusiveName(7, 1), checkpoints)[0]).toBe('orphan')
    expect(verdict('epochs/1', checkpoints, { others: ['epochs/2'] })[0]).toBe('orphan')
  })

  it.each([
    'README.txt',
    'shared/notes.txt',
    'shared/1-notes.txt',
    `shared/${stateName(1).slice(2)}`,
    `shared/01-${stateName(1).slice(2)}`,
    `shared/x${stateName(1)}`,
    `shared/${stateName(1)}.bak`,
    `shared/${stateName(1)}x!`,
    `shared/${stateName(10).toUpperCase()}`,
    `shared/deeper/${stateName(1)}`,
    `taskowned/${stateName(1)}`,
    stateName(1),
    `chk-/${stateName(1)}`,
    `chk-0/${stateName(1)}`,
    `chk-07/${stateName(1)}`,
    `chk-7x/${stateName(1)}`,
    `chk-99999999999999999999/${stateName(1)}`,
    'chk-7/_metadata.bak',
    'chk-7/deeper/_metadata',
    'before-upgrade/_metadata',
    '_metadata',
    'epochs/x',
    'epochs/0',
    'epochs/01',
    'epochs/2/3',
    'epochs/99999999999999999999',
  ])('G4: never takes %s for an orphan', (location) => {
    expect(verdict(location, [named(7)], { others: ['epochs/5'] })).toEqual([
      'pending',
      'unknown: this package gives no such name, nor deletes it',
    ])
  })

  it('G1: keeps what a checkpoint names under whatever name', () => {
    expect(verdict('shared/table', [named(7, 'shared/table')])[0]).toBe('live')
  })

  describe('with any objects and checkpoints', () => {
    const ids = fc.integer({ min: 1, max: 4 })
    const n = fc.integer({ min: 0, max: 5 })
    type Kind = 'metadata' | 'exclusive' | 'shared' | 'epoch' | 'unknown'
    const location = fc.oneof(
      ids.map((id): [Kind, string] => ['metadata', `chk-${id}/_metadata`]),
      fc.tuple(ids, n).map(([id, i]): [Kind, string] => ['exclusive', exclusiveName(id, i)]),
      n.map((i): [Kind, string] => ['shared', sharedName(i)]),
      ids.map((id): [Kind, string] => ['epoch', `epochs/${id}`]),
      fc
        .tuple(fc.constantFrom('', 'shared/', 'chk-1/', 'epochs/', 'chk-'), fc.string())
        .map(([folder, name]): [Kind, string] => ['unknown', `${folder}${name}?`]),
    )
    const time = fc.oneof(
      fc.integer({ min: 0, max: 2 * nowMs }),
      fc.integer({ min: old - 2, max: old + 2 }),
    )
    const job = fc
      .uniqueArray(fc.tuple(location, time), { selector: ([[, at]]) => at, maxLength: 20 })
      .chain((all) =>
        fc.record({
          objects: fc.constant(all.map(([[kind, at], ms]) => ({ kind, ...object(at, ms) }))),
          checkpoints: fc.uniqueArray(
            fc.record({
              checkpointId: ids,
              locations: fc.option(fc.subarray(all.map(([[, at]]) => at)), { nil: undefined }),
            }),
            { selector: ({ checkpointId }) => checkpointId },
          ),
        }),
      )

    it('never gives up what may be needed, and gives up everything else', () => {
      fc.assert(
        fc.property(job, ({ objects, checkpoints }) => {
          const classified = classifyObjects(objects, checkpoints, limit)
          const highest = Math.max(
            ...objects.flatMap(({ kind, location: at }) => (kind === 'epoch' ? +at.slice(7) : [])),
          )
          const expected = objects.map(({ kind, location: at, lastModifiedMs }) => {
            const names = checkpoints.some(({ locations }) => locations?.includes(at) === true)
            if (names || kind === 'metadata') return 'live'
            if (at === `epochs/${highest}`) return 'live'
            if (kind === 'unknown' || lastModifiedMs > old) return 'pending'
            const mayName = checkpoints.some(
              ({ checkpointId, locations }) =>
                locations === undefined &&
                (kind === 'shared' || at.startsWith(`chk-${checkpointId}/`)),
            )
            return mayName ? 'pending' : 'orphan'
          })
          expect(classified.map((each) => each.class)).toEqual(expected)
          expect(classified).toMatchObject(objects)
          expect(classified.every(({ reason }) => reason !== '')).toBe(true)
        }),
        { numRuns: 500 },
      )
    })

    it('only ever frees an object as time passes, and never one that another checkpoint is found to name', () => {
      fc.assert(
        fc.property(job, fc.nat(nowMs), ({ objects, checkpoints }, later) => {
          const now = classifyObjects(objects, checkpoints, limit)
          const then = classifyObjects(objects, checkpoints, { minAgeMs, nowMs: nowMs + later })
          const orphans = (all: ClassifiedObject[]): string[] =>
            all.filter((each) => each.class === 'orphan').map((each) => each.location)
          expect(orphans(then)).toEqual(expect.arrayContaining(orphans(now)))
          const naming = named(99, ...orphans(now))
          expect(orphans(classifyObjects(objects, [...checkpoints, naming], limit))).toEqual([])
        }),
      )
    })
  })
})

describe('classifyUpload', () => {
  it.each([
    [old, 'orphan'],
    [young, 'pending'],
    [nowMs, 'pending'],
    [nowMs + 1, 'pending'],
  ])('of %i is %s', (lastModifiedMs, expected) => {
    const upload = { id: 'u', sizeBytes: 3, lastModifiedMs }
    const classified = classifyUpload(upload, limit)
    expect(classified).toMatchObject({ ...upload, class: expected })
    expect(classified.reason).toMatch(/put/)
  })
})
