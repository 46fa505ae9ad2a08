/**
 * The contract of `ObjectStore` as tests: a function of a factory, to be run on every store, ours
 * or yours. O1 to O4 are the promises written in `object-store.ts`; O2, durability, cannot be seen
 * from here and needs tests of its own.
 *
 * The factory makes an empty store for each test; `cleanup` is called after it.
 */
import { describe } from 'vitest'
import { deleteTests } from './object-store/delete-tests.js'
import type { ObjectStoreFactory } from './object-store/fixture.js'
import { keyTests } from './object-store/key-tests.js'
import { listTests } from './object-store/list-tests.js'
import { putIfAbsentTests } from './object-store/put-if-absent-tests.js'
import { putTests } from './object-store/put-tests.js'
import { rangeTests } from './object-store/range-tests.js'
import { unfinishedTests } from './object-store/unfinished-tests.js'
import { wholeTests } from './object-store/whole-tests.js'

export type { ObjectStoreFactory, ObjectStoreFixture } from './object-store/fixture.js'

const parts: [string, (factory: ObjectStoreFactory) => void][] = [
  ['O1: put and get', putTests],
  ['O3: nothing half-done', wholeTests],
  ['ranges', rangeTests],
  ['list', listTests],
  ['O4: putIfAbsent', putIfAbsentTests],
  ['delete', deleteTests],
  ['keys', keyTests],
  ['unfinished uploads', unfinishedTests],
]

/** Registers the suite under `name` with vitest. */
export function objectStoreSuite(name: string, factory: ObjectStoreFactory): void {
  describe(`${name} keeps the contract of ObjectStore`, () => {
    describe.each(parts)('%s', (_, register) => {
      register(factory)
    })
  })
}
