/** What each request does to a bucket, and what it is answered. Nothing of connections, signatures or faults. */
import type { IncomingMessage } from 'node:http'
import { byBytes, eTagOf, type Bucket } from './bucket.js'
import { S3Error } from './s3-error.js'
import { document, textsOf, type Element } from './xml.js'

export interface Answer {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Buffer | string
}

export interface OperationInput {
  readonly bucket: Bucket
  readonly key: string
  readonly query: URLSearchParams
  readonly headers: IncomingMessage['headers']
  readonly body: Buffer
  readonly pageSize: number
  /** By their error codes; for DeleteObjects. */
  readonly refusedKeys: Readonly<Record<string, string>>
  readonly hidesRefusedKeys: boolean
  readonly stuckListings: boolean
  /** How create-only is treated: 'keep' as S3 does, 'ignore', or 'refuse' with NotImplemented. */
  readonly createOnly: 'keep' | 'ignore' | 'refuse'
}

export type Operation = (input: OperationInput) => Answer

export const operations = {
  PutObject({ bucket, key, headers, body, createOnly }) {
    if (headers['if-none-match'] !== undefined) {
      if (createOnly === 'refuse') throw new S3Error(501, 'NotImplemented', 'No such header here.')
      if (createOnly === 'keep' && bucket.objects.has(key)) {
        throw new S3Error(412, 'PreconditionFailed', 'The object is there already.')
      }
    }
    const { eTag } = bucket.put(key, body, metadataOf(headers))
    return { status: 200, headers: { etag: eTag } }
  },

  GetObject({ bucket, key, headers }) {
    const { bytes, eTag, metadata } = bucket.object(key)
    const common = { etag: eTag, ...metadata }
    const range = /^bytes=(\d+)-(\d+)$/.exec(headers.range ?? '')
    if (range === null) return { status: 200, headers: common, body: bytes }
    const [start, last] = [Number(range[1]), Math.min(Number(range[2]), bytes.length - 1)]
    if (start >= bytes.length) {
      throw new S3Error(416, 'InvalidRange', 'The requested range is not satisfiable.')
    }
    const contentRange = `bytes ${start}-${last}/${bytes.length}`
    const body = bytes.subarray(start, last + 1)
    return { status: 206, headers: { ...common, 'content-range': contentRange }, body }
  },

  HeadObject({ bucket, key }) {
    const { bytes, eTag, metadata } = bucket.object(key)
    const headers = { etag: eTag, 'content-length': String(bytes.length), ...metadata }
    return { status: 200, headers }
  },

  DeleteObject({ bucket, key }) {
    bucket.objects.delete(key)
    return { status: 204 }
  },

  DeleteObjects({ bucket, body, refusedKeys, hidesRefusedKeys }) {
    const keys = textsOf(body.toString(), 'Key')
    if (keys.length > 1000) throw new S3Error(400, 'MalformedXML', 'More than 1,000 keys.')
    const errors: Element[] = []
    for (const key of keys) {
      const code = refusedKeys[key]
      if (code === undefined) bucket.objects.delete(key)
      else {
        const named: Element[] = hidesRefusedKeys ? [] : [['Key', key]]
        errors.push(['Error', [...named, ['Code', code], ['Message', 'Injected.']]])
      }
    }
    return xml('DeleteResult', errors)
  },

  ListObjectsV2({ bucket, query, pageSize, stuckListings }) {
    if (stuckListings) {
      return xml('ListBucketResult', [
        ['IsTruncated', 'true'],
        ['NextContinuationToken', 'more'],
      ])
    }
    const after = query.get('continuation-token') ?? ''
    const keys = bucket.keys(query.get('prefix') ?? '').filter((key) => byBytes(key, after) > 0)
    const page = keys.slice(0, pageSize)
    const contents = page.map((key): Element => {
      const { bytes, modifiedMs } = bucket.object(key)
      const fields: Element[] = [
        ['Key', key],
        ['LastModified', new Date(modifiedMs).toISOString()],
        ['Size', bytes.length],
      ]
      return ['Contents', fields]
    })
    const next: Element[] =
      page.length < keys.length ? [['NextContinuationToken', page.at(-1) ?? '']] : []
    return xml('ListBucketResult', [['IsTruncated', String(next.length > 0)], ...contents, ...next])
  },

  CreateMultipartUpload({ bucket, key, headers }) {
    const { id } = bucket.begin(key, metadataOf(headers))
    return xml('InitiateMultipartUploadResult', [
      ['Key', key],
      ['UploadId', id],
    ])
  },

  UploadPart({ bucket, key, query, body }) {
    const upload = bucket.upload(query.get('uploadId') ?? '', key)
    const eTag = eTagOf(body)
    upload.parts.set(Number(query.get('partNumber')), { bytes: body, eTag })
    return { status: 200, headers: { etag: eTag } }
  },

  CompleteMultipartUpload({ bucket, key, query, body }) {
    const eTags = textsOf(body.toString(), 'ETag')
    const numbers = textsOf(body.toString(), 'PartNumber')
    const parts = numbers.map((number, index) => ({
      number: Number(number),
      eTag: eTags[index] ?? '',
    }))
    const { eTag } = bucket.complete(query.get('uploadId') ?? '', key, parts)
    return xml('CompleteMultipartUploadResult', [
      ['Key', key],
      ['ETag', eTag],
    ])
  },

  AbortMultipartUpload({ bucket, key, query }) {
    bucket.uploads.delete(bucket.upload(query.get('uploadId') ?? '', key).id)
    return { status: 204 }
  },

  ListMultipartUploads({ bucket, query, pageSize, stuckListings }) {
    if (stuckListings) {
      return xml('ListMultipartUploadsResult', [
        ['IsTruncated', 'true'],
        ['NextKeyMarker', 'more'],
      ])
    }
    const afterKey = query.get('key-marker') ?? ''
    const afterId = query.get('upload-id-marker') ?? ''
    const uploads = bucket
      .uploadsBelow(query.get('prefix') ?? '')
      .filter(({ key, id }) => (byBytes(key, afterKey) || byBytes(id, afterId)) > 0)
    const page = uploads.slice(0, pageSize)
    const last = page.length < uploads.length ? page.at(-1) : undefined
    const found = page.map(({ id, key, initiatedMs }): Element => {
      const fields: Element[] = [
        ['Key', key],
        ['UploadId', id],
        ['Initiated', new Date(initiatedMs).toISOString()],
      ]
      return ['Upload', fields]
    })
    const next: Element[] =
      last === undefined
        ? []
        : [
            ['NextKeyMarker', last.key],
            ['NextUploadIdMarker', last.id],
          ]
    return xml('ListMultipartUploadsResult', [
      ['IsTruncated', String(last !== undefined)],
      ...next,
      ...found,
    ])
  },
} satisfies Record<string, Operation>

