/**
 * Read-modify-write counters on one kind of store: read a key's number, write it back plus one. All contenders increment the same keys
 * in the same order.
 */
import { cp } from 'node:fs/promises'
import { valueState, type CheckpointableKeyedStateBackend } from '../../src/index.js'
import { nextTurn } from '../smoke/harness.js'
import {
  isPromise,
  mapAnswer,
  type Answer,
  type Contender,
  type OpenContender,
} from '../state/contender.js'
import { openClassicLevel } from '../state/contenders/classic-level.js'
import { untilIdle } from './idle.js'
import { OURS, type CounterContender } from './names.js'
import { Subtasks } from './subtasks.js'

export interface Counters {
  read(key: number): Answer<number>
  increment(key: number): Answer<void>
  set(key: number, count: number): Answer<void>
  /** Every `STEP_OPERATIONS`: writes what was collected, and makes room. */
  settle(): Promise<void> | undefined
  close(): Promise<void>
}

/** Between two calls of `settle`. */
export const STEP_OPERATIONS = 2000
/** The event loop turns this often, as it does under a host that reads its input in batches. */
const SETTLES_PER_TURN = 3
/** Filling is not measured. */
const FILL_MEMORY_BYTES = 256 * 2 ** 20

const counter = valueState<number>('counter')

/** lmdb may not be installed: it is imported when it is wanted. */
const PEERS: Record<Exclude<CounterContender, typeof OURS>, OpenContender> = {
  'classic-level': openClassicLevel,
  lmdb: async (options) => (await import('../state/contenders/lmdb.js')).openLmdb(options),
}

/** Leaves a store of `keyCount` counters in `directory`, written in ascending order. */
export async function fillCounters(
  contender: CounterContender,
  directory: string,
  keyCount: number,
): Promise<void> {
  if (contender === OURS) {
    const subtasks = await Subtasks.open({ directory, memoryBytes: FILL_MEMORY_BYTES })
    await fill(countersOf(subtasks.single), keyCount)
    await subtasks.checkpoint()
    await untilIdle()
    await subtasks.leaveCheckpoint()
    await subtasks.close()
    return
  }
  const peer = await PEERS[contender]({ directory, memoryBytes: FILL_MEMORY_BYTES })
  await fill(peerCounters(peer), keyCount)
  await untilIdle()
  await peer.close()
}

/** Opens what `fillCounters` left in `filled`, in the empty directory `directory`. */
export async function openCounters(
  contender: CounterContender,
  filled: string,
  directory: string,
  memoryBytes: number,
): Promise<Counters> {
  if (contender === OURS) {
    const subtasks = await Subtasks.open({ directory, memoryBytes, restoreFrom: filled })
    return countersOf(subtasks.single)
  }
  await cp(filled, directory, { recursive: true })
  return peerCounters(await PEERS[contender]({ directory, memoryBytes }))
}

export function countersOf(backend: CheckpointableKeyedStateBackend<number>): Counters {
  const state = backend.getState(counter)
  let settles = 0
  return {
    read: (key) => {
      backend.setCurrentKey(key)
      return state.value() ?? 0
    },
    increment: (key) => {
      backend.setCurrentKey(key)
      state.update((state.value() ?? 0) + 1)
    },
    set: (key, count) => {
      backend.setCurrentKey(key)
      state.update(count)
    },
    settle: () => {
      if (backend.needsDrain) return backend.drain()
      return ++settles % SETTLES_PER_TURN === 0 ? nextTurn() : undefined
    },
    close: () => backend.close(),
  }
}

function peerCounters(peer: Contender): Counters {
  const { value } = peer
  return {
    read: (key) => mapAnswer(value.get(key), (count) => count ?? 0),
    increment: (key) => {
      const answer = value.get(key)
      return isPromise(answer)
        ? answer.then((count) => value.update(key, (count ?? 0) + 1))
        : value.update(key, (answer ?? 0) + 1)
    },
    set: (key, count) => value.update(key, count),
    settle: () => peer.settle(),
    close: () => peer.close(),
  }
}

async function fill(counters: Counters, keyCount: number): Promise<void> {
  for (let from = 0; from < keyCount; from += STEP_OPERATIONS) {
    const to = Math.min(from + STEP_OPERATIONS, keyCount)
    for (let key = from; key < to; key++) await counters.set(key, firstCount(key))
    await counters.settle()
  }
}

/** What a key's counter is filled with. */
export function firstCount(key: number): number {
  return key % 1000
}
