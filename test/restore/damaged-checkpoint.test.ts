/** R1: every byte of a checkpoint is checked before anything reads it; a restore that fails leaves nothing and spoils nothing. */
import { Buffer } from 'node:buffer'
import { readdirSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { CheckpointOptions } from '../../src/checkpoint/checkpoint-options.js'
import { encodeMetaInformation } from '../../src/checkpoint/meta-information.js'
import { IncrementalRemoteKeyedStateHandle } from '../../src/checkpoint/keyed-state-handle.js'
import { KeyGroupRange } from '../../src/record/key-group-range.js'
import { stringKey } from '../../src/record/key-serializer.js'
import { CheckpointedStateScope } from '../../src/storage/checkpoint-storage.js'
import { bodyOfBytes } from '../../src/storage/object-store.js'
import {
  collect,
  MAX_PARALLELISM,
  namedObjects,
  rejection,
  stateBackendOf,
  StateTask,
  temporaryDirectory,
  WHOLE_RANGE,
  type BackendKind,
  type Handle,
} from '../support/state-task.js'

const KEYS = 300

/** Full checkpoints until LevelDB has written a table of its own: it does so when it comes to it. */
const FULL_CHECKPOINTS_MAX = 200

/** A base, of a full checkpoint, and deltas. */
async function taskWithCheckpoint(): Promise<{ task: StateTask; handle: Handle }> {
  const task = await StateTask.start()
  for (let round = 0; round < 6; round++) {
    await task.put(0, KEYS, (key) => `${round} of ${key} `.repeat(round < 4 ? 200 : 1))
    await (round === 3 ? takeBase(task) : task.checkpoint())
  }
  const { handle } = await task.checkpoint()
  await task.close()
  return { task, handle }
}

async function takeBase(task: StateTask): Promise<void> {
  for (let taken = 0; taken < FULL_CHECKPOINTS_MAX; taken++) {
    const { handle } = await task.checkpoint(CheckpointOptions.fullCheckpoint())
    if (handle.sharedState.some(({ role }) => role === 'base')) return
  }
  throw new Error('LevelDB wrote no table')
}

async function bytesOf(task: StateTask, location: string): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  for await (const chunk of await task.objects.get(`job/${location}`)) chunks.push(chunk)
  return Buffer.concat(chunks)
}

const DAMAGES: Record<string, (bytes: Buffer) => Buffer> = {
  'a flipped bit': (bytes) => {
    const damaged = Buffer.from(bytes)
    const at = Math.floor(bytes.length / 2)
    damaged[at] = (damaged[at] ?? 0) ^ 1
    return damaged
  },
  'a missing last byte': (bytes) => bytes.subarray(0, -1),
  'a byte too many': (bytes) => Buffer.concat([bytes, Buffer.alloc(1)]),
  'no bytes': () => Buffer.alloc(0),
}

describe.each<BackendKind>(['leveldb', 'hashmap'])('a damaged checkpoint, %s', (kind) => {
  it('R1: altered, cut or missing, every object is named by the error, and a good restore works afterwards', async () => {
    const { task, handle } = await taskWithCheckpoint()
    expect(handle.sharedState.some(({ role }) => role === 'base')).toBe(true)
    expect(handle.sharedState.some(({ role }) => role === 'delta')).toBe(true)
    for (const location of namedObjects([handle])) {
      const key = `job/${location}`
      const whole = await bytesOf(task, location)
      for (const [damage, apply] of Object.entries(DAMAGES)) {
        await task.objects.put(key, bodyOfBytes(apply(whole)))
        const error = await rejection(task.open([handle], { kind }))
        expect(error, damage).toMatchObject({ code: 'OBJECT_DAMAGED', details: { object: key } })
        if (kind === 'leveldb') expect(readdirSync(task.directory)).toEqual([])
      }
      await task.objects.delete([key])
      expect(await rejection(task.open([handle], { kind }))).toMatchObject({
        code: 'OBJECT_MISSING',
        details: { key },
      })
      await task.objects.put(key, bodyOfBytes(whole))
    }
    await task.open([handle], { kind })
    expect(task.values(0, KEYS)).toEqual(Array.from({ length: KEYS }, (_, key) => `5 of ${key} `))
  })

  it('inline state is checked as well', async () => {
    const { task, handle } = await taskWithCheckpoint()
    const bytes = await task.storage.readBytes(handle.metaState)
    const metaState = {
      kind: 'inline',
      data: Buffer.from(bytes).fill(0x20, 0, 1).toString('base64'),
      sizeBytes: handle.metaState.sizeBytes,
      sha256: handle.metaState.sha256,
    } as const
    const damaged = new IncrementalRemoteKeyedStateHandle({ ...handle, metaState })
    expect(await rejection(task.open([damaged], { kind }))).toMatchObject({
      code: 'OBJECT_DAMAGED',
    })
  })

  it('an aborted restore leaves nothing', async () => {
    const { task, handle } = await taskWithCheckpoint()
    const before = await rejection(task.open([handle], { kind, signal: AbortSignal.abort() }))
    expect(before).toMatchObject({ code: 'SNAPSHOT_ABORTED' })
    const abortion = new AbortController()
    let gets = 0
    task.objects.plan = () => {
      if (++gets === 3) abortion.abort()
      return undefined
    }
    const error = await rejection(task.open([handle], { kind, signal: abortion.signal }))
    expect(error).toMatchObject({ code: 'SNAPSHOT_ABORTED' })
    if (kind === 'leveldb') expect(readdirSync(task.directory)).toEqual([])
    task.objects.heal()
    await task.open([handle], { kind })
  })

  it('storage that fails for a moment fails the restore, and the next one works', async () => {
    const { task, handle } = await taskWithCheckpoint()
    task.objects.plan = (operation) => (operation === 'get' ? 'before' : undefined)
    expect(await rejection(task.open([handle], { kind }))).toMatchObject({ code: 'STORAGE_FAILED' })
    task.objects.heal()
    await task.open([handle], { kind })
    expect(task.values(7, 8)).toEqual(['5 of 7 '])
  })
})

