/**
 * Checkpoints, savepoints and messages in any order, several in flight, publications that fail: whatever happens, the invariants of the
 * coordinator hold after every step.
 */
import { setImmediate as turn } from 'node:timers/promises'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { SnapshotResult } from '../../src/checkpoint/snapshotable.js'
import { MemoryObjectStore } from '../../src/storage/memory-object-store.js'
import { FaultObjectStore, type Fault } from '../support/fault-object-store.js'
import { attempt, expectWhole, OPERATOR_ID, RemoteTask, TIMEOUT_MS } from './attempt.js'
import { namedObjects, storedObjects } from './stored-objects.js'

const TASKS = 2
const IN_FLIGHT_MAX = 3

type Step =
  | { readonly do: 'trigger' }
  | { readonly do: 'savepoint' }
  /** `pick` chooses one of the checkpoints there were, from the newest. */
  | { readonly do: 'acknowledge' | 'repeat'; readonly pick: number; readonly task: number }
  | { readonly do: 'decline'; readonly pick: number }
  | { readonly do: 'advance'; readonly part: number }
  | { readonly do: 'fail publications'; readonly fault: Fault }
  | { readonly do: 'fail deletions'; readonly fault: Fault }

const pick = fc.nat({ max: 4 })
const task = fc.nat({ max: TASKS - 1 })
const fault = fc.constantFrom<Fault>('before', 'after', undefined)
const acknowledge = fc.record({ do: fc.constant('acknowledge' as const), pick, task })
const trigger = fc.record({ do: fc.constant('trigger' as const) })
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: trigger },
  { weight: 10, arbitrary: acknowledge },
  fc.record({ do: fc.constant('savepoint' as const) }),
  fc.record({ do: fc.constant('repeat' as const), pick, task }),
  fc.record({ do: fc.constant('decline' as const), pick }),
  fc.record({ do: fc.constant('advance' as const), part: fc.nat({ max: 4 }) }),
  fc.record({ do: fc.constant('fail publications' as const), fault }),
  fc.record({ do: fc.constant('fail deletions' as const), fault }),
)

async function world(retainedCheckpointsMax: number, rebaseEvery: number) {
  const objectStore = new FaultObjectStore(new MemoryObjectStore())
  const running = attempt({
    objectStore,
    retainedCheckpointsMax,
    rebaseEvery,
    concurrentCheckpointsMax: IN_FLIGHT_MAX,
  })
  const remotes: RemoteTask[] = []
  await running.begin({}, (fake) => {
    const remote = new RemoteTask(fake)
    remotes.push(remote)
    return remote
  })
  const faults: { publication: Fault; deletion: Fault } = {
    publication: undefined,
    deletion: undefined,
  }
  objectStore.plan = (operation, key) => {
    if (operation === 'putIfAbsent' && key.endsWith('_metadata')) return faults.publication
    return operation === 'delete' ? faults.deletion : undefined
  }
  const ids: number[] = []
  const results = new Map<string, SnapshotResult>()
  const { coordinator } = running
  const noted = (id: number, subtaskIndex: number) => `${id}/${subtaskIndex}`
  const tell = (checkpointId: number, subtaskIndex: number, result: SnapshotResult) =>
    coordinator.acknowledgeCheckpoint({
      checkpointId,
      operatorId: OPERATOR_ID,
      subtaskIndex,
      result,
    })

  const act = async (what: Step): Promise<void> => {
    const id = 'pick' in what ? ids.at(-1 - what.pick) : undefined
    if (what.do === 'trigger' && coordinator.canTrigger) {
      void coordinator.triggerCheckpoint(null)
      ids.push((ids.at(-1) ?? 0) + 1)
    } else if (what.do === 'savepoint' && ids.length < 8) {
      void coordinator.triggerSavepoint(null, { folder: `saved/${ids.length}` })
      ids.push((ids.at(-1) ?? 0) + 1)
    } else if (what.do === 'acknowledge' && id !== undefined) {
      if (results.has(noted(id, what.task))) return
      const result = await remotes[what.task]?.perform(id)
      if (result === undefined) throw new Error('there is such a task')
      results.set(noted(id, what.task), result)
      tell(id, what.task, result)
    } else if (what.do === 'repeat' && id !== undefined) {
      const result = results.get(noted(id, what.task))
      if (result !== undefined) tell(id, what.task, result)
    } else if (what.do === 'decline' && id !== undefined) {
      const cause = new Error('declined')
      const message = { checkpointId: id, operatorId: OPERATOR_ID, subtaskIndex: 0, cause }
      coordinator.declineCheckpoint(message)
    } else if (what.do === 'advance') {
      await running.clock.advance((what.part * TIMEOUT_MS) / 4)
    } else if (what.do === 'fail publications') faults.publication = what.fault
    else if (what.do === 'fail deletions') faults.deletion = what.fault
  }
  const acknowledgeAll = async (): Promise<void> => {
    for (let subtask = 0; subtask < TASKS; subtask++) {
      await act({ do: 'acknowledge', pick: 0, task: subtask })
    }
  }
  return { ...running, objectStore, faults, ids, act, acknowledgeAll }
}

