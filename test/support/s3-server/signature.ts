/**
 * The server's half of AWS Signature Version 4, for requests signed in their headers: computes the signature again from what
 * arrived and the secret it knows, and compares. Written from Amazon's description of it, not from the SDK's code.
 */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { S3Error } from './s3-error.js'

export interface Credentials {
  readonly accessKeyId: string
  readonly secretAccessKey: string
}

const SKEW_MAX_MS = 15 * 60 * 1000

/** Throws an `S3Error` unless the request is signed with the secret, recent, and carries the very body that was signed. */
export function checkSignature(request: IncomingMessage, body: Buffer, known: Credentials): void {
  const fields =
    /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/s3\/aws4_request, ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})$/.exec(
      request.headers.authorization ?? '',
    )
  if (fields === null) throw new S3Error(403, 'AccessDenied', 'The request is not signed.')
  const [, accessKeyId = '', day = '', region = '', signedHeaders = '', signature = ''] = fields
  if (accessKeyId !== known.accessKeyId) {
    throw new S3Error(403, 'InvalidAccessKeyId', 'There is no such access key.')
  }
  const time = header(request, 'x-amz-date')
  checkTime(time)
  const hash = header(request, 'x-amz-content-sha256')
  const scope = `${day}/${region}/s3/aws4_request`
  const toSign = [
    'AWS4-HMAC-SHA256',
    time,
    scope,
    sha256(canonicalRequest(request, signedHeaders, hash)),
  ].join('\n')
  const key = [day, region, 's3', 'aws4_request'].reduce<Buffer>(
    (secret, part) => hmac(secret, part),
    Buffer.from(`AWS4${known.secretAccessKey}`),
  )
  if (!timingSafeEqual(Buffer.from(signature, 'hex'), hmac(key, toSign))) {
    throw new S3Error(403, 'SignatureDoesNotMatch', 'The signature is not that of the secret.')
  }
  if (hash !== sha256(body)) {
    throw new S3Error(400, 'XAmzContentSHA256Mismatch', 'The body is not the one that was signed.')
  }
}

function checkTime(time: string): void {
  const [, year, month, day, hour, minute, second] =
    /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(time) ?? []
  const signedMs = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`)
  if (Math.abs(Date.now() - signedMs) <= SKEW_MAX_MS) return
  throw new S3Error(403, 'RequestTimeTooSkewed', 'The time of the request is too far from ours.')
}

function canonicalRequest(request: IncomingMessage, signedHeaders: string, hash: string): string {
  const [path = '', query = ''] = (request.url ?? '').split('?')
  const headers = signedHeaders.split(';').map((name) => `${name}:${header(request, name)}\n`)
  return [request.method, path, canonicalQuery(query), headers.join(''), signedHeaders, hash].join(
    '\n',
  )
}

function canonicalQuery(query: string): string {
  return [...new URLSearchParams(query)]
    .map(([name, value]) => `${uriEncode(name)}=${uriEncode(value)}`)
    .sort()
    .join('&')
}

function uriEncode(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  )
}

function header(request: IncomingMessage, name: string): string {
  const value = request.headers[name]
  return (Array.isArray(value) ? value.join(',') : (value ?? '')).trim().replaceAll(/ +/g, ' ')
}

const sha256 = (data: string | Buffer): string => createHash('sha256').update(data).digest('hex')
const hmac = (key: Buffer, data: string): Buffer => createHmac('sha256', key).update(data).digest()
