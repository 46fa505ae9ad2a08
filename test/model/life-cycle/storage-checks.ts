/**
 * What storage holds, looked at from outside of the job.
 *
 * M1 What is restored is exactly the state as it was at the barrier of that checkpoint or savepoint.
 * M3 Every object is named by a `_metadata`, or was brought by a task of the attempt that is running, or is an earlier attempt's; at a
 *    quiet end nothing is left but what is named, and what `findOrphans` finds.
 */
import { deleteOrphans, findOrphans } from '../../../src/restore/orphans.js'
import { openSnapshot } from '../../../src/restore/snapshot-location.js'
import { verifyCheckpoint } from '../../../src/restore/verify-checkpoint.js'
import type { StateBackend } from '../../../src/state-backend.js'
import { bodyOfBytes } from '../../../src/storage/object-store.js'
import { collect } from '../../support/state-task.js'
import { backendOf, openBackends } from './attempt.js'
import type { Published } from './audited-object-store.js'
import { checkAll, type KeyedModel } from './keyed-model.js'
import type { LifeCycle } from './life-cycle.js'
import { JOB_ID } from './settings.js'

/** Everything that can be restored: what a fenced attempt stored is none of it. */
export function restorable({ store }: LifeCycle): Published[] {
  return [...store.published.values()].filter(({ late }) => !late)
}

export function savepoints(life: LifeCycle): Published[] {
  return restorable(life).filter((each) => !life.store.isOwn(each))
}

/** Every checkpoint and savepoint is whole. */
export async function verifyAll(life: LifeCycle): Promise<void> {
  for (const published of restorable(life)) {
    await unlessSubsumed(life, published, async () => {
      const { checkpoint, state } = await openSnapshot(life.store, published.folder)
      const [problem] = (await verifyCheckpoint(state, checkpoint)).problems
      if (problem === undefined) return
      throw new Error(`${published.key} is not whole: ${problem.message}`)
    })
  }
}

/** The job may clean beside `look`: only what is still there must be whole. */
async function unlessSubsumed(
  { store }: LifeCycle,
  { key }: Published,
  look: () => Promise<void>,
): Promise<void> {
  if (!store.published.has(key)) return
  try {
    await look()
  } catch (error) {
    if (store.published.has(key)) throw error
  }
}

/** M1, beside the running job. */
export async function checkRestore(
  life: LifeCycle,
  published: Published,
  how: { stateBackend: StateBackend; parallelism: number; expected: KeyedModel },
): Promise<void> {
  await unlessSubsumed(life, published, async () => {
    const located = await openSnapshot(life.store, published.folder)
    const backends = await openBackends(how.stateBackend, how.parallelism, located)
    try {
      await checkAll(how.expected, backends, backendOf(backends))
    } finally {
      await Promise.all(backends.map((backend) => backend.close()))
    }
  })
}

/** A folder can be taken elsewhere as it is: `_metadata` last, so that it is never there without what it names. */
export async function copySavepoint(life: LifeCycle, saved: Published): Promise<void> {
  const { store } = life
  const folder = `copies/${store.published.size}-${saved.folder.replaceAll('/', '-')}`
  await unlessSubsumed(life, saved, async () => {
    for (const key of [...saved.names, saved.key]) {
      const [bytes = new Uint8Array()] = await collect(await store.get(key))
      const copy = folder + key.slice(saved.folder.length)
      if (key === saved.key) await store.putIfAbsent(copy, bytes)
      else await store.put(copy, bodyOfBytes(bytes))
    }
  })
}

/** Keys of the job's own that nothing in storage names. */
function unnamed({ store }: LifeCycle): string[] {
  const named = new Set([...store.published.values()].flatMap(({ key, names }) => [key, ...names]))
  named.add(`${JOB_ID}/epochs/${store.highestEpoch}`)
  return [...store.keys].filter((key) => store.isOwn({ key }) && !named.has(key))
}

/** M3, while the job runs. */
export function checkExplained(life: LifeCycle): void {
  const { attempt, store } = life
  if (life.profile.faults || attempt.running.size > 0) return
  for (const key of unnamed(life)) {
    const location = key.slice(JOB_ID.length + 1)
    const epoch = Number(/([0-9]+)-[^/]*$/.exec(location)?.[1])
    if (epoch < store.highestEpoch || attempt.brought.has(location)) continue
    throw new Error(`M3: nothing explains ${key}`)
  }
}

/** M3, when nothing is going on. */
export async function checkAtEnd(life: LifeCycle): Promise<void> {
  const { clock, storage, store, profile, settings } = life
  const exact = settings.steady && !profile.faults
  life.count(exact ? 'nothing left' : 'swept')
  if (exact) nothing(unnamed(life), 'are left')
  await clock.advance(1)
  const report = await findOrphans(storage, { minAgeMs: 0, clock })
  await deleteOrphans(storage, report)
  nothing(unnamed(life), 'were not found by findOrphans')
  const named = new Set(savepoints(life).flatMap(({ key, names }) => [key, ...names]))
  const strange = [...store.keys].filter((key) => !store.isOwn({ key }) && !named.has(key))
  if (exact) nothing(strange, 'are of no savepoint')
}

function nothing(keys: readonly string[], what: string): void {
  if (keys.length > 0) throw new Error(`M3: ${keys.join(', ')} ${what}`)
}
