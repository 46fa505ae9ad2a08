import { Buffer } from 'node:buffer'
import { expect, it } from 'vitest'
import { ByteWriter } from '../../../src/common/bytes.js'
import { computeKeyGroupForKeyHash } from '../../../src/record/key-group-range-assignment.js'
import { KeyGroupRange } from '../../../src/record/key-group-range.js'
import {
  anyKey,
  bigintKey,
  booleanKey,
  bytesKey,
  numberKey,
  stringKey,
  tupleKey,
  type KeySerializer,
} from '../../../src/record/key-serializer.js'
import { listState, mapState, valueState } from '../../../src/state/state-descriptor.js'
import {
  Task,
  bytes,
  collect,
  sorted,
  evict,
  range,
  startNumberTask,
  thrownBy,
  type StateBackendFactory,
} from './task.js'

interface KeyType {
  readonly name: string
  readonly serializer: KeySerializer<never>
  readonly keys: readonly unknown[]
  readonly refused: readonly unknown[]
}

function keyType<K>(
  serializer: KeySerializer<K>,
  keys: readonly K[],
  refused: readonly unknown[],
): KeyType {
  return {
    name: serializer.typeName,
    serializer: serializer as KeySerializer<never>,
    keys,
    refused,
  }
}

const strings = [
  '',
  'a',
  'ab',
  'a\u0000',
  'a\u0000b',
  '\u0000',
  '\u0001',
  'é',
  '\ud800',
  'x\udfff',
  '\u{1f600}',
  'long'.repeat(1000),
]
const numbers = [0, 1, -1, 0.1, 2 ** 53, -(2 ** 53), 5e-324, 1e308, Infinity, -Infinity]

const keyTypes: KeyType[] = [
  keyType(stringKey, strings, [1, null, undefined, {}]),
  keyType(numberKey, numbers, [NaN, '1', 1n, null, undefined]),
  keyType(bigintKey, [0n, 1n, -1n, 2n ** 64n, -(2n ** 200n)], [1, '1', null]),
  keyType(booleanKey, [true, false], [0, 'true', null]),
  keyType(bytesKey, [bytes(), bytes(0), bytes(1, 0), bytes(255, 1)], ['a', [1], null]),
  keyType(anyKey, [true, 1, 1n, '1', bytes(1), '\u0000b'], [NaN, null, [1]]),
  keyType(
    tupleKey<[string, number]>(stringKey, numberKey),
    [
      ['', 0],
      ['a', 1],
      ['a', 2],
      ['a\u0000', 1],
      ['\ud800', Infinity],
    ],
    [['a'], ['a', NaN], 'a', null],
  ),
]

/** The order `getKeys` promises: by the bytes of the keys within ascending key groups. */
function ordered(type: KeyType, maxParallelism: number): unknown[] {
  const serializer = type.serializer as KeySerializer<unknown>
  const placed = type.keys.map((key) => {
    const identity = serializer.identityOf(key)
    const out = new ByteWriter()
    serializer.write(identity, out)
    const hash = serializer.hashCode(identity)
    return { key, group: computeKeyGroupForKeyHash(hash, maxParallelism), bytes: out.copy() }
  })
  placed.sort((a, b) => a.group - b.group || Buffer.compare(a.bytes, b.bytes))
  return placed.map(({ key }) => key)
}

const plain = (key: unknown): unknown => (key instanceof Uint8Array ? [...key] : key)

