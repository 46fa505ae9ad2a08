/**
 * A process is killed with SIGKILL; the next one that restores on the same machine links the tables that lie there whole and unchanged,
 * and fetches the others, from a storage that counts what is asked of it.
 */
import { createHash } from 'node:crypto'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { CheckpointOptions } from '../../src/checkpoint/checkpoint-options.js'
import { KeyGroupRange } from '../../src/record/key-group-range.js'
import { HashMapStateBackend } from '../../src/hash-map-state-backend.js'
import { LevelDBStateBackend } from '../../src/leveldb-state-backend.js'
import { computeKeyGroupForKeyHash } from '../../src/record/key-group-range-assignment.js'
import { numberKey } from '../../src/record/key-serializer.js'
import type { KeyedStateBackendOptions } from '../../src/state-backend.js'
import { valueState } from '../../src/state/state-descriptor.js'
import { CheckpointStorage } from '../../src/storage/checkpoint-storage.js'
import { DirectoryObjectStore } from '../../src/storage/directory-object-store.js'
import { FaultObjectStore } from '../support/fault-object-store.js'
import {
  collect,
  handleOf,
  rejection,
  SMALL_MEMORY_BYTES,
  temporaryDirectory,
  throughJSON,
  type Backend,
  type BackendKind,
  type Handle,
} from '../support/state-task.js'
import { runKilledTask } from './run-killed-task.js'

/** Of the first checkpoint more than the two memtables of 1 MiB that LevelDB may not have flushed: so it has a base. */
const KEY_COUNT = 6000
const KEYS = [KEY_COUNT, 40, 30, 20]
const expected = (key: number): string => {
  const id = KEYS.findLastIndex((keys) => key < keys) + 1
  return `${id} of ${key} `.repeat(50)
}

const sha256Of = (path: string): string =>
  createHash('sha256').update(fs.readFileSync(path)).digest('hex')

/** All table files below a work directory. */
const tableFiles = (directory: string): string[] =>
  fs
    .readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ldb'))
    .map((name) => join(directory, name))

const folders = (directory: string, prefix: string): string[] =>
  fs.readdirSync(directory).filter((name) => name.startsWith(prefix))

interface Killed {
  readonly directory: string
  readonly storageDirectory: string
  readonly handle: Handle
}

const killed = new Map<BackendKind, Killed>()
let base: string
beforeAll(async () => {
  base = fs.mkdtempSync(join(tmpdir(), 'local-recovery-'))
  for (const kind of ['leveldb', 'hashmap'] as const) {
    const directory = join(base, `${kind}-work`)
    const storageDirectory = join(base, `${kind}-storage`)
    const line = await runKilledTask({
      kind,
      directory,
      storageDirectory,
      firstCheckpointId: 1,
      keys: KEYS,
    })
    const handle = throughJSON(JSON.parse(line) as Handle)
    expect(new Set(handle.sharedState.map(({ role }) => role))).toEqual(new Set(['base', 'delta']))
    killed.set(kind, { directory, storageDirectory, handle })
  }
}, 60_000)
afterAll(() => {
  fs.rmSync(base, { recursive: true, force: true })
})

/** A copy of what the killed process left, and a storage that counts. */
class Machine {
  readonly kind: BackendKind
  readonly handle: Handle
  readonly directory: string = join(temporaryDirectory(), 'work')
  readonly storageDirectory: string = join(temporaryDirectory(), 'storage')
  readonly objects: FaultObjectStore
  readonly storage: CheckpointStorage
  /** Locations of tables that were read from storage. */
  fetched: string[] = []

  constructor(kind: BackendKind) {
    const source = killed.get(kind)
    if (source === undefined) throw new Error('the process was killed')
    this.kind = kind
    this.handle = source.handle
    fs.cpSync(source.directory, this.directory, { recursive: true })
    fs.cpSync(source.storageDirectory, this.storageDirectory, { recursive: true })
    this.objects = new FaultObjectStore(new DirectoryObjectStore(this.storageDirectory))
    this.storage = new CheckpointStorage(this.objects, { jobId: 'job', inlineThresholdBytes: 0 })
    this.objects.plan = (operation, key) => {
      if (operation === 'get' && key.endsWith('.ldb')) this.fetched.push(key.replace('job/', ''))
      return undefined
    }
  }

  /** Tables of the handle whose bytes lie in the work directory, by location. */
  local(): string[] {
    const digests = new Set(tableFiles(this.directory).map(sha256Of))
    return this.handle.sharedState.flatMap(({ state }) =>
      state.kind === 'object' && digests.has(state.sha256) ? [state.location] : [],
    )
  }

  /** The file with the bytes of one table, its second link removed. */
  fileOf(location: string): string {
    const table = this.handle.sharedState.find(
      ({ state }) => state.kind === 'object' && state.location === location,
    )
    const [file, ...others] = tableFiles(this.directory).filter(
      (path) => sha256Of(path) === table?.state.sha256,
    )
    for (const other of others) fs.rmSync(other)
    if (file === undefined) throw new Error(`${location} is not local`)
    return file
  }

