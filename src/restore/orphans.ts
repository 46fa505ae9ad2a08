/**
 * Finds what crashes and failed deletions left of a job in storage, and deletes it. Finding deletes nothing; `orphans-classification.ts`
 * decides.
 *
 * May run beside the job. Then the minimum age must exceed the time from the first byte of a checkpoint to its `_metadata`: its timeout.
 *
 * Invariants
 * G5 Objects are listed first, then checkpoints are read until a listing shows none that was not: so there was a moment, after every
 *    object was seen, at which every checkpoint in storage had been read or was being told as unreadable.
 * G6 Before each batch of deletions, checkpoints that appeared since are read; what they name is spared.
 */
import { systemClock, type Clock } from '../common/clock.js'
import { StateBackendError } from '../errors.js'
import type { CheckpointObject, CheckpointStorage } from '../storage/checkpoint-storage.js'
import type { UnfinishedUpload } from '../storage/object-store.js'
import { PublishedCheckpoints, type UnreadableCheckpoint } from './orphans-checkpoints.js'
import {
  classifyObjects,
  classifyUpload,
  type ClassifiedObject,
  type ClassifiedUpload,
} from './orphans-classification.js'

export type { UnreadableCheckpoint } from './orphans-checkpoints.js'
export type { ClassifiedObject, ClassifiedUpload, ObjectClass } from './orphans-classification.js'

const minAgeDefaultMs = 24 * 60 * 60 * 1000
/** Of each of objects and unfinished uploads: some hundred MB of memory. */
const objectsMaxDefault = 1_000_000
/** Deleted between two looks at the checkpoints. */
const deleteBatchObjects = 1000

export interface FindOrphansOptions {
  /** What is younger is never an orphan, in milliseconds, from 0. Default 24 hours. 0 only while no attempt at the job is running. */
  readonly minAgeMs?: number | undefined
  /** How many objects, and how many unfinished uploads, the report may hold; an integer from 1. Default 1,000,000. */
  readonly objectsMax?: number | undefined
  readonly clock?: Clock | undefined
  readonly signal?: AbortSignal | undefined
}

/** Plain data. */
export interface OrphanReport {
  readonly jobId: string
  /** By the clock of who asked; ages were measured against it. */
  readonly checkedAtMs: number
  readonly minAgeMs: number
  /** Ascending; those that cannot be read are among them. */
  readonly checkpointIds: readonly number[]
  readonly unreadableCheckpoints: readonly UnreadableCheckpoint[]
  /** Everything below the job's folder, in the order of the store's listing. */
  readonly objects: readonly ClassifiedObject[]
  /** The whole store's, of whatever job. */
  readonly unfinished: readonly ClassifiedUpload[]
  /** Of all orphans, unfinished uploads included. */
  readonly orphanBytes: number
  /** False when there was more than `objectsMax`: delete these orphans, then look again. */
  readonly complete: boolean
}

export interface DeletedOrphans {
  readonly deletedObjects: number
  readonly deletedUploads: number
  readonly deletedBytes: number
  /** Orphans of the report that were left alone, since they are none any more. */
  readonly spared: readonly { readonly location: string; readonly reason: string }[]
}

/** Deletes nothing. `INVALID_ARGUMENT` for an age out of its range; `STORAGE_FAILED` when the checkpoints do not come to rest. */
export async function findOrphans(
  storage: CheckpointStorage,
  options: FindOrphansOptions = {},
): Promise<OrphanReport> {
  const {
    minAgeMs = minAgeDefaultMs,
    objectsMax = objectsMaxDefault,
    clock = systemClock,
  } = options
  if (!Number.isFinite(minAgeMs) || minAgeMs < 0) {
    throw new StateBackendError(
      'INVALID_ARGUMENT',
      `minAgeMs is ${minAgeMs}. Give milliseconds from 0, more than a checkpoint of the running job takes.`,
    )
  }
  if (!Number.isSafeInteger(objectsMax) || objectsMax < 1) {
    throw new StateBackendError(
      'INVALID_ARGUMENT',
      `objectsMax is ${objectsMax}. Give an integer from 1, or leave it out.`,
    )
  }
  const { signal } = options
  const limit = { minAgeMs, nowMs: clock.wallClockMs() }
  const found = await gather<CheckpointObject>(storage.listObjects({ signal }), objectsMax)
  const uploads = await gather<UnfinishedUpload>(
    storage.objectStore.listUnfinished({ signal }),
    objectsMax,
  )
  const checkpoints = new PublishedCheckpoints(storage, newestOf(found.items))
  await checkpoints.refresh(signal)

  const objects = classifyObjects(found.items, checkpoints.all, limit)
  const unfinished = uploads.items.map((upload) => classifyUpload(upload, limit))
  return {
    jobId: storage.jobId,
    checkedAtMs: limit.nowMs,
    minAgeMs,
    checkpointIds: checkpoints.all.map(({ checkpointId }) => checkpointId),
    unreadableCheckpoints: checkpoints.unreadable,
    objects,
    unfinished,
    orphanBytes: bytesOf(objects.filter(isOrphan)) + bytesOf(unfinished.filter(isOrphan)),
    complete: found.complete && uploads.complete,
  }
}