export function keyTests(factory: StateBackendFactory): void {
  it.each(keyTypes)('of type $name keep their states apart, across a restore too', async (type) => {
    const keySerializer = type.serializer as KeySerializer<unknown>
    await using task = await Task.start(factory, { keySerializer })
    const write = task.backend.getState(valueState<number>('v'))
    type.keys.forEach((key, index) => {
      task.backend.setCurrentKey(key)
      expect(plain(task.backend.currentKey)).toEqual(plain(key))
      expect(write.value()).toBeUndefined()
      write.update(index)
    })
    for (const restart of [false, true]) {
      if (restart) await task.restart()
      const { backend } = task
      const read = backend.getState(valueState<number>('v'))
      type.keys.forEach((key, index) => {
        backend.setCurrentKey(key)
        expect(read.value()).toBe(index)
      })
      const keys = await collect(backend.getKeys('v'))
      expect(keys.map(plain)).toEqual(ordered(type, backend.maxParallelism).map(plain))
    }
  })

  it.each(keyTypes)(
    'of another type than $name are refused and the current one stays',
    async (type) => {
      const keySerializer = type.serializer as KeySerializer<unknown>
      await using task = await Task.start(factory, { keySerializer })
      const { backend } = task
      const [key] = type.keys
      backend.setCurrentKey(key)
      for (const refused of type.refused) {
        expect(thrownBy(() => backend.setCurrentKey(refused))).toMatchObject({
          code: 'KEY_NOT_ENCODABLE',
          kind: 'invalid',
        })
        expect(plain(backend.currentKey)).toEqual(plain(key))
      }
    },
  )

  it('-0 is the key 0', async () => {
    await using task = await startNumberTask(factory)
    const state = task.backend.getState(valueState<number>('v'))
    task.backend.setCurrentKey(-0)
    state.update(1)
    expect(Object.is(task.backend.currentKey, 0)).toBe(true)
    task.backend.setCurrentKey(0)
    expect(state.value()).toBe(1)
    expect(await collect(task.backend.getKeys('v'))).toEqual([0])
  })

  it('bytes as a key belong to the backend: changing them later changes nothing', async () => {
    await using task = await Task.start(factory, { keySerializer: bytesKey })
    const state = task.backend.getState(valueState<number>('v'))
    const key = bytes(1, 2)
    task.backend.setCurrentKey(key)
    key[0] = 9
    state.update(1)
    const { currentKey } = task.backend
    expect([...currentKey]).toEqual([1, 2])
    currentKey[0] = 9
    task.backend.setCurrentKey(bytes(1, 2))
    expect(state.value()).toBe(1)
  })

  it('no current key is an error in every access', async () => {
    await using task = await startNumberTask(factory)
    const { backend } = task
    const value = backend.getState(valueState<number>('v'))
    const list = backend.getState(listState<number>('l'))
    const map = backend.getState(mapState<string, number>('m'))
    const calls = [
      () => backend.currentKey,
      () => value.value(),
      () => value.update(1),
      () => value.clear(),
      () => list.get(),
      () => list.add(1),
      () => list.addAll([1]),
      () => list.addAll([]),
      () => list.update([]),
      () => map.get('a'),
      () => map.put('a', 1),
      () => map.putAll([]),
      () => map.remove('a'),
      () => map.entries(),
      () => map.keys(),
      () => map.values(),
    ]
    for (const call of calls) {
      expect(thrownBy(call)).toMatchObject({
        code: 'NO_CURRENT_KEY',
        kind: 'invalid',
        message: expect.stringContaining('No key set.') as string,
      })
    }
    await expect(map.isEmpty()).rejects.toMatchObject({ code: 'NO_CURRENT_KEY' })
  })

  it('a key of another task is an error that says why, and leaves the current key', async () => {
    const keyGroupRange = KeyGroupRange.of(4, 7)
    await using task = await Task.start(factory, { keySerializer: numberKey, keyGroupRange })
    const { backend } = task
    const state = backend.getState(valueState<number>('v'))
    const groupOf = (key: number): number =>
      computeKeyGroupForKeyHash(numberKey.hashCode(key), backend.maxParallelism)
    const own = range(0, 200).filter((key) => keyGroupRange.contains(groupOf(key)))
    const foreign = range(0, 200).filter((key) => !keyGroupRange.contains(groupOf(key)))
    expect(own.length).toBeGreaterThan(20)
    for (const key of own) {
      backend.setCurrentKey(key)
      state.update(key)
    }
    const [current = NaN] = own
    backend.setCurrentKey(current)
    for (const key of foreign) {
      expect(thrownBy(() => backend.setCurrentKey(key))).toMatchObject({
        code: 'KEY_GROUP_OUT_OF_RANGE',
        kind: 'invalid',
        details: { keyGroup: groupOf(key), startKeyGroup: 4, endKeyGroup: 7 },
        message: expect.stringContaining(
          `Key group ${groupOf(key)} is not in KeyGroupRange{startKeyGroup=4, endKeyGroup=7}.`,
        ) as string,
      })
    }
    expect(backend.currentKey).toBe(current)
    expect(state.value()).toBe(current)
    expect((await collect(backend.getKeys('v'))).toSorted((a, b) => a - b)).toEqual(own)
  })

  it('getKeys lists each key once: packed, spilled, in memory, in the store, not cleared ones', async () => {
    await using task = await startNumberTask(factory)
    const { backend } = task
    const map = backend.getState(mapState<number, number>('m'))
    const list = backend.getState(listState<number>('l'))
    expect(await collect(backend.getKeys('m'))).toEqual([])
    expect(await collect(backend.getKeys('unknown'))).toEqual([])
    const many = range(0, 400)
    for (const key of [1, 2, 3, 4, 5, 6]) {
      backend.setCurrentKey(key)
      map.putAll(key < 5 ? many.map((i) => [i, i]) : [[1, 1]])
      list.addAll(key < 5 ? many : [1])
    }
    for (const pushedOut of [false, true]) {
      if (pushedOut) {
        await task.checkpoint()
        await evict(task)
      }
      expect(await sorted(backend.getKeys('m'))).toEqual([1, 2, 3, 4, 5, 6])
      expect(await sorted(backend.getKeys('l'))).toEqual([1, 2, 3, 4, 5, 6])
    }
    backend.setCurrentKey(1)
    for (const userKey of many) map.remove(userKey)
    list.clear()
    backend.setCurrentKey(2)
    map.clear()
    list.update([])
    backend.setCurrentKey(5)
    map.remove(1)
    list.clear()
    for (const step of ['buffered', 'stored', 'restored']) {
      if (step === 'stored') {
        await task.checkpoint()
        await evict(task)
      } else if (step === 'restored') {
        await task.restart()
        task.backend.getState(mapState<number, number>('m'))
        task.backend.getState(listState<number>('l'))
      }
      expect(await sorted(task.backend.getKeys('m'))).toEqual([3, 4, 6])
      expect(await sorted(task.backend.getKeys('l'))).toEqual([3, 4, 6])
    }
  })
}
