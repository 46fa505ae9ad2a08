/**
 * Which objects below a job's folder are needed: the decision alone, of what was listed and read before. Reads nothing, deletes nothing.
 *
 * Invariants
 * G1 What a checkpoint that could be read names is live, whatever its name or age.
 * G2 Nothing younger than the minimum age is an orphan: a running checkpoint names its objects only when it is completed. What a running
 *    checkpoint names and did not write itself, the completed checkpoint it is based on names, whose `_metadata` stays until then.
 * G3 While a checkpoint cannot be read, no shared object is an orphan, and nothing in that checkpoint's folder.
 * G4 An object whose name this package never gives is never an orphan.
 */
import type { CheckpointObject } from '../storage/checkpoint-storage.js'
import type { UnfinishedUpload } from '../storage/object-store.js'

/**
 * - `live`: needed.
 * - `pending`: perhaps needed, or not ours; to be left alone.
 * - `orphan`: left over by a crash or a failed deletion; nobody can need it.
 */
export type ObjectClass = 'live' | 'pending' | 'orphan'

export interface ClassifiedObject extends CheckpointObject {
  readonly class: ObjectClass
  /** For people. */
  readonly reason: string
}

export interface ClassifiedUpload extends UnfinishedUpload {
  readonly class: 'pending' | 'orphan'
  /** For people. */
  readonly reason: string
}

/** A checkpoint that has a `_metadata` object. */
export interface PublishedCheckpoint {
  readonly checkpointId: number
  /** What it names, relative to the job's folder; `undefined` when that could not be read. */
  readonly locations: readonly string[] | undefined
}

export interface AgeLimit {
  /** What is younger is never an orphan. From 0. */
  readonly minAgeMs: number
  /** Milliseconds since the epoch. What was modified later counts as young: the clocks of store and machine may differ. */
  readonly nowMs: number
}

type Verdict = Pick<ClassifiedObject, 'class' | 'reason'>

/** The objects in the order given, each once. */
export function classifyObjects(
  objects: readonly CheckpointObject[],
  checkpoints: readonly PublishedCheckpoint[],
  limit: AgeLimit,
): ClassifiedObject[] {
  const names = objects.map(({ location }) => parseName(location))
  const job: JobFacts = {
    namedBy: newestNaming(checkpoints),
    published: new Set(checkpoints.map(({ checkpointId }) => checkpointId)),
    unreadable: checkpoints.flatMap(({ checkpointId, locations }) =>
      locations === undefined ? checkpointId : [],
    ),
    highestEpoch: names.reduce(
      (highest, name) => (name.kind === 'epoch' ? Math.max(highest, name.epoch) : highest),
      0,
    ),
  }
  return objects.map((object, index) => ({
    ...object,
    ...verdictOf(object, names[index] ?? { kind: 'unknown' }, job, limit),
  }))
}

/** An unfinished upload is of no job and no checkpoint can name it: age alone decides. */
export function classifyUpload(upload: UnfinishedUpload, limit: AgeLimit): ClassifiedUpload {
  return isYoung(upload, limit)
    ? { ...upload, class: 'pending', reason: 'written to recently: its put may be running' }
    : { ...upload, class: 'orphan', reason: 'its put never ended' }
}

interface JobFacts {
  /** Location to the newest checkpoint that names it. */
  readonly namedBy: ReadonlyMap<string, number>
  readonly published: ReadonlySet<number>
  readonly unreadable: readonly number[]
  readonly highestEpoch: number
}

function newestNaming(checkpoints: readonly PublishedCheckpoint[]): Map<string, number> {
  const namedBy = new Map<string, number>()
  for (const { checkpointId, locations = [] } of checkpoints) {
    for (const location of locations) {
      namedBy.set(location, Math.max(checkpointId, namedBy.get(location) ?? 0))
    }
  }
  return namedBy
}

function verdictOf(
  object: CheckpointObject,
  name: ObjectName,
  job: JobFacts,
  limit: AgeLimit,
): Verdict {
  const naming = job.namedBy.get(object.location)
  if (naming !== undefined) return { class: 'live', reason: `checkpoint ${naming} names it` }
  if (name.kind === 'metadata') {
    return { class: 'live', reason: `it is checkpoint ${name.checkpointId}` }
  }
  if (name.kind === 'epoch' && name.epoch === job.highestEpoch) {
    return { class: 'live', reason: 'the latest attempt at running the job claimed it' }
  }
  if (name.kind === 'unknown') {
    return { class: 'pending', reason: 'unknown: this package gives no such name, nor deletes it' }
  }
  if (isYoung(object, limit)) {
    const reason = 'stored recently: a running checkpoint may be about to name it'
    return { class: 'pending', reason }
  }
  const unreadable = job.unreadable.find(
    (id) => name.kind === 'shared' || (name.kind === 'exclusive' && name.checkpointId === id),
  )
  if (unreadable !== undefined) {
    return { class: 'pending', reason: `checkpoint ${unreadable} cannot be read, and may name it` }
  }
  return { class: 'orphan', reason: reasonOfOrphan(name, job) }
}

function reasonOfOrphan(name: Exclude<ObjectName, { kind: 'unknown' }>, job: JobFacts): string {
  if (name.kind === 'epoch') return `attempt ${job.highestEpoch} has begun since`
  if (name.kind !== 'exclusive') return 'no checkpoint names it'
  return job.published.has(name.checkpointId)
    ? `checkpoint ${name.checkpointId} does not name it`
    : `there is no checkpoint ${name.checkpointId}`
}

function isYoung({ lastModifiedMs }: { lastModifiedMs: number }, limit: AgeLimit): boolean {
  // Not `<`: a time that is no number must not make an object old.
  return !(limit.nowMs - lastModifiedMs >= limit.minAgeMs)
}

type ObjectName =
  | { readonly kind: 'metadata' | 'exclusive'; readonly checkpointId: number }
  | { readonly kind: 'epoch'; readonly epoch: number }
  | { readonly kind: 'shared' | 'unknown' }

const uuid = '[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}'
/** The epoch of an attempt, a random id, and perhaps an ending: as `CheckpointStorage` names what it writes. */
const stateName = new RegExp(`^(?:0|[1-9][0-9]*)-${uuid}(?:\\.[A-Za-z0-9]{1,16})?$`)

function parseName(location: string): ObjectName {
  const [folder = '', name = '', ...deeper] = location.split('/')
  if (deeper.length > 0) return { kind: 'unknown' }
  if (folder === 'epochs') {
    const epoch = positiveInteger(name)
    return epoch === undefined ? { kind: 'unknown' } : { kind: 'epoch', epoch }
  }
  if (folder === 'shared') return { kind: stateName.test(name) ? 'shared' : 'unknown' }
  const checkpointId = folder.startsWith('chk-') ? positiveInteger(folder.slice(4)) : undefined
  if (checkpointId === undefined) return { kind: 'unknown' }
  if (name === '_metadata') return { kind: 'metadata', checkpointId }
  return stateName.test(name) ? { kind: 'exclusive', checkpointId } : { kind: 'unknown' }
}

function positiveInteger(digits: string): number | undefined {
  const value = Number(digits)
  return /^[1-9][0-9]*$/.test(digits) && Number.isSafeInteger(value) ? value : undefined
}
