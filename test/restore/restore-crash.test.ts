/**
 * A process is killed in the middle of a rescaled restore, at steps spread over all of it: the next restore succeeds, is right, and leaves
 * no trace of the first, neither where it was told to work nor among temporary files. A failing run names its seed; `TEST_SEED=<seed> npx vitest run test/restore/restore-crash` repeats it.
 */
import { execFile } from 'node:child_process'
import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { describe, expect, it, onTestFinished } from 'vitest'
import { CheckpointOptions } from '../../src/checkpoint/checkpoint-options.js'
import type { RebasePolicy } from '../../src/checkpoint/rebase-policy.js'
import { HashMapStateBackend } from '../../src/hash-map-state-backend.js'
import { KeyGroupRange } from '../../src/record/key-group-range.js'
import { computeKeyGroupForKeyHash } from '../../src/record/key-group-range-assignment.js'
import { numberKey } from '../../src/record/key-serializer.js'
import type { StateBackend } from '../../src/state-backend.js'
import { CheckpointStorage } from '../../src/storage/checkpoint-storage.js'
import { DirectoryObjectStore } from '../../src/storage/directory-object-store.js'
import { SeededRandom, seedOfRun } from '../support/random.js'
import {
  collect,
  handleOf,
  MAX_PARALLELISM,
  SMALL_MEMORY_BYTES,
  stateBackendOf,
  statesOf,
  temporaryDirectory,
  throughJSON,
  type Backend,
  type BackendKind,
  type Handle,
} from '../support/state-task.js'
import type { CrashPlan } from './restore-crash-process.js'

const crashProcess = fileURLToPath(new URL('./restore-crash-process.ts', import.meta.url))

const KEYS = 600
const OLD_RANGES = [KeyGroupRange.of(0, 5), KeyGroupRange.of(6, 9), KeyGroupRange.of(10, 15)]
/** Cuts the tables of the first and the last, and takes those of the middle one as they are. */
const NEW_RANGE = KeyGroupRange.of(3, 12)

/** Of each task; together more deltas than level 0 is to have, so that the restore merges them. */
const MANY_DELTAS = 15

interface Checkpoint {
  readonly directory: string
  readonly storage: CheckpointStorage
  readonly handles: readonly Handle[]
  readonly model: ReadonlyMap<number, string>
}

function isInNewRange(key: number): boolean {
  return NEW_RANGE.contains(computeKeyGroupForKeyHash(numberKey.hashCode(key), MAX_PARALLELISM))
}

/** Of three tasks: `checkpoints` in a row, each changing and deleting a part. */
async function takeCheckpoints(
  checkpoints: number,
  policy: Partial<RebasePolicy>,
): Promise<Checkpoint> {
  const directory = temporaryDirectory()
  const storage = new CheckpointStorage(new DirectoryObjectStore(directory), { jobId: 'job' })
  const model = new Map<number, string>()
  const handles: Handle[] = []
  for (const keyGroupRange of OLD_RANGES) {
    const stateBackend = stateBackendOf('leveldb', temporaryDirectory(), { policy })
    await using backend = await stateBackend.createKeyedStateBackend({
      operatorId: 'operator',
      keySerializer: numberKey,
      maxParallelism: MAX_PARALLELISM,
      keyGroupRange,
    })
    let handle: Handle | undefined
    for (let id = 1; id <= checkpoints; id++) {
      writeAll(backend, id, model)
      const factory = storage.streamFactory(id)
      const options = CheckpointOptions.checkpoint()
      handle = handleOf(await backend.snapshot(id, 0, factory, options))
      backend.notifyCheckpointComplete(id)
    }
    if (handle !== undefined) handles.push(throughJSON(handle))
  }
  return { directory, storage, handles, model }
}

function writeAll(backend: Backend, id: number, model: Map<number, string>): void {
  const { value } = statesOf(backend)
  for (let key = 0; key < KEYS; key++) {
    const group = computeKeyGroupForKeyHash(numberKey.hashCode(key), MAX_PARALLELISM)
    if (!backend.keyGroupRange.contains(group) || (id > 1 && (key + id) % 3 !== 0)) continue
    backend.setCurrentKey(key)
    if (id > 1 && (key + id) % 9 === 0) {
      value.clear()
      model.delete(key)
    } else {
      const text = `${id} of ${key}`.padEnd(100)
      value.update(text)
      model.set(key, text)
    }
  }
}