export type OperationName = keyof typeof operations

/** Undefined for a request that this server does not know. */
export function operationOf(
  method: string,
  key: string,
  query: URLSearchParams,
): OperationName | undefined {
  const ofUpload = query.has('uploadId')
  if (key === '') {
    if (method === 'POST' && query.has('delete')) return 'DeleteObjects'
    if (method !== 'GET') return undefined
    if (query.has('uploads')) return 'ListMultipartUploads'
    return query.get('list-type') === '2' ? 'ListObjectsV2' : undefined
  }
  if (method === 'PUT') return ofUpload ? 'UploadPart' : 'PutObject'
  if (method === 'DELETE') return ofUpload ? 'AbortMultipartUpload' : 'DeleteObject'
  if (method === 'HEAD') return 'HeadObject'
  if (method === 'GET') return 'GetObject'
  if (method !== 'POST') return undefined
  if (ofUpload) return 'CompleteMultipartUpload'
  return query.has('uploads') ? 'CreateMultipartUpload' : undefined
}

function metadataOf(headers: IncomingMessage['headers']): Record<string, string> {
  const own = Object.entries(headers).filter(([name]) => name.startsWith('x-amz-meta-'))
  return Object.fromEntries(own.map(([name, value]) => [name, String(value)]))
}

function xml(name: string, content: readonly Element[]): Answer {
  const headers = { 'content-type': 'application/xml' }
  return { status: 200, headers, body: document(name, content) }
}
