import { Buffer } from 'node:buffer'
import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  decodeCheckpointMetadata,
  encodeCheckpointMetadata,
} from '../../src/checkpoint/checkpoint-metadata.js'
import {
  stateHandlesOf,
  type CompletedCheckpoint,
} from '../../src/checkpoint/completed-checkpoint.js'
import { IncrementalRemoteKeyedStateHandle } from '../../src/checkpoint/keyed-state-handle.js'
import { StateBackendError } from '../../src/errors.js'
import { KeyGroupRange } from '../../src/record/key-group-range.js'

/** Of a user key that is nothing but its key group. */
function internalKey(keyGroup: number): string {
  return Buffer.from([0, keyGroup, 1, 0, 0, 0, 0, 0, 0, 0]).toString('base64')
}

const handle = new IncrementalRemoteKeyedStateHandle({
  backendIdentifier: 'b',
  stateHandleId: 'h',
  checkpointId: 7,
  keyGroupRange: KeyGroupRange.of(0, 63),
  sharedState: [
    {
      role: 'base',
      level: 2,
      state: { kind: 'object', location: 'shared/x.ldb', sizeBytes: 10, sha256: 'ab' },
      smallest: internalKey(0),
      largest: internalKey(63),
      largestSequence: 5,
    },
  ],
  metaState: { kind: 'inline', data: 'e30=', sizeBytes: 2, sha256: 'cd' },
  checkpointedSize: 12,
})

const checkpoint: CompletedCheckpoint = {
  checkpointId: 7,
  snapshotType: 'checkpoint',
  epoch: 3,
  timestampMs: 1_700_000_000_123,
  jobId: 'job',
  operators: [
    {
      operatorId: 'op',
      maxParallelism: 128,
      subtasks: [
        { subtaskIndex: 0, keyedStateHandle: handle },
        { subtaskIndex: 1, keyedStateHandle: null },
      ],
    },
  ],
  hostData: { position: [1, 'two', { three: null }] },
}

const bytes = encodeCheckpointMetadata(checkpoint)