/** Runs a restore that dies; resolves to the steps it took when it had got to its end. */
function restoreAndDie(plan: CrashPlan): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const parameters = ['--import', 'tsx', crashProcess, JSON.stringify(plan)]
    execFile(process.execPath, parameters, (error, stdout, stderr) => {
      if (error?.signal === 'SIGKILL') resolve(stdout === '' ? undefined : Number(stdout))
      else reject(new Error(`the process was not killed: ${stderr}`))
    })
  })
}

/** Waits for something that only input and output are needed for. */
async function until(condition: () => boolean): Promise<void> {
  for (let turns = 0; !condition(); turns++) {
    if (turns > 1_000_000) throw new Error('it never happened')
    await turn()
  }
}

/** Where the backends of one test work. */
interface Place {
  readonly kind: BackendKind
  /** `undefined` for scratch of the backend's own, in `temporaryDirectory`. */
  readonly workDirectory: string | undefined
  readonly temporaryDirectory: string
}

function placeOf(kind: BackendKind, ownScratch: boolean): Place {
  const workDirectory = ownScratch ? undefined : temporaryDirectory()
  const place = { kind, workDirectory, temporaryDirectory: temporaryDirectory() }
  const before = process.env['TMPDIR']
  process.env['TMPDIR'] = place.temporaryDirectory
  onTestFinished(() => {
    if (before === undefined) delete process.env['TMPDIR']
    else process.env['TMPDIR'] = before
  })
  return place
}

function stateBackendAt({ kind, workDirectory }: Place): StateBackend {
  if (kind === 'leveldb' || workDirectory === undefined)
    return stateBackendOf(kind, workDirectory ?? '', {})
  return new HashMapStateBackend({ memory: SMALL_MEMORY_BYTES, directory: workDirectory })
}

function scratchIn({ temporaryDirectory: parent }: Place): string[] {
  return readdirSync(parent).filter((name) => name.startsWith('level-state-backend-'))
}

/** Restores in this process, checks everything, and closes. */
async function expectRestore(
  place: Place,
  { storage, handles, model }: Checkpoint,
  checkpointId: number,
): Promise<void> {
  const backend = await stateBackendAt(place).createKeyedStateBackend({
    operatorId: 'operator',
    keySerializer: numberKey,
    maxParallelism: MAX_PARALLELISM,
    keyGroupRange: NEW_RANGE,
    stateHandles: handles,
    checkpointStorage: storage,
  })
  try {
    const expected = [...model].filter(([key]) => isInNewRange(key)).toSorted(([a], [b]) => a - b)
    const { value } = statesOf(backend)
    const keys = await collect(backend.getKeys('value'))
    const found = keys
      .toSorted((a, b) => a - b)
      .map((key) => {
        backend.setCurrentKey(key)
        return [key, value.value()]
      })
    expect(found).toEqual(expected)

    const options = CheckpointOptions.checkpoint()
    await backend.snapshot(checkpointId, 0, storage.streamFactory(checkpointId), options)
    backend.notifyCheckpointComplete(checkpointId)
    await expectNoTraceBeside(place)
  } finally {
    await backend.close()
  }
  expect(scratchIn(place), 'a closed backend leaves no scratch').toEqual([])
  if (place.workDirectory === undefined) return
  expect(readdirSync(place.workDirectory), 'a closed backend leaves nothing').toEqual([])
}

/** One backend is open, and has completed a checkpoint. */
async function expectNoTraceBeside(place: Place): Promise<void> {
  const scratch = scratchIn(place)
  expect(scratch, 'scratch of the living one alone').toHaveLength(
    place.workDirectory === undefined ? 1 : 0,
  )
  const workDirectory = place.workDirectory ?? join(place.temporaryDirectory, scratch[0] ?? '')
  // What the dead left may serve other restores of this process until a checkpoint is completed; then it goes.
  const folders = (): string[] =>
    readdirSync(workDirectory, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => name)
  await until(() => folders().length === 1)
  expect(folders()).toEqual([expect.stringMatching(/^inc-operator-/)])
  const incarnation = join(workDirectory, folders()[0] ?? '')
  const own = place.kind === 'leveldb' ? ['db', 'tables'] : ['tables']
  expect(readdirSync(incarnation).sort()).toEqual(own)
  const strangers = readdirSync(join(incarnation, 'tables')).filter(
    (name) => !name.endsWith('.ldb'),
  )
  expect(strangers, 'nothing half-done stays beside the tables').toEqual([])
}