type World = Awaited<ReturnType<typeof world>>

async function settled(): Promise<void> {
  for (let turns = 0; turns < 6; turns++) await turn()
}

async function checkInvariants({ objectStore, storage, events, told, coordinator }: World) {
  // C3, H2, D2: whatever exists can be read.
  for (const id of await storage.listCheckpoints()) await expectWhole(objectStore, `job/chk-${id}`)
  const completed = events.filter(({ status }) => status === 'completed')
  for (const { savepointFolder } of completed) {
    if (savepointFolder !== undefined) await expectWhole(objectStore, savepointFolder)
  }
  // E2: one outcome each.
  expect(new Set(events.map(({ checkpointId }) => checkpointId)).size).toBe(events.length)
  // H4: each task hears of each end once; completions ascend, and no older one ends after a newer one was completed.
  const checkpoints = completed.filter(({ snapshotType }) => snapshotType !== 'savepoint')
  const completedIds = checkpoints.map(({ checkpointId }) => checkpointId)
  expect(completedIds).toEqual(completedIds.toSorted((a, b) => a - b))
  for (const name of ['a', 'b']) {
    const ends = told.flatMap((text) => {
      const [, end, id] = new RegExp(`^${name} (complete|aborted) (\\d+)$`).exec(text) ?? []
      return end === undefined ? [] : [{ end, id: Number(id) }]
    })
    expect(new Set(ends.map(({ id }) => id)).size, 'told once').toBe(ends.length)
    expect(ends.flatMap(({ end, id }) => (end === 'complete' ? id : []))).toEqual(completedIds)
  }
  // H5: the last completed one is there.
  const last = coordinator.lastCompletedCheckpointId
  expect(last).toBe(completedIds.at(-1))
  if (last !== undefined) expect(await storage.listCheckpoints()).toContain(last)
}

/** In the end storage is healthy, a few more are completed, and it holds exactly what is named. */
async function checkEnd(running: World, retained: number): Promise<void> {
  const { clock, coordinator, faults, objectStore, storage, act, acknowledgeAll } = running
  faults.publication = undefined
  faults.deletion = undefined
  await clock.advance(TIMEOUT_MS)
  await coordinator.idle()
  for (let count = 0; count <= retained; count++) {
    await act({ do: 'trigger' })
    await acknowledgeAll()
    await coordinator.idle()
  }
  await settled()
  await checkInvariants(running)
  const last = coordinator.lastCompletedCheckpointId
  expect(last).toBe(running.ids.at(-1))
  expect(await storage.listCheckpoints()).toHaveLength(retained)
  const jobs = (await storedObjects(objectStore)).filter((key) => key.startsWith('job/'))
  expect(jobs).toEqual(await namedObjects(storage))
  const next = attempt({ objectStore })
  expect((await next.begin())?.checkpoint.checkpointId).toBe(last)
}

describe('whatever happens to several checkpoints in flight', () => {
  it('C3, H2, H4, H5, D2, E2 hold after every step, and in the end storage holds exactly what is named', async () => {
    const steps = fc.array(step, { minLength: 10, maxLength: 50 })
    const retained = fc.integer({ min: 1, max: 3 })
    const rebaseEvery = fc.integer({ min: 1, max: 4 })
    await fc.assert(
      fc.asyncProperty(steps, retained, rebaseEvery, async (all, retainedMax, every) => {
        const running = await world(retainedMax, every)
        try {
          for (const each of all) {
            await running.act(each)
            await settled()
            await checkInvariants(running)
          }
          await checkEnd(running, retainedMax)
        } finally {
          await running.coordinator.close()
        }
      }),
      { numRuns: 100 },
    )
  })
})
