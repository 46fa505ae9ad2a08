import { expect, it } from 'vitest'
import { CheckpointOptions } from '../../../src/checkpoint/checkpoint-options.js'
import { KEYS, expectVersion, statesOf, writeVersion } from './sample-states.js'
import {
  collect,
  evict,
  handleOf,
  startNumberTask,
  turns,
  type NumberTask,
  type StateBackendFactory,
} from './task.js'

/** Where what was written last is when this has run. */
const places: [string, (task: NumberTask) => Promise<unknown>][] = [
  ['active generation', async () => undefined],
  ['frozen generation', async (task) => void task.snapshot().catch(() => undefined)],
  [
    'generation that is half flushed',
    async (task) => {
      void task.snapshot().catch(() => undefined)
      await turns(2)
    },
  ],
  [
    'second of two frozen generations',
    async (task) => {
      void task.snapshot().catch(() => undefined)
      writeVersion(task, 1)
      void task.snapshot().catch(() => undefined)
    },
  ],
  ['young cache', (task) => task.checkpoint()],
  [
    'store',
    async (task) => {
      await task.checkpoint()
      await evict(task)
      await task.checkpoint()
    },
  ],
  ['restored store', (task) => task.restart()],
]

export function layerTests(factory: StateBackendFactory): void {
  it.each(places)('every state is read and changed in the %s', async (name, place) => {
    await using task = await startNumberTask(factory)
    let version = 0
    writeVersion(task, version)
    await place(task)
    if (name.startsWith('second')) version++
    await expectVersion(task, version)
    writeVersion(task, ++version)
    await expectVersion(task, version)
    writeVersion(task, ++version)
    if (!name.startsWith('second')) await place(task)
    await expectVersion(task, version)
    writeVersion(task, ++version)
    await task.restart()
    await expectVersion(task, version)
  })

  it.each(places)(
    'a write after snapshot() returned is not in the snapshot, from the %s',
    async (name, place) => {
      await using task = await startNumberTask(factory)
      let version = 0
      writeVersion(task, version)
      await place(task)
      if (name.startsWith('second')) version++
      writeVersion(task, ++version)
      const frozen = version
      const running = task.snapshot()
      writeVersion(task, ++version)
      let done = false
      const waiting = running.finally(() => (done = true))
      for (let i = 0; i < 10 && !done; i++) {
        await turns(1)
        writeVersion(task, ++version)
      }
      const handle = handleOf(await waiting)
      await expectVersion(task, version)
      await task.restore(handle)
      await expectVersion(task, frozen)
    },
  )

  it('a snapshot of every kind holds its own version, whatever is written during the others', async () => {
    await using task = await startNumberTask(factory)
    const options = [
      CheckpointOptions.checkpoint(),
      CheckpointOptions.fullCheckpoint(),
      CheckpointOptions.savepoint(),
    ]
    writeVersion(task, 0)
    const running = options.flatMap((option, i) => {
      const taken = [task.snapshot(option)]
      writeVersion(task, 2 * i + 1)
      taken.push(task.snapshot(CheckpointOptions.checkpoint()))
      writeVersion(task, 2 * i + 2)
      return taken
    })
    const handles = (await Promise.all(running)).map(handleOf)
    await expectVersion(task, 6)
    for (const [version, handle] of handles.entries()) {
      await task.restore(handle)
      await expectVersion(task, version)
    }
  })

  it('clears are kept in every layer and in every snapshot', async () => {
    await using task = await startNumberTask(factory)
    writeVersion(task, 0)
    const before = await task.checkpoint()
    clearAll(task)
    await expectCleared(task)
    const running = task.snapshot()
    await expectCleared(task)
    writeVersion(task, 0)
    const after = handleOf(await running)
    await expectVersion(task, 0)
    clearAll(task)
    await task.checkpoint()
    await expectCleared(task)
    await evict(task)
    await expectCleared(task)
    await task.restore(after)
    await expectCleared(task)
    await task.restore(before)
    await expectVersion(task, 0)
  })
}

function clearAll(task: NumberTask): void {
  for (const key of KEYS) {
    task.backend.setCurrentKey(key)
    for (const state of Object.values(statesOf(task))) state.clear()
  }
}

async function expectCleared(task: NumberTask): Promise<void> {
  const states = statesOf(task)
  for (const key of KEYS) {
    task.backend.setCurrentKey(key)
    expect([
      states.count.value(),
      states.value.value(),
      ...states.smallList.get(),
      ...states.largeList.get(),
      states.smallMap.get(0),
      states.largeMap.get(7),
      states.reducing.get(),
      states.aggregating.get(),
    ]).toEqual(Array(6).fill(undefined))
    const small = states.smallMap.isEmpty()
    const large = states.largeMap.isEmpty()
    expect(await Promise.all([small, large])).toEqual([true, true])
  }
  for (const name of ['count', 'small-list', 'large-list', 'small-map', 'large-map', 'reducing']) {
    expect(await collect(task.backend.getKeys(name))).toEqual([])
  }
}
