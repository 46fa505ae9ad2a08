/** Listings of a bucket, a page at a time: objects, and uploads that were begun and not ended. */
import {
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  type ListMultipartUploadsCommandInput,
  type ListMultipartUploadsCommandOutput,
  type ListObjectsV2CommandOutput,
} from '@aws-sdk/client-s3'
import { throwIfAborted } from '../../common/concurrency.js'
import { StateBackendError } from '../../errors.js'
import { compareKeys, faultOfKey } from '../object-key.js'
import type { ObjectInfo, UnfinishedUpload } from '../object-store.js'
import { UnexpectedAnswer } from './s3-failure.js'
import type { S3Requests } from './s3-requests.js'

/** Pages in a row that a server may give with nothing on them: else a listing might never end. */
const emptyPagesMax = 1000

/**
 * The objects whose name in the bucket starts with `prefix + start`, in the order of their keys,
 * which are their names without `prefix`. What is no key was not made by a store, and is passed
 * over.
 */
export async function* listObjects(
  requests: S3Requests,
  prefix: string,
  start: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<ObjectInfo, void, undefined> {
  let last: string | undefined
  let token: string | undefined
  let emptyPages = 0
  do {
    const { Contents = [], ...page } = await listPage(requests, prefix + start, token, signal)
    emptyPages = Contents.length === 0 ? emptyPages + 1 : 0
    if (emptyPages === emptyPagesMax) throw neverEnds(requests)
    for (const { Key = '', Size = 0, LastModified } of Contents) {
      throwIfAborted(signal)
      const key = Key.slice(prefix.length)
      if (last !== undefined && compareKeys(last, key) >= 0) {
        throw notInOrder(requests, last, key)
      }
      last = key
      if (faultOfKey(key) !== undefined) continue
      yield { key, sizeBytes: Size, lastModifiedMs: LastModified?.getTime() ?? 0 }
    }
    token = page.IsTruncated === true ? page.NextContinuationToken : undefined
    if (page.IsTruncated === true && token === undefined) throw neverEnds(requests)
  } while (token !== undefined)
}

function listPage(
  requests: S3Requests,
  Prefix: string,
  token: string | undefined,
  signal: AbortSignal | undefined,
): Promise<ListObjectsV2CommandOutput> {
  const command = {
    Bucket: requests.bucket,
    Prefix,
    ...(token === undefined ? {} : { ContinuationToken: token }),
  }
  return requests.run(
    { doing: 'list the objects' },
    async (abortSignal) =>
      listing(await requests.client.send(new ListObjectsV2Command(command), { abortSignal })),
    signal,
  )
}

/** The SDK makes an empty listing of any answer with status 200; one of S3 always says whether it is truncated. */
function listing<Page extends { readonly IsTruncated?: boolean | undefined }>(page: Page): Page {
  if (page.IsTruncated === undefined) throw new UnexpectedAnswer('the answer is no listing')
  return page
}

/** Also what a server does that gives a page twice: without this the listing might never end. */
function notInOrder(requests: S3Requests, last: string, key: string): StateBackendError {
  return new StateBackendError(
    'STORAGE_UNSUITABLE',
    `The server lists ${key} after ${last} in ${requests.description}, which is not the order of their UTF-8 bytes. Use a ` +
      'general purpose bucket, or another server.',
    { details: { bucket: requests.bucket, key } },
  )
}

function neverEnds({ bucket, description }: S3Requests): StateBackendError {
  return new StateBackendError(
    'STORAGE_UNSUITABLE',
    `A listing of ${description} does not get on: the server says that there is more, and gives nothing new or does not say how to go ` +
      'on. Use another server.',
    { details: { bucket } },
  )
}

type Markers = Pick<ListMultipartUploadsCommandInput, 'KeyMarker' | 'UploadIdMarker'>

function isSame(a: Markers, b: Markers): boolean {
  return a.KeyMarker === b.KeyMarker && a.UploadIdMarker === b.UploadIdMarker
}

/** No key has a line feed, nor has an upload's id. */
const idSeparator = '\n'

/**
 * The unfinished uploads below `prefix`. S3 keeps no size for them: telling it would cost a request
 * each.
 */
export async function* listUploads(
  requests: S3Requests,
  prefix: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<UnfinishedUpload, void, undefined> {
  let after: Markers | undefined = {}
  do {
    const page = await uploadsPage(requests, prefix, after, signal)
    for (const { Key = '', UploadId = '', Initiated } of page.Uploads ?? []) {
      throwIfAborted(signal)
      const key = Key.slice(prefix.length)
      if (faultOfKey(key) !== undefined) continue
      const id = UploadId + idSeparator + key
      yield { id, sizeBytes: 0, lastModifiedMs: Initiated?.getTime() ?? 0 }
    }
    const next = markersAfter(page)
    const stuck = next === undefined ? page.IsTruncated === true : isSame(next, after)
    if (stuck) throw neverEnds(requests)
    after = next
  } while (after !== undefined)
}

function uploadsPage(
  requests: S3Requests,
  prefix: string,
  after: Markers,
  signal: AbortSignal | undefined,
): Promise<ListMultipartUploadsCommandOutput> {
  const command = { Bucket: requests.bucket, Prefix: prefix, ...after }
  return requests.run(
    { doing: 'list the unfinished uploads' },
    async (abortSignal) =>
      listing(
        await requests.client.send(new ListMultipartUploadsCommand(command), { abortSignal }),
      ),
    signal,
  )
}

function markersAfter({
  IsTruncated,
  NextKeyMarker,
  NextUploadIdMarker,
}: ListMultipartUploadsCommandOutput): Markers | undefined {
  if (IsTruncated !== true || NextKeyMarker === undefined) return undefined
  return { KeyMarker: NextKeyMarker, UploadIdMarker: NextUploadIdMarker ?? '' }
}

/** What `listUploads` made; `INVALID_ARGUMENT` for any other form. */
export function parseUploadId(id: string): { readonly uploadId: string; readonly key: string } {
  const at = id.indexOf(idSeparator)
  const key = id.slice(at + 1)
  if (at > 0 && faultOfKey(key) === undefined) return { uploadId: id.slice(0, at), key }
  throw new StateBackendError(
    'INVALID_ARGUMENT',
    `${JSON.stringify(id)} is not the id of an unfinished upload. Give ids of listUnfinished().`,
  )
}
