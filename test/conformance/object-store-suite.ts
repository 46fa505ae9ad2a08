/**
 * The contract of `ObjectStore` as tests: a function of a factory, to be run on every store, ours
 * or yours. O1 to O4 are the promises written in `object-store.ts`; O2, durability, cannot be seen
 * from here and needs tests of its own.
 *
 * The factory makes an empty store for each test; `cleanup` is called after it.
 */
import { Buffer } from 'node:buffer'
import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  bodyOfBytes,
  type ObjectBody,
  type ObjectInfo,
  type ObjectStore,
} from '../../src/storage/object-store.js'

export interface ObjectStoreFixture {
  readonly store: ObjectStore
  cleanup(): Promise<void>
}

const text = (value: string): ObjectBody => bodyOfBytes(Buffer.from(value))

async function bytesOf(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = []
  for await (const chunk of chunks) all.push(chunk)
  return Buffer.concat(all)
}

async function readText(store: ObjectStore, key: string): Promise<string> {
  return (await bytesOf(await store.get(key))).toString()
}

async function listed(store: ObjectStore, prefix: string): Promise<ObjectInfo[]> {
  const all: ObjectInfo[] = []
  for await (const info of store.list(prefix)) all.push(info)
  return all
}

async function keysOf(store: ObjectStore, prefix: string): Promise<string[]> {
  return (await listed(store, prefix)).map(({ key }) => key)
}

/** Chunks `0..count-1`, each of `chunkBytes` bytes; `before` runs before each. */
function body(
  count: number,
  chunkBytes: number,
  before: (index: number) => void = () => undefined,
  sizeBytes: number = count * chunkBytes,
): ObjectBody {
  return {
    sizeBytes,
    async *chunks() {
      for (let index = 0; index < count; index++) {
        before(index)
        yield Buffer.alloc(chunkBytes, index)
      }
    },
  }
}

const badKeys = [
  ['empty', ''],
  ['absolute', '/a'],
  ['ending in a slash', 'a/'],
  ['with an empty segment', 'a//b'],
  ['a dot', '.'],
  ['with a dot segment', 'a/./b'],
  ['leaving the root', '../a'],
  ['leaving the root half-way', 'a/../../b'],
  ['hidden', 'a/.b'],
  ['with a backslash', 'a\\b'],
  ['with NUL', 'a\u0000b'],
  ['with a line feed', 'a\nb'],
  ['with DEL', 'a\u007f'],
  ['with a lone surrogate', 'a\ud800'],
  ['of 1,025 bytes', 'abc/'.repeat(256) + 'a'],
  ['with a segment of 256 bytes', 'é'.repeat(128)],
] as const