describe.each<BackendKind>(['leveldb', 'hashmap'])('a checkpoint that does not fit, %s', (kind) => {
  it('another key type, another maximum parallelism: RESTORE_MISMATCH', async () => {
    const { task, handle } = await taskWithCheckpoint()
    const stateBackend = stateBackendOf(kind, temporaryDirectory(), {})
    const options = {
      operatorId: 'operator',
      keySerializer: stringKey,
      maxParallelism: MAX_PARALLELISM,
      keyGroupRange: WHOLE_RANGE,
      stateHandles: [handle],
      checkpointStorage: task.storage,
    }
    expect(await rejection(stateBackend.createKeyedStateBackend(options))).toMatchObject({
      code: 'RESTORE_MISMATCH',
      kind: 'invalid',
      details: { backend: stringKey.typeName },
    })
    const other = task.open([handle], { kind, maxParallelism: 2 * MAX_PARALLELISM })
    expect(await rejection(other)).toMatchObject({
      code: 'RESTORE_MISMATCH',
      details: { checkpoint: MAX_PARALLELISM, backend: 2 * MAX_PARALLELISM },
    })
  })

  it('one range twice: RESTORE_MISMATCH', async () => {
    const { task, handle } = await taskWithCheckpoint()
    expect(await rejection(task.open([handle, handle], { kind }))).toMatchObject({
      code: 'RESTORE_MISMATCH',
    })
  })

  it('handles of other ranges alone restore nothing', async () => {
    const task = await StateTask.start({ kind })
    await task.put(0, KEYS, (key) => `${key}`)
    const { handle } = await task.checkpoint()
    await task.close()
    const elsewhere = new IncrementalRemoteKeyedStateHandle({
      ...handle,
      keyGroupRange: KeyGroupRange.of(0, 3),
    })
    await task.open([elsewhere], { kind, keyGroupRange: KeyGroupRange.of(4, 15) })
    task.values(0, 0)
    expect(await collect(task.backend.getKeys('value'))).toEqual([])
  })

  it('handles without checkpointStorage: INVALID_ARGUMENT', async () => {
    const { task, handle } = await taskWithCheckpoint()
    const stateBackend = stateBackendOf(kind, temporaryDirectory(), {})
    const options = {
      operatorId: 'operator',
      keySerializer: stringKey,
      maxParallelism: MAX_PARALLELISM,
      keyGroupRange: WHOLE_RANGE,
      stateHandles: [handle],
    }
    expect(task.storage.jobId).toBe('job')
    expect(await rejection(stateBackend.createKeyedStateBackend(options))).toMatchObject({
      code: 'INVALID_ARGUMENT',
    })
  })

  it('meta information of a later version: METADATA_VERSION_UNKNOWN', async () => {
    const { task, handle } = await taskWithCheckpoint()
    const meta = encodeMetaInformation({
      version: 1,
      keyType: 'number',
      maxParallelism: MAX_PARALLELISM,
      lastSequence: 1,
      lastEpoch: 0,
      states: [],
    })
    const later = Buffer.from(meta.toString().replace('"version":1', '"version":2'))
    const metaState = await task.storage
      .streamFactory(99)
      .write(CheckpointedStateScope.Exclusive, bodyOfBytes(later))
    const future = new IncrementalRemoteKeyedStateHandle({ ...handle, metaState })
    expect(await rejection(task.open([future], { kind }))).toMatchObject({
      code: 'METADATA_VERSION_UNKNOWN',
      details: { version: 2 },
    })
  })
})