function errorOf(run: () => unknown): StateBackendError {
  try {
    run()
  } catch (error) {
    if (error instanceof StateBackendError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

/** A well-formed object around any payload. */
function framed(payload: string, version = 1): Buffer {
  const body = Buffer.from(payload)
  const header = Buffer.from('LSBMETA\n........')
  header.writeUInt32LE(version, 8)
  header.writeUInt32LE(body.length, 12)
  const digest = createHash('sha256').update(header).update(body).digest()
  return Buffer.concat([header, body, digest])
}

describe('checkpoint metadata', () => {
  it('comes back as it was', () => {
    const decoded = decodeCheckpointMetadata(bytes, 'm')
    expect(decoded).toEqual(checkpoint)
    const [restored, ...others] = stateHandlesOf(decoded, 'op')
    expect(others).toEqual([])
    expect(restored?.getIntersection(KeyGroupRange.of(10, 20))?.keyGroupRange).toEqual(
      KeyGroupRange.of(10, 20),
    )
    expect(stateHandlesOf(decoded, 'another')).toEqual([])
    expect(stateHandlesOf(undefined, 'op')).toEqual([])
  })

  it('has the layout that its file describes', () => {
    const length = bytes.readUInt32LE(12)
    expect(bytes.toString('latin1', 0, 8)).toBe('LSBMETA\n')
    expect(bytes.readUInt32LE(8)).toBe(1)
    expect(bytes.length).toBe(16 + length + 32)
    expect(JSON.parse(bytes.toString('utf8', 16, 16 + length))).toMatchObject({ checkpointId: 7 })
    const digest = createHash('sha256').update(bytes.subarray(0, -32)).digest()
    expect(bytes.subarray(-32)).toEqual(digest)
  })

  it('gives back any JSON that a host keeps in it', () => {
    fc.assert(
      fc.property(fc.jsonValue({ noUnicodeString: false }), (hostData) => {
        // JSON has no -0.
        const plain = JSON.parse(JSON.stringify(hostData)) as CompletedCheckpoint['hostData']
        const encoded = encodeCheckpointMetadata({ ...checkpoint, hostData: plain })
        expect(decodeCheckpointMetadata(encoded, 'm').hostData).toEqual(plain)
      }),
    )
  })

  it.each([
    ['undefined', undefined],
    ['a bigint', { position: 1n }],
    ['NaN', [Number.NaN]],
    ['a Map', { deep: [new Map()] }],
    ['a function', () => 1],
  ])('refuses host data that JSON would lose: %s', (_, hostData) => {
    const wrong = { ...checkpoint, hostData: hostData as CompletedCheckpoint['hostData'] }
    expect(errorOf(() => encodeCheckpointMetadata(wrong)).code).toBe('INVALID_ARGUMENT')
  })

  it('refuses host data that contains itself', () => {
    const hostData: Record<string, CompletedCheckpoint['hostData']> = {}
    hostData['self'] = hostData
    const error = errorOf(() => encodeCheckpointMetadata({ ...checkpoint, hostData }))
    expect(error.code).toBe('INVALID_ARGUMENT')
  })

  it('is damaged when it is cut at any position', () => {
    for (let length = 0; length < bytes.length; length++) {
      const error = errorOf(() => decodeCheckpointMetadata(bytes.subarray(0, length), 'chk-7'))
      expect(error.code, `cut to ${length}`).toBe('METADATA_DAMAGED')
      expect(error.details).toEqual({ object: 'chk-7', offset: length })
    }
  })

  it('is never read when any bit is another', () => {
    for (let offset = 0; offset < bytes.length; offset++) {
      for (const bit of [1, 0x80]) {
        const altered = Buffer.from(bytes)
        altered[offset] = (altered[offset] as number) ^ bit
        const { code } = errorOf(() => decodeCheckpointMetadata(altered, 'm'))
        // The version is believed before anything is verified: a newer one may verify in other ways.
        const inVersion = offset >= 8 && offset < 12 && altered.readUInt32LE(8) > 1
        expect(code, `byte ${offset}`).toBe(
          inVersion ? 'METADATA_VERSION_UNKNOWN' : 'METADATA_DAMAGED',
        )
      }
    }
  })

  it('is damaged when bytes follow it', () => {
    const error = errorOf(() => decodeCheckpointMetadata(Buffer.concat([bytes, bytes]), 'm'))
    expect(error.code).toBe('METADATA_DAMAGED')
    expect(error.details).toEqual({ object: 'm', offset: bytes.length })
  })

  it('says of a newer version which it is, whatever follows', () => {
    const newer = framed('{}', 2)
    for (const cut of [newer, newer.subarray(0, 17)]) {
      const error = errorOf(() => decodeCheckpointMetadata(cut, 'm'))
      expect(error.code).toBe('METADATA_VERSION_UNKNOWN')
      expect(error.details).toEqual({ object: 'm', version: 2 })
    }
  })

  it('is damaged when another program wrote a whole object of another shape', () => {
    const payload = JSON.parse(bytes.toString('utf8', 16, bytes.length - 32)) as object
    expect(decodeCheckpointMetadata(framed(JSON.stringify(payload)), 'm')).toEqual(checkpoint)
    for (const path of pathsOf(payload)) {
      if (path[0] === 'hostData') continue
      const wrong = framed(JSON.stringify(withoutPath(payload, path)))
      const error = errorOf(() => decodeCheckpointMetadata(wrong, 'm'))
      expect(error.code, path.join('.')).toBe('METADATA_DAMAGED')
    }
    for (const text of ['null', '[]', '{', '7', '{}']) {
      const error = errorOf(() => decodeCheckpointMetadata(framed(text), 'm'))
      expect(error.code, text).toBe('METADATA_DAMAGED')
    }
  })
})

type Path = readonly (string | number)[]

/** Paths of all members of objects, at any depth. */
function pathsOf(value: unknown, above: Path = []): Path[] {
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([name, member]) => {
    const path = [...above, name]
    return Array.isArray(value) ? pathsOf(member, path) : [path, ...pathsOf(member, path)]
  })
}

function withoutPath(payload: object, path: Path): object {
  const copy = structuredClone(payload)
  const holder = path
    .slice(0, -1)
    .reduce<unknown>((value, name) => Reflect.get(value as object, name), copy)
  Reflect.deleteProperty(holder as object, path.at(-1) ?? '')
  return copy
}