/**
 * Deletes the orphans of `report`, which `findOrphans` made of the same storage: those that still are none of any checkpoint, and the
 * uploads that nobody has written to since. Never more than that; on failure some may be gone, and the call may be repeated.
 * `INVALID_ARGUMENT` for the report of another job.
 */
export async function deleteOrphans(
  storage: CheckpointStorage,
  report: OrphanReport,
  options: { readonly signal?: AbortSignal | undefined } = {},
): Promise<DeletedOrphans> {
  if (report.jobId !== storage.jobId) {
    throw new StateBackendError(
      'INVALID_ARGUMENT',
      `The report is of job ${report.jobId}, the storage of job ${storage.jobId}. Delete with the storage that was looked through.`,
      { details: { jobId: storage.jobId, reported: report.jobId } },
    )
  }
  const { signal } = options
  const objects = await deleteObjects(storage, report, signal)
  const uploads = await discardUploads(storage, report, signal)
  return {
    deletedObjects: objects.deleted.length,
    deletedUploads: uploads.length,
    deletedBytes: bytesOf(objects.deleted) + bytesOf(uploads),
    spared: objects.spared,
  }
}

async function deleteObjects(
  storage: CheckpointStorage,
  report: OrphanReport,
  signal: AbortSignal | undefined,
): Promise<{ deleted: CheckpointObject[]; spared: DeletedOrphans['spared'] }> {
  const orphans = report.objects.filter(isOrphan)
  const newestKnown = report.checkpointIds.reduce((newest, id) => Math.max(newest, id), 0)
  const checkpoints = new PublishedCheckpoints(storage, newestKnown)
  const spared: { location: string; reason: string }[] = []
  const deleted: CheckpointObject[] = []
  let now = new Map<string, ClassifiedObject>()
  for (let start = 0; start < orphans.length; start += deleteBatchObjects) {
    if ((await checkpoints.refresh(signal)) || start === 0)
      now = classifiedAgain(report, checkpoints)
    const batch: CheckpointObject[] = []
    for (const { location } of orphans.slice(start, start + deleteBatchObjects)) {
      const object = now.get(location)
      if (object === undefined) continue
      if (isOrphan(object)) batch.push(object)
      else spared.push({ location, reason: object.reason })
    }
    await storage.deleteObjects(
      batch.map(({ location }) => location),
      { signal },
    )
    deleted.push(...batch)
  }
  return { deleted, spared }
}

/** By the names of the objects alone, so that a report that went through a file cannot make another one an orphan. */
function classifiedAgain(
  { objects, minAgeMs, checkedAtMs }: OrphanReport,
  checkpoints: PublishedCheckpoints,
): Map<string, ClassifiedObject> {
  const limit = { minAgeMs, nowMs: checkedAtMs }
  const classified = classifyObjects(objects, checkpoints.all, limit)
  return new Map(classified.map((object) => [object.location, object]))
}

async function discardUploads(
  storage: CheckpointStorage,
  report: OrphanReport,
  signal: AbortSignal | undefined,
): Promise<UnfinishedUpload[]> {
  const orphans = new Map(report.unfinished.filter(isOrphan).map((upload) => [upload.id, upload]))
  if (orphans.size === 0) return []
  const untouched: UnfinishedUpload[] = []
  for await (const upload of storage.objectStore.listUnfinished({ signal })) {
    if (orphans.get(upload.id)?.lastModifiedMs === upload.lastModifiedMs) untouched.push(upload)
  }
  for (let start = 0; start < untouched.length; start += deleteBatchObjects) {
    const batch = untouched.slice(start, start + deleteBatchObjects)
    await storage.objectStore.discardUnfinished(
      batch.map(({ id }) => id),
      { signal },
    )
  }
  return untouched
}

async function gather<Item>(
  source: AsyncIterable<Item>,
  max: number,
): Promise<{ items: Item[]; complete: boolean }> {
  const items: Item[] = []
  for await (const item of source) {
    if (items.length === max) return { items, complete: false }
    items.push(item)
  }
  return { items, complete: true }
}

/** The highest id of a checkpoint among the objects, 0 where there is none. */
function newestOf(objects: readonly CheckpointObject[]): number {
  return objects.reduce((newest, { location }) => {
    const id = Number(/^chk-([1-9][0-9]*)\/_metadata$/.exec(location)?.[1])
    return Number.isSafeInteger(id) ? Math.max(newest, id) : newest
  }, 0)
}

function isOrphan(each: { readonly class: string }): boolean {
  return each.class === 'orphan'
}

function bytesOf(all: readonly { readonly sizeBytes: number }[]): number {
  return all.reduce((bytes, { sizeBytes }) => bytes + sizeBytes, 0)
}