async function objectsOf(directory: string): Promise<string[]> {
  const keys: string[] = []
  for await (const { key } of new DirectoryObjectStore(directory).list('')) keys.push(key)
  return keys
}

interface Case {
  readonly name: string
  readonly kind: BackendKind
  readonly ownScratch: boolean
  readonly checkpoints: number
  readonly policy: Partial<RebasePolicy>
  /** Killed processes. */
  readonly deaths: number
}

const BASES_AND_DELTAS = { checkpoints: 4, policy: { smallStateBytes: 0 } }
const DELTAS = { checkpoints: MANY_DELTAS, policy: { smallStateBytes: 2 ** 40 } }
const LEVELDB = { kind: 'leveldb', ownScratch: false, deaths: 10 } as const
const HASHMAP = { kind: 'hashmap', ownScratch: true, deaths: 5 } as const
const CASES: Case[] = [
  { name: 'bases and deltas', ...LEVELDB, ...BASES_AND_DELTAS },
  { name: 'more deltas than level 0 is to have', ...LEVELDB, ...DELTAS },
  { name: 'in memory, with scratch of its own', ...HASHMAP, ...BASES_AND_DELTAS },
  { name: 'in memory, more deltas, in a directory', ...HASHMAP, ownScratch: false, ...DELTAS },
]

describe.skipIf(process.platform === 'win32')('a process killed in the middle of a restore', () => {
  it.each(CASES)(
    'is no trouble to the next one: $name',
    async ({ kind, ownScratch, checkpoints, policy, deaths }) => {
      const seed = seedOfRun()
      const random = new SeededRandom(seed)
      const checkpoint = await takeCheckpoints(checkpoints, policy)
      const handlesFile = join(temporaryDirectory(), 'handles.json')
      writeFileSync(handlesFile, JSON.stringify(checkpoint.handles))
      const place = placeOf(kind, ownScratch)
      const plan = {
        ...place,
        checkpointDirectory: checkpoint.directory,
        handlesFile,
        maxParallelism: MAX_PARALLELISM,
        startKeyGroup: NEW_RANGE.startKeyGroup,
        endKeyGroup: NEW_RANGE.endKeyGroup,
        memory: SMALL_MEMORY_BYTES,
        carriesOutTheLast: false,
      }
      const steps = (await restoreAndDie({ ...plan, deadlyStep: 0 })) ?? 0
      expect(steps, 'a restore has many steps').toBeGreaterThan(50)
      await expectRestore(place, checkpoint, checkpoints + 1)

      let inTheMiddle = 0
      let left = 0
      for (let death = 0; death < deaths; death++) {
        const deadlyStep = 1 + Math.floor(((death + random.next()) * steps) / deaths)
        const carriesOutTheLast = random.chance(0.5)
        const where = `step ${deadlyStep} of ${steps}, seed ${seed}`
        const objects = await objectsOf(checkpoint.directory)
        const survived = await restoreAndDie({ ...plan, deadlyStep, carriesOutTheLast })
        if (survived === undefined) inTheMiddle++
        expect(await objectsOf(checkpoint.directory), where).toEqual(objects)
        left += readdirSync(place.workDirectory ?? place.temporaryDirectory).length
        // Sometimes the next one dies as well, over what the first has left.
        if (random.chance(0.3)) continue
        await expectRestore(place, checkpoint, checkpoints + 2 + death)
      }
      expect(inTheMiddle).toBeGreaterThan(deaths / 2)
      expect(left, 'the dead leave something to be removed').toBeGreaterThan(deaths / 2)
      await expectRestore(place, checkpoint, checkpoints + 2 + deaths)
    },
    300_000,
  )
})