  async restore(overrides: Partial<KeyedStateBackendOptions<number>> = {}): Promise<Backend> {
    const common = { directory: this.directory, memory: SMALL_MEMORY_BYTES }
    const stateBackend =
      this.kind === 'leveldb' ? new LevelDBStateBackend(common) : new HashMapStateBackend(common)
    const backend = await stateBackend.createKeyedStateBackend({
      operatorId: 'operator',
      keySerializer: numberKey,
      maxParallelism: 16,
      keyGroupRange: KeyGroupRange.of(0, 15),
      stateHandles: [this.handle],
      checkpointStorage: this.storage,
      ...overrides,
    })
    onTestFinished(() => backend.close())
    return backend
  }

  async checkpoint(backend: Backend, id: number): Promise<Handle> {
    const factory = this.storage.streamFactory(id)
    const result = await backend.snapshot(id, 0, factory, CheckpointOptions.checkpoint())
    backend.notifyCheckpointComplete(id)
    return handleOf(result)
  }
}

const locations = ({ sharedState }: Handle): string[] =>
  sharedState.map(({ state }) => (state.kind === 'object' ? state.location : 'inline'))

function expectState(backend: Backend): void {
  const value = backend.getState(valueState<string>('value'))
  for (let key = 0; key < KEY_COUNT; key++) {
    backend.setCurrentKey(key)
    if (value.value() !== expected(key)) expect(value.value(), `key ${key}`).toBe(expected(key))
  }
}

/** Exactly these tables were read from storage, and all others linked. */
function expectFetched(machine: Machine, backend: Backend, wanted: readonly string[]): void {
  expect(machine.fetched.toSorted()).toEqual(wanted.toSorted())
  const tables = machine.handle.sharedState
  const isFetched = ({ state }: (typeof tables)[number]): boolean =>
    state.kind === 'object' && wanted.includes(state.location)
  const bytes = (some: typeof tables): number =>
    some.reduce((total, { state }) => total + state.sizeBytes, 0)
  expect(backend.restored).toEqual({
    linkedTables: tables.length - wanted.length,
    linkedBytes: bytes(tables.filter((table) => !isFetched(table))),
    fetchedTables: wanted.length,
    fetchedBytes: bytes(tables.filter(isFetched)),
  })
}

const KINDS = ['leveldb', 'hashmap'] as const

