/**
 * The JSON of `_metadata` into a `CompletedCheckpoint`. The bytes' SHA-256 was verified, so a wrong shape means another writer: it is
 * checked as far as a reader relies on it, so that it is reported here and not met as a `TypeError` somewhere in a restore.
 */
import { StateBackendError } from '../errors.js'
import type {
  CompletedCheckpoint,
  OperatorCheckpoint,
  SubtaskState,
} from './completed-checkpoint.js'
import { SNAPSHOT_TYPES } from './checkpoint-options.js'
import type { JsonValue } from './json-value.js'
import {
  IncrementalRemoteKeyedStateHandle,
  type IncrementalRemoteKeyedStateHandleFields,
} from './keyed-state-handle.js'

type Fields = Readonly<Record<string, unknown>>

/** Throws `METADATA_DAMAGED`. `name` says which object it is from. */
export function parseCheckpointPayload(json: string, name: string): CompletedCheckpoint {
  try {
    return completedCheckpoint(JSON.parse(json))
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new StateBackendError(
      'METADATA_DAMAGED',
      `${name} was not written by this package, though its SHA-256 holds: ${reason}. Find out what wrote it, and restore another ` +
        'checkpoint.',
      { cause, details: { object: name } },
    )
  }
}

function completedCheckpoint(value: unknown): CompletedCheckpoint {
  const fields = object(value, 'the payload')
  return {
    checkpointId: integer(fields, 'checkpointId', 1),
    snapshotType: oneOf(fields, 'snapshotType', SNAPSHOT_TYPES),
    epoch: integer(fields, 'epoch', 0),
    timestampMs: finite(fields, 'timestampMs'),
    jobId: text(fields, 'jobId'),
    operators: array(fields, 'operators').map(operatorCheckpoint),
    hostData: fields['hostData'] as JsonValue,
  }
}

function operatorCheckpoint(value: unknown): OperatorCheckpoint {
  const fields = object(value, 'an operator')
  return {
    operatorId: text(fields, 'operatorId'),
    maxParallelism: integer(fields, 'maxParallelism', 1),
    subtasks: array(fields, 'subtasks').map(subtaskState),
  }
}

function subtaskState(value: unknown, position: number): SubtaskState {
  const fields = object(value, 'a subtask')
  const subtaskIndex = integer(fields, 'subtaskIndex', 0)
  if (subtaskIndex !== position) throw new Error(`subtask ${position} says it is ${subtaskIndex}`)
  const handle = fields['keyedStateHandle']
  return { subtaskIndex, keyedStateHandle: handle === null ? null : keyedStateHandle(handle) }
}

function keyedStateHandle(value: unknown): IncrementalRemoteKeyedStateHandle {
  const fields = object(value, 'keyedStateHandle')
  text(fields, 'backendIdentifier')
  text(fields, 'stateHandleId')
  integer(fields, 'checkpointId', 1)
  integer(fields, 'checkpointedSize', 0)
  streamStateHandle(fields['metaState'])
  array(fields, 'sharedState').forEach(tableHandle)
  // Also checks keyGroupRange.
  return IncrementalRemoteKeyedStateHandle.fromJSON(
    fields as Fields & IncrementalRemoteKeyedStateHandleFields,
  )
}

function tableHandle(value: unknown): void {
  const fields = object(value, 'a table')
  oneOf(fields, 'role', ['base', 'delta'])
  integer(fields, 'level', 0)
  integer(fields, 'largestSequence', 0)
  text(fields, 'smallest')
  text(fields, 'largest')
  streamStateHandle(fields['state'])
}

function streamStateHandle(value: unknown): void {
  const fields = object(value, 'state')
  integer(fields, 'sizeBytes', 0)
  text(fields, 'sha256')
  oneOf(fields, 'kind', ['object', 'inline'])
  text(fields, fields['kind'] === 'object' ? 'location' : 'data')
}

function object(value: unknown, what: string): Fields {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Fields
  throw new Error(`${what} is no object`)
}

function array(fields: Fields, name: string): readonly unknown[] {
  const value = fields[name]
  if (Array.isArray(value)) return value
  throw new Error(`${name} is no array`)
}

function text(fields: Fields, name: string): string {
  const value = fields[name]
  if (typeof value === 'string') return value
  throw new Error(`${name} is no string`)
}

function oneOf<T extends string>(fields: Fields, name: string, choices: readonly T[]): T {
  const value = text(fields, name)
  const found = choices.find((choice) => choice === value)
  if (found === undefined) throw new Error(`${name} is ${JSON.stringify(value)}`)
  return found
}

function finite(fields: Fields, name: string): number {
  const value = fields[name]
  if (typeof value === 'number') return value
  throw new Error(`${name} is no number`)
}

function integer(fields: Fields, name: string, min: number): number {
  const value = finite(fields, name)
  if (Number.isSafeInteger(value) && value >= min) return value
  throw new Error(`${name} is ${value}, not an integer from ${min}`)
}
