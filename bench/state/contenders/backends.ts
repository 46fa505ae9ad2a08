/** Our two backends, created as Flink's benchmarks create theirs: two key groups, one task. */
import { join } from 'node:path'
import {
  HashMapStateBackend,
  KeyGroupRange,
  LevelDBStateBackend,
  listState,
  mapState,
  numberKey,
  valueState,
  type StateBackend,
} from '../../../src/index.js'
import type { Contender, ContenderOptions } from '../contender.js'

const KEY_GROUPS = 2
/** The event loop turns this often, as it does under a host that reads its input in batches. */
const SETTLES_PER_TURN = 3

export function openLevelDBStateBackend(options: ContenderOptions): Promise<Contender> {
  const directory = join(options.directory, 'work')
  return open(new LevelDBStateBackend({ directory, memory: options.memoryBytes }))
}

export function openHashMapStateBackend(options: ContenderOptions): Promise<Contender> {
  const directory = join(options.directory, 'work')
  return open(new HashMapStateBackend({ directory, memory: options.memoryBytes }))
}

async function open(stateBackend: StateBackend): Promise<Contender> {
  const backend = await stateBackend.createKeyedStateBackend({
    operatorId: 'bench',
    keySerializer: numberKey,
    maxParallelism: KEY_GROUPS,
    keyGroupRange: KeyGroupRange.of(0, KEY_GROUPS - 1),
  })
  const value = backend.getState(valueState<number>('kvState'))
  const list = backend.getState(listState<number>('listState'))
  const map = backend.getState(mapState<number, number>('mapState', { keySerializer: numberKey }))
  let settles = 0
  return {
    value: {
      get(key) {
        backend.setCurrentKey(key)
        return value.value()
      },
      update(key, number) {
        backend.setCurrentKey(key)
        value.update(number)
      },
    },
    list: {
      get(key) {
        backend.setCurrentKey(key)
        return list.get()
      },
      add(key, number) {
        backend.setCurrentKey(key)
        list.add(number)
      },
      addAll(key, numbers) {
        backend.setCurrentKey(key)
        list.addAll(numbers)
      },
      update(key, numbers) {
        backend.setCurrentKey(key)
        list.update(numbers)
      },
    },
    map: {
      get(key, mapKey) {
        backend.setCurrentKey(key)
        return map.get(mapKey)
      },
      contains(key, mapKey) {
        backend.setCurrentKey(key)
        return map.contains(mapKey)
      },
      put(key, mapKey, number) {
        backend.setCurrentKey(key)
        map.put(mapKey, number)
      },
      putAll(key, entries) {
        backend.setCurrentKey(key)
        map.putAll(entries)
      },
      remove(key, mapKey) {
        backend.setCurrentKey(key)
        map.remove(mapKey)
      },
      isEmpty(key) {
        backend.setCurrentKey(key)
        return map.isEmpty()
      },
      async sumKeys(key) {
        backend.setCurrentKey(key)
        let sum = 0
        for await (const mapKey of map.keys()) sum += mapKey
        return sum
      },
      async sumValues(key) {
        backend.setCurrentKey(key)
        let sum = 0
        for await (const number of map.values()) sum += number
        return sum
      },
      async sumEntries(key) {
        backend.setCurrentKey(key)
        let sum = 0
        for await (const [mapKey, number] of map.entries()) sum += mapKey + number
        return sum
      },
    },
    settle() {
      if (backend.needsDrain) return backend.drain()
      return ++settles % SETTLES_PER_TURN === 0 ? nextTurn() : undefined
    },
    close: () => backend.close(),
  }
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