describe.each(KINDS)('after a SIGKILL, %s', (kind) => {
  it('what lies there whole is linked, and only the rest is fetched', async () => {
    const machine = new Machine(kind)
    const local = machine.local()
    expect(local.length).toBeGreaterThanOrEqual(kind === 'leveldb' ? 4 : 3)
    const backend = await machine.restore()
    const missing = locations(machine.handle).filter((location) => !local.includes(location))
    expectFetched(machine, backend, missing)
    expectState(backend)
  })

  it('what is linked is in storage for the next checkpoint, which is incremental', async () => {
    const machine = new Machine(kind)
    const backend = await machine.restore()
    backend.setCurrentKey(0)
    backend.getState(valueState<string>('value')).update('new')
    const next = await machine.checkpoint(backend, 10)
    expect(locations(next)).toEqual([...locations(machine.handle), expect.any(String)])
    expect(next.checkpointedSize).toBeLessThan(3000)
  })

  it('the leftovers go when a checkpoint is completed, and not before', async () => {
    const machine = new Machine(kind)
    const backend = await machine.restore()
    backend.getState(valueState<string>('value'))
    expect(folders(machine.directory, 'left-')).toHaveLength(1)
    await machine.checkpoint(backend, 10)
    for (
      let turns = 0;
      turns < 100_000 && folders(machine.directory, 'left-').length > 0;
      turns++
    ) {
      await turn()
    }
    expect(folders(machine.directory, 'left-')).toEqual([])
    expectState(backend)
  })

  it('the leftovers go with the last backend, and are there for those that start meanwhile', async () => {
    const machine = new Machine(kind)
    const local = machine.local()
    const halves = [KeyGroupRange.of(0, 7), KeyGroupRange.of(8, 15)]
    const [first, second] = await Promise.all(
      halves.map((keyGroupRange) => machine.restore({ keyGroupRange })),
    )
    if (first === undefined || second === undefined) throw new Error('there are two')
    expect(first.restored.linkedTables).toBe(local.length)
    expect(second.restored).toEqual(first.restored)
    await first.close()
    expect(folders(machine.directory, 'left-')).toHaveLength(1)
    await second.close()
    expect(fs.readdirSync(machine.directory)).toEqual([])
  })

  it('a restore that failed leaves them to the next attempt', async () => {
    const machine = new Machine(kind)
    const local = machine.local()
    const { plan } = machine.objects
    machine.objects.plan = (operation) => (operation === 'get' ? 'before' : undefined)
    for (let attempt = 0; attempt < 3; attempt++) {
      expect(await rejection(machine.restore())).toMatchObject({ code: 'STORAGE_FAILED' })
    }
    machine.objects.plan = plan
    const backend = await machine.restore()
    expect(backend.restored.linkedTables).toBe(local.length)
    expectState(backend)
  })

  it.each<[string, (path: string) => void]>([
    ['with one bit flipped', flipOneBit],
    ['cut short', (path) => fs.truncateSync(path, fs.statSync(path).size - 1)],
    ['with a byte more', (path) => fs.appendFileSync(path, 'x')],
    ['of the same size and other contents', (path) => fill(path)],
    ['that is empty', (path) => fs.truncateSync(path, 0)],
    ['that is gone', (path) => fs.rmSync(path)],
    ['that is a folder now', replaceByFolder],
  ])('a table %s is fetched instead', async (_, damage) => {
    const machine = new Machine(kind)
    const local = machine.local()
    const missing = locations(machine.handle).filter((location) => !local.includes(location))
    const damaged = local.filter((_location, index) => index % 2 === 0)
    for (const path of damaged.map((location) => machine.fileOf(location))) damage(path)
    const backend = await machine.restore()
    expectFetched(machine, backend, [...missing, ...damaged])
    expectState(backend)
  })

  it('an object that is gone is not missed while its table lies there: the digest is the name of the bytes', async () => {
    const machine = new Machine(kind)
    const local = machine.local()
    await machine.objects.delete(local.map((location) => `job/${location}`))
    expectState(await machine.restore())
    expect(machine.fetched).not.toContain(local[0])
  })

  it('a task with part of the range links the whole tables and cuts them', async () => {
    const machine = new Machine(kind)
    const local = machine.local()
    const keyGroupRange = KeyGroupRange.of(0, 7)
    const backend = await machine.restore({ keyGroupRange })
    expect(backend.restored.linkedTables).toBe(local.length)
    const value = backend.getState(valueState<string>('value'))
    const own = Array.from({ length: KEY_COUNT }, (_, key) => key).filter((key) =>
      keyGroupRange.contains(computeKeyGroupForKeyHash(numberKey.hashCode(key), 16)),
    )
    expect(await collect(backend.getKeys('value'))).toHaveLength(own.length)
    for (const key of own) {
      backend.setCurrentKey(key)
      expect(value.value()).toBe(expected(key))
    }
  })

  it('a process that is killed again, before it took a checkpoint, leaves as much to the next', async () => {
    const machine = new Machine(kind)
    const local = machine.local()
    await runKilledTask({
      kind,
      directory: machine.directory,
      storageDirectory: machine.storageDirectory,
      firstCheckpointId: 10,
      keys: [],
      restoreFrom: machine.handle,
    })
    expect(folders(machine.directory, 'left-')).toHaveLength(1)
    const backend = await machine.restore()
    expect(folders(machine.directory, 'left-')).toHaveLength(1)
    // What the second process fetched lies there now as well, but for what the in-memory backend keeps no file of.
    const { linkedTables } = backend.restored
    expect(linkedTables).toBe(kind === 'leveldb' ? machine.handle.sharedState.length : local.length)
    expectState(backend)
  })
})

it('no table that was linked is ever written to, whatever LevelDB does with it', async () => {
  const machine = new Machine('leveldb')
  const kept = new Map<string, string>()
  for (const [index, file] of tableFiles(machine.directory).entries()) {
    const link = join(machine.directory, '..', `link-${index}`)
    fs.linkSync(file, link)
    kept.set(link, sha256Of(link))
  }
  const backend = await machine.restore()
  expect(backend.restored.linkedTables).toBeGreaterThan(3)
  const value = backend.getState(valueState<string>('value'))
  for (let id = 10; id < 16; id++) {
    for (let key = 0; key < KEY_COUNT; key++) {
      backend.setCurrentKey(key)
      value.update(`${id} of ${key} `.repeat(50))
      if (backend.needsDrain) await backend.drain()
    }
    await machine.checkpoint(backend, id)
  }
  await backend.close()
  expect(fs.readdirSync(machine.directory)).toEqual([])
  for (const [link, digest] of kept) expect(sha256Of(link)).toBe(digest)
})

function flipOneBit(path: string): void {
  const bytes = fs.readFileSync(path)
  const at = Math.floor(bytes.length / 2)
  bytes[at] = (bytes[at] ?? 0) ^ 4
  fs.writeFileSync(path, bytes)
}

function replaceByFolder(path: string): void {
  fs.rmSync(path)
  fs.mkdirSync(path)
}

function fill(path: string): void {
  fs.writeFileSync(path, Buffer.alloc(fs.statSync(path).size, 7))
}
