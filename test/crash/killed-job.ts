/**
 * A job that is killed with SIGKILL at a random moment, again and again, at changing parallelism: every time the newest checkpoint holds
 * exactly the effects of the records before its position, nothing that was told to be completed is lost, and every object in storage is
 * explained.
 *
 * `TEST_SEED` repeats parallelisms and moments, as far as a moment can be repeated.
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { isDeepStrictEqual } from 'node:util'
import { expect } from 'vitest'
import { stateHandlesOf } from '../../src/checkpoint/completed-checkpoint.js'
import { storedCheckpoints } from '../../src/host/checkpoint-selection.js'
import { readProgress } from '../../src/host/source-progress.js'
import { computeKeyGroupRangeForOperatorIndex } from '../../src/record/key-group-range-assignment.js'
import { numberKey } from '../../src/record/key-serializer.js'
import { deleteOrphans, findOrphans } from '../../src/restore/orphans.js'
import { verifyCheckpoint } from '../../src/restore/verify-checkpoint.js'
import type { CheckpointStorage } from '../../src/storage/checkpoint-storage.js'
import { keysOf, unfinishedIn } from '../conformance/object-store/fixture.js'
import { namedObjects, storedObjects } from '../host/stored-objects.js'
import { SeededRandom, seedOfRun } from '../support/random.js'
import { temporaryDirectory } from '../support/state-task.js'
import { Effects, EffectsModel, MAX_PARALLELISM } from './effects.js'
import {
  crashBackend,
  crashStorage,
  type JobProcessMessage,
  type JobProcessOptions,
} from './job-process.js'

/** A process dies up to so many milliseconds after it began to restore or completed one of its first checkpoints; some die earlier. */
const LAST_BREATH_MS = 40
const EARLY_DEATH_MS = 900
const CHECKPOINTS_MAX = 8
/** What was on its way to a server when the process died may be stored a moment later. */
const LOOKS_MAX = 5
/** Of each backend: what storage makes of a death was tried more often in a directory. */
export const KILLS_ON_S3 = 6
const OPERATOR_ID = 'operator'

const jobProcess = fileURLToPath(new URL('./job-process.ts', import.meta.url))

/** Runs the process and kills it; resolves to the highest checkpoint that it said was completed. */
async function runAndKill(options: JobProcessOptions, random: SeededRandom): Promise<number> {
  const child = fork(jobProcess, [JSON.stringify(options)], { execArgv: ['--import', 'tsx'] })
  const ended = once(child, 'exit')
  let completed = 0
  let messagesToCome = random.below(CHECKPOINTS_MAX + 1)
  const lastMessage = new Promise<void>((resolve) => {
    child.on('message', ({ completedCheckpointId }: JobProcessMessage) => {
      completed = Math.max(completed, completedCheckpointId ?? 0)
      if (messagesToCome-- === 0) resolve()
    })
  })
  if (random.chance(0.15)) await sleep(random.below(EARLY_DEATH_MS))
  else await Promise.race([lastMessage, ended]).then(() => sleep(random.next() * LAST_BREATH_MS))
  child.kill('SIGKILL')
  const [, signal] = (await ended) as [number | null, NodeJS.Signals | null]
  expect(signal, 'the process ends by the kill alone').toBe('SIGKILL')
  return completed
}

/** The newest checkpoint, restored at `parallelism`, holds what the model holds at its position. Returns its id. */
async function checkNewest(
  storage: CheckpointStorage,
  model: EffectsModel,
  options: JobProcessOptions,
): Promise<number> {
  const newest = (await storedCheckpoints(storage, {})).at(-1)
  if (newest === undefined) return 0
  if ('error' in newest.read) throw newest.read.error
  const { checkpoint } = newest.read
  expect(await verifyCheckpoint(storage, checkpoint)).toMatchObject({ problems: [] })
  const identity = { operatorId: OPERATOR_ID, maxParallelism: MAX_PARALLELISM }
  model.advanceTo(readProgress(checkpoint, identity).recordsInState)
  const contents = new Map<number, unknown>()
  for (let index = 0; index < options.parallelism; index++) {
    const backend = await crashBackend(options).createKeyedStateBackend({
      ...identity,
      keySerializer: numberKey,
      keyGroupRange: computeKeyGroupRangeForOperatorIndex(
        MAX_PARALLELISM,
        options.parallelism,
        index,
      ),
      stateHandles: stateHandlesOf(checkpoint, OPERATOR_ID),
      checkpointStorage: storage,
    })
    for (const [key, content] of await new Effects(backend).contents()) contents.set(key, content)
    await backend.close()
  }
  const expected = model.contents()
  expect(contents.size).toBe(expected.size)
  for (const [key, content] of expected) expect(contents.get(key), `key ${key}`).toEqual(content)
  return checkpoint.checkpointId
}

/** Whatever the dead process left is found, and removing it leaves what checkpoints name. */
async function checkObjects(storage: CheckpointStorage): Promise<void> {
  for (let looks = 1; ; looks++) {
    const report = await findOrphans(storage, { minAgeMs: 0 })
    const unexplained = report.objects.filter((object) => object.class === 'pending')
    expect(unexplained, 'every object is live or an orphan').toEqual([])
    await deleteOrphans(storage, report)
    const [stored, named] = [await storedObjects(storage.objectStore), await namedObjects(storage)]
    if (looks < LOOKS_MAX && !isDeepStrictEqual(stored, named)) continue
    expect(stored).toEqual(named)
    break
  }
  expect((await keysOf(storage.objectStore, 'job/epochs/')).length).toBeLessThanOrEqual(1)
  expect(await unfinishedIn(storage.objectStore)).toEqual([])
}

export type KilledJob = Pick<JobProcessOptions, 'kind' | 'storage' | 'endpoint'>

/** Kills it `rounds` times, or up to twice as often when nothing was completed by then. Returns the id of its last checkpoint. The storage must be there, and empty. */
export async function killAgainAndAgain(job: KilledJob, rounds: number): Promise<number> {
  const directory = temporaryDirectory()
  const work = join(directory, 'work')
  const storage = await crashStorage(job)
  const random = new SeededRandom(seedOfRun())
  const model = new EffectsModel()
  let newestId = 0
  for (let round = 0; round < rounds || (newestId === 0 && round < 2 * rounds); round++) {
    const parallelism = 1 + random.below(4)
    const completed = await runAndKill({ ...job, work, parallelism }, random)
    const found = await checkNewest(storage, model, {
      ...job,
      kind: random.chance(0.5) ? 'leveldb' : 'hashmap',
      work: join(directory, `check-${round}`),
      parallelism: 1 + random.below(4),
    })
    expect(found, 'what was said to be completed is not lost').toBeGreaterThanOrEqual(
      Math.max(completed, newestId),
    )
    newestId = found
    await checkObjects(storage)
  }
  return newestId
}
