/**
 * A process of its own that restores a keyed backend and is killed on the way, with SIGKILL, at one of its steps: a call to the file
 * system, or the opening of LevelDB. Argument: `CrashPlan` as JSON. When it gets to the end it prints how many steps there were.
 */
import fs, { readFileSync } from 'node:fs'
import fsPromises from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import { ClassicLevel } from 'classic-level'
import type { IncrementalRemoteKeyedStateHandleFields } from '../../src/checkpoint/keyed-state-handle.js'
import { HashMapStateBackend } from '../../src/hash-map-state-backend.js'
import { LevelDBStateBackend } from '../../src/leveldb-state-backend.js'
import { KeyGroupRange } from '../../src/record/key-group-range.js'
import { numberKey } from '../../src/record/key-serializer.js'
import type { StateBackend } from '../../src/state-backend.js'
import { CheckpointStorage } from '../../src/storage/checkpoint-storage.js'
import { DirectoryObjectStore } from '../../src/storage/directory-object-store.js'

export interface CrashPlan {
  readonly kind: 'leveldb' | 'hashmap'
  /** `undefined` for one of the backend's own, in `temporaryDirectory`. */
  readonly workDirectory: string | undefined
  readonly temporaryDirectory: string
  readonly checkpointDirectory: string
  /** JSON of the handles. */
  readonly handlesFile: string
  readonly maxParallelism: number
  readonly startKeyGroup: number
  readonly endKeyGroup: number
  readonly memory: number
  /** The step to be killed at, from 1; 0 is none. */
  readonly deadlyStep: number
  /** Whether the step is carried out; one that takes time has only begun then. */
  readonly carriesOutTheLast: boolean
}

type Method = (this: unknown, ...args: unknown[]) => unknown

const SYNCHRONOUS = [
  'closeSync',
  'copyFileSync',
  'fstatSync',
  'linkSync',
  'mkdirSync',
  'openSync',
  'readFileSync',
  'readSync',
  'renameSync',
  'rmSync',
  'unlinkSync',
  'writeFileSync',
]
const ASYNCHRONOUS = ['copyFile', 'open', 'readdir', 'rm', 'stat', 'unlink']
const OF_FILE_HANDLES = ['close', 'read', 'stat', 'write', 'writeFile']

const plan = JSON.parse(process.argv[2] ?? '') as CrashPlan
let steps = 0
/** A work directory of the backend's own is nobody's to remove before it is locked, and the restore has not begun then. */
let counts = plan.workDirectory !== undefined

function watch(owner: object, name: string): void {
  const real = Reflect.get(owner, name) as Method
  const watched: Method = function (...args) {
    counts ||= name === 'mkdirSync' && String(args[0]).includes('/inc-')
    if (!counts) return Reflect.apply(real, this, args)
    const deadly = ++steps === plan.deadlyStep
    if (deadly && !plan.carriesOutTheLast) die()
    const result = Reflect.apply(real, this, args)
    if (deadly) die()
    return result
  }
  Reflect.set(owner, name, watched)
}

function die(): void {
  process.kill(process.pid, 'SIGKILL')
}

const text = readFileSync(plan.handlesFile, 'utf8')
const stateHandles = JSON.parse(text) as IncrementalRemoteKeyedStateHandleFields[]
const checkpointStorage = new CheckpointStorage(
  new DirectoryObjectStore(plan.checkpointDirectory),
  { jobId: 'job' },
)

function stateBackendOf({ kind, workDirectory, memory }: CrashPlan): StateBackend {
  if (kind === 'leveldb') return new LevelDBStateBackend({ directory: workDirectory ?? '', memory })
  if (workDirectory === undefined) return new HashMapStateBackend({ memory })
  return new HashMapStateBackend({ memory, directory: workDirectory })
}
process.env['TMPDIR'] = plan.temporaryDirectory
const stateBackend = stateBackendOf(plan)

const anyFile = await fsPromises.open(plan.handlesFile)
const fileHandles = Object.getPrototypeOf(anyFile) as object
await anyFile.close()
for (const name of SYNCHRONOUS) watch(fs, name)
for (const name of ASYNCHRONOUS) watch(fsPromises, name)
for (const name of OF_FILE_HANDLES) watch(fileHandles, name)
watch(ClassicLevel.prototype, 'open')
syncBuiltinESMExports()

await stateBackend.createKeyedStateBackend({
  operatorId: 'operator',
  keySerializer: numberKey,
  maxParallelism: plan.maxParallelism,
  keyGroupRange: KeyGroupRange.of(plan.startKeyGroup, plan.endKeyGroup),
  stateHandles,
  checkpointStorage,
})
console.log(steps)
// As dead as the others: nothing is closed.
die()