/** Registers the suite under `name` with vitest. */
export function objectStoreSuite(name: string, factory: () => Promise<ObjectStoreFixture>): void {
  describe(`${name} keeps the contract of ObjectStore`, () => {
    let fixture: ObjectStoreFixture
    let store: ObjectStore
    beforeEach(async () => {
      fixture = await factory()
      store = fixture.store
    })
    afterEach(() => fixture.cleanup())

    describe('put and get', () => {
      it('gives back what was put, chunk borders aside', async () => {
        await store.put('job/shared/x.ldb', body(5, 1000))
        const bytes = await bytesOf(await store.get('job/shared/x.ldb'))
        expect(bytes).toEqual(await bytesOf(body(5, 1000).chunks()))
      })

      it('keeps an empty object', async () => {
        await store.put('empty', text(''))
        expect(await readText(store, 'empty')).toBe('')
        expect(await listed(store, '')).toEqual([{ key: 'empty', sizeBytes: 0 }])
      })

      it('puts over what was there, longer or shorter', async () => {
        await store.put('a', text('first'))
        await store.put('a', text('2'))
        expect(await readText(store, 'a')).toBe('2')
        await store.put('a', text('the third'))
        expect(await readText(store, 'a')).toBe('the third')
      })

      it('copies: what the caller does to its bytes or chunks later changes nothing', async () => {
        const bytes = Buffer.from('kept')
        await store.put('put', bodyOfBytes(bytes))
        await store.putIfAbsent('absent', bytes)
        bytes.fill(0)
        for await (const chunk of await store.get('put')) chunk.fill(0)
        expect(await readText(store, 'put')).toBe('kept')
        expect(await readText(store, 'absent')).toBe('kept')
      })

      it('rejects with OBJECT_MISSING where nothing is, also at and below the folder of an object', async () => {
        await store.put('a/b', text('x'))
        for (const key of ['b', 'a', 'a/c', 'a/b/c', 'c/d/e']) {
          await expect(store.get(key), key).rejects.toMatchObject({
            code: 'OBJECT_MISSING',
            kind: 'data',
            details: { key },
          })
        }
      })

      it('streams 20 MB', async () => {
        const sent = createHash('sha256')
        const large: ObjectBody = {
          sizeBytes: 20_000_000,
          async *chunks() {
            for (let index = 0; index < 200; index++) {
              const chunk = Buffer.alloc(100_000, `${index}:`)
              sent.update(chunk)
              yield chunk
            }
          },
        }
        await store.put('large', large)
        const received = createHash('sha256')
        for await (const chunk of await store.get('large')) received.update(chunk)
        expect(received.digest('hex')).toBe(sent.digest('hex'))
        expect(await listed(store, 'large')).toEqual([{ key: 'large', sizeBytes: 20_000_000 }])
      })

      it('takes 100 puts at once, into the same and other folders', async () => {
        const keys = Array.from({ length: 100 }, (_, index) => `f${index % 7}/k${index}`)
        await Promise.all(keys.map((key) => store.put(key, text(key))))
        expect(await Promise.all(keys.map((key) => readText(store, key)))).toEqual(keys)
        expect((await keysOf(store, '')).length).toBe(100)
      })
    })

    describe('O1: a reader sees one put, whole', () => {
      it('while puts of other lengths and bytes replace the object', async () => {
        const filled = (fill: number): ObjectBody =>
          bodyOfBytes(Buffer.alloc(50_000 * (fill + 1), fill))
        await store.put('a', filled(0))
        let writing = true
        const write = async (): Promise<void> => {
          for (let round = 1; round <= 30; round++) await store.put('a', filled(round % 4))
          writing = false
        }
        const read = async (): Promise<void> => {
          while (writing) {
            const bytes = await bytesOf(await store.get('a'))
            const fill = bytes[0] ?? -1
            expect(bytes.length).toBe(50_000 * (fill + 1))
            expect(bytes.every((byte) => byte === fill)).toBe(true)
          }
        }
        await Promise.all([write(), read(), read()])
      })
    })

    describe('O3: nothing half-done', () => {
      it('keeps nothing of a body that makes too few or too many bytes', async () => {
        for (const sizeBytes of [0, 2999, 3001]) {
          await expect(
            store.put(
              'a',
              body(3, 1000, () => undefined, sizeBytes),
            ),
          ).rejects.toMatchObject({ code: 'STORAGE_FAILED', kind: 'unavailable' })
        }
        expect(await listed(store, '')).toEqual([])
      })

      it('keeps nothing of a body that fails, and gives the failure as the cause', async () => {
        const failure = new Error('the source broke')
        const failing = body(3, 1000, (index) => {
          if (index === 2) throw failure
        })
        await expect(store.put('a', failing)).rejects.toMatchObject({
          name: 'StateBackendError',
          cause: failure,
        })
        expect(await listed(store, '')).toEqual([])
      })

      it('stops a put when its signal is aborted between chunks', async () => {
        const controller = new AbortController()
        const seen: number[] = []
        const aborting = body(5, 1000, (index) => {
          seen.push(index)
          if (index === 2) controller.abort()
        })
        await expect(store.put('a', aborting, { signal: controller.signal })).rejects.toMatchObject(
          { code: 'SNAPSHOT_ABORTED', kind: 'closed' },
        )
        expect(seen).toEqual([0, 1, 2])
        expect(await listed(store, '')).toEqual([])
      })

      it('stops a put when its signal is aborted after the last chunk', async () => {
        const controller = new AbortController()
        const last: ObjectBody = {
          sizeBytes: 1,
          async *chunks() {
            yield Buffer.from('x')
            controller.abort()
          },
        }
        await expect(store.put('a', last, { signal: controller.signal })).rejects.toMatchObject({
          code: 'SNAPSHOT_ABORTED',
        })
        expect(await listed(store, '')).toEqual([])
      })

      it('leaves what was there when a put over it fails', async () => {
        await store.put('a', text('before'))
        await expect(
          store.put(
            'a',
            body(1, 3, () => undefined, 2),
          ),
        ).rejects.toMatchObject({ code: 'STORAGE_FAILED' })
        expect(await readText(store, 'a')).toBe('before')
      })

      it('does nothing at all with a signal that is aborted already', async () => {
        await store.put('a', text('before'))
        const signal = AbortSignal.abort()
        const untouched = body(1, 1, () => expect.unreachable('the body was read'))
        const aborted = { code: 'SNAPSHOT_ABORTED' }
        await expect(store.put('a', untouched, { signal })).rejects.toMatchObject(aborted)
        await expect(store.putIfAbsent('b', Buffer.from('b'), { signal })).rejects.toMatchObject(
          aborted,
        )
        await expect(store.get('a', { signal })).rejects.toMatchObject(aborted)
        await expect(store.delete(['a'], { signal })).rejects.toMatchObject(aborted)
        const listing = async (): Promise<void> => {
          for await (const info of store.list('', { signal })) expect.unreachable(info.key)
        }
        await expect(listing()).rejects.toMatchObject(aborted)
        expect(await keysOf(store, '')).toEqual(['a'])
        expect(await readText(store, 'a')).toBe('before')
      })

      it('lets a reader leave in the middle', async () => {
        await store.put('a', body(40, 100_000))
        for await (const chunk of await store.get('a')) {
          expect(chunk.length).toBeGreaterThan(0)
          break
        }
        await store.delete(['a'])
        expect(await listed(store, '')).toEqual([])
      })
    })

    describe('ranges', () => {
      it.each([
        [0, 10, '0123456789'],
        [3, 4, '3456'],
        [9, 1, '9'],
        [0, 0, ''],
        [5, 0, ''],
        [8, 5, '89'],
        [0, 1000, '0123456789'],
        [10, 1, ''],
        [1000, 5, ''],
        [1000, 0, ''],
      ])('of [%i, +%i) gives the bytes there are', async (offset, length, expected) => {
        await store.put('a', text('0123456789'))
        const bytes = await bytesOf(await store.get('a', { range: { offset, length } }))
        expect(bytes.toString()).toBe(expected)
      })

      it('reach across chunks of any size', async () => {
        await store.put('a', body(30, 100_000))
        const range = { offset: 99_999, length: 2_800_002 }
        const all = await bytesOf(await store.get('a'))
        const bytes = await bytesOf(await store.get('a', { range }))
        expect(bytes.equals(all.subarray(99_999, 2_900_001))).toBe(true)
      })

      it('of what is missing are OBJECT_MISSING, also when empty', async () => {
        const range = { offset: 0, length: 0 }
        await expect(store.get('a', { range })).rejects.toMatchObject({ code: 'OBJECT_MISSING' })
      })

      it.each([
        [-1, 1],
        [0, -1],
        [0.5, 1],
        [0, Infinity],
        [NaN, 1],
      ])('of [%d, +%d) are INVALID_ARGUMENT', async (offset, length) => {
        await store.put('a', text('0123456789'))
        await expect(store.get('a', { range: { offset, length } })).rejects.toMatchObject({
          code: 'INVALID_ARGUMENT',
        })
      })
    })

    describe('list', () => {
      it('takes its prefix as a plain string', async () => {
        for (const key of ['a/b', 'a/b2', 'a/c/d', 'ab', 'b']) await store.put(key, text(key))
        expect(await keysOf(store, '')).toEqual(['a/b', 'a/b2', 'a/c/d', 'ab', 'b'])
        expect(await keysOf(store, 'a')).toEqual(['a/b', 'a/b2', 'a/c/d', 'ab'])
        expect(await keysOf(store, 'a/')).toEqual(['a/b', 'a/b2', 'a/c/d'])
        expect(await keysOf(store, 'a/b')).toEqual(['a/b', 'a/b2'])
        expect(await keysOf(store, 'a/c')).toEqual(['a/c/d'])
        expect(await keysOf(store, 'a/b/')).toEqual([])
        expect(await keysOf(store, 'ab')).toEqual(['ab'])
        expect(await keysOf(store, 'c')).toEqual([])
        expect(await keysOf(store, 'x/y/z')).toEqual([])
      })

      it("orders by UTF-8 bytes: '-' before '/', U+FF5E before U+1F600", async () => {
        const keys = ['a-b', 'a.b', 'a/b', 'a0', '\u{ff5e}', '\u{1f600}']
        for (const key of [...keys].reverse()) await store.put(key, text(key))
        expect(await keysOf(store, '')).toEqual(keys)
      })

      it('gives each size', async () => {
        await store.put('a', body(2, 700))
        await store.putIfAbsent('b', Buffer.alloc(3))
        expect(await listed(store, '')).toEqual([
          { key: 'a', sizeBytes: 1400 },
          { key: 'b', sizeBytes: 3 },
        ])
      })

      it('agrees with a sorted filter of the keys, for any keys and prefix', async () => {
        // 'é', U+FF5E and U+1F600 take two, three and four bytes; '-' and '0' stand on both sides
        // of '/'.
        const unit = fc.constantFrom('a', 'b', '-', '0', 'é', '\u{ff5e}', '\u{1f600}')
        const segment = fc.string({ unit, minLength: 1, maxLength: 3 })
        const key = fc.array(segment, { minLength: 1, maxLength: 3 }).map((all) => all.join('/'))
        const prefix = fc.tuple(key, fc.constantFrom('', '/')).map(([start, end]) => start + end)
        await fc.assert(
          fc.asyncProperty(fc.uniqueArray(key, { maxLength: 12 }), prefix, async (any, start) => {
            const keys = any.filter((a) => !any.some((b) => b.startsWith(`${a}/`)))
            for (const one of keys) await store.put(one, text(one))
            const sorted = [...keys].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
            expect(await keysOf(store, '')).toEqual(sorted)
            expect(await keysOf(store, start)).toEqual(sorted.filter((k) => k.startsWith(start)))
            await store.delete(keys)
            expect(await keysOf(store, '')).toEqual([])
          }),
          { numRuns: 40 },
        )
      })

      it.each([
        ['/'],
        ['/a'],
        ['a//'],
        ['../'],
        ['a/../'],
        ['.'],
        ['a\\'],
        ['a\u0000'],
        ['\ud800'],
      ])('refuses the prefix %j with INVALID_ARGUMENT', async (prefix) => {
        await expect((async () => listed(store, prefix))()).rejects.toMatchObject({
          code: 'INVALID_ARGUMENT',
        })
      })

      it('goes on while objects are put and deleted, and misses none that stays', async () => {
        const stays = Array.from({ length: 30 }, (_, index) => `s/${index + 10}/x`)
        for (const key of stays) await store.put(key, text(key))
        let churning = true
        const churn = async (): Promise<void> => {
          for (let round = 0; round < 20; round++) {
            await store.put(`s/${round + 10}a/y`, text('y'))
            await store.delete([`s/${round + 10}a/y`])
          }
          churning = false
        }
        const look = async (): Promise<void> => {
          while (churning) {
            const keys = await keysOf(store, 's/')
            expect(keys.filter((key) => key.endsWith('/x'))).toEqual(stays)
          }
        }
        await Promise.all([churn(), look()])
      })
    })

    describe('O4: putIfAbsent', () => {
      it('creates and never overwrites; a store that cannot promise it refuses', async () => {
        if (!store.supports.conditionalPut) {
          await expect(store.putIfAbsent('a', Buffer.from('x'))).rejects.toMatchObject({
            name: 'StateBackendError',
          })
          expect(await listed(store, '')).toEqual([])
          return
        }
        expect(await store.putIfAbsent('a/b', Buffer.from('first'))).toBe(true)
        expect(await store.putIfAbsent('a/b', Buffer.from('second'))).toBe(false)
        await store.put('c', text('put'))
        expect(await store.putIfAbsent('c', Buffer.from('second'))).toBe(false)
        expect(await readText(store, 'a/b')).toBe('first')
        expect(await readText(store, 'c')).toBe('put')
      })

      it('creates again after a delete', async ({ skip }) => {
        skip(!store.supports.conditionalPut, 'the store has no conditional put')
        await store.putIfAbsent('a', Buffer.from('first'))
        await store.delete(['a'])
        expect(await store.putIfAbsent('a', Buffer.from('second'))).toBe(true)
        expect(await readText(store, 'a')).toBe('second')
      })

      it('has exactly one winner of 16 at once, and keeps what that one put', async ({ skip }) => {
        skip(!store.supports.conditionalPut, 'the store has no conditional put')
        for (let round = 0; round < 20; round++) {
          const key = `race/${round}/_metadata`
          const writers = Array.from({ length: 16 }, (_, writer) => writer)
          const won = await Promise.all(
            writers.map((writer) => store.putIfAbsent(key, Buffer.from(`writer ${writer}`))),
          )
          expect(won.filter(Boolean).length).toBe(1)
          expect(await readText(store, key)).toBe(`writer ${won.indexOf(true)}`)
        }
      })
    })

    describe('delete', () => {
      it('takes any number of keys, there or not, and leaves the others', async () => {
        const keys = Array.from({ length: 60 }, (_, index) => `f${index % 3}/k${index}`)
        await Promise.all(keys.map((key) => store.put(key, text(key))))
        const gone = keys.filter((_, index) => index !== 7)
        const never = Array.from({ length: 1200 }, (_, index) => `never/${index % 5}/${index}`)
        await store.delete([...gone, ...never])
        expect(await keysOf(store, '')).toEqual(['f1/k7'])
      })

      it('takes no key, one key twice, and a repetition', async () => {
        await store.put('a/b', text('x'))
        await store.delete([])
        expect(await keysOf(store, '')).toEqual(['a/b'])
        await store.delete(['a/b', 'a/b'])
        await store.delete(['a/b'])
        expect(await keysOf(store, '')).toEqual([])
      })

      it('of a name that others only start with leaves those', async () => {
        await store.put('a/b', text('x'))
        await store.delete(['a', 'a/b/c'])
        expect(await keysOf(store, '')).toEqual(['a/b'])
      })

      it('never takes a put beside it along', async () => {
        const turns = Array.from({ length: 40 }, (_, index) => index)
        const writers = ['x', 'y', 'z'].map(async (writer) => {
          for (const turn of turns) {
            const key = `deep/er/${writer}`
            await store.put(key, text(`${turn}`))
            expect(await readText(store, key)).toBe(`${turn}`)
            await store.delete([key])
          }
        })
        await Promise.all(writers)
        expect(await keysOf(store, '')).toEqual([])
      })
    })

    describe('keys', () => {
      it.each(badKeys)('%s are INVALID_ARGUMENT in every method', async (_, key) => {
        const invalid = { code: 'INVALID_ARGUMENT', kind: 'invalid' }
        await store.put('good', text('x'))
        await expect(store.put(key, text('x'))).rejects.toMatchObject(invalid)
        await expect(store.putIfAbsent(key, Buffer.from('x'))).rejects.toMatchObject(invalid)
        await expect(store.get(key)).rejects.toMatchObject(invalid)
        await expect(store.delete(['good', key])).rejects.toMatchObject(invalid)
        expect(await keysOf(store, '')).toEqual(['good'])
      })

      it.each([
        ['of 1,024 bytes', 'abc/'.repeat(255) + 'abcd'],
        ['with a segment of 255 bytes', 'é'.repeat(127) + 'a'],
        ['with blanks and punctuation', "a b/c+d=e&f%20g'h(i)!*~,;:@$"],
        ['with dots inside', 'a.b/c..d/e.'],
        ['with letters of the world', 'été/日本語/\u{1f600}'],
      ])('%s are kept as they are', async (_, key) => {
        await store.put(key, text('x'))
        expect(await readText(store, key)).toBe('x')
        expect(await keysOf(store, '')).toEqual([key])
        await store.delete([key])
        expect(await keysOf(store, '')).toEqual([])
      })
    })

    it('describes itself', () => {
      expect(store.description).toMatch(/\S/)
    })
  })
}
