/**
 * A bucket in memory, with S3's rules: names in the order of their UTF-8 bytes, create-only puts, uploads in parts that become an
 * object when they are completed.
 */
import { createHash, randomUUID } from 'node:crypto'
import { S3Error } from './s3-error.js'

export interface StoredObject {
  readonly bytes: Buffer
  readonly eTag: string
  readonly metadata: Readonly<Record<string, string>>
  readonly modifiedMs: number
}

export interface StoredUpload {
  readonly id: string
  readonly key: string
  readonly metadata: Readonly<Record<string, string>>
  readonly initiatedMs: number
  readonly parts: Map<number, { readonly bytes: Buffer; readonly eTag: string }>
}

const PART_BYTES_MIN = 5 * 1024 * 1024
const KEY_BYTES_MAX = 1024

export class Bucket {
  readonly objects = new Map<string, StoredObject>()
  readonly uploads = new Map<string, StoredUpload>()

  put(key: string, bytes: Buffer, metadata: Readonly<Record<string, string>>): StoredObject {
    if (Buffer.byteLength(key) > KEY_BYTES_MAX) {
      throw new S3Error(400, 'KeyTooLongError', 'Your key is too long.')
    }
    const object = { bytes, eTag: eTagOf(bytes), metadata, modifiedMs: nowInSeconds() }
    this.objects.set(key, object)
    return object
  }

  object(key: string): StoredObject {
    const object = this.objects.get(key)
    if (object !== undefined) return object
    throw new S3Error(404, 'NoSuchKey', 'The specified key does not exist.')
  }

  /** Names from `prefix`, in order. */
  keys(prefix: string): string[] {
    return [...this.objects.keys()].filter((key) => key.startsWith(prefix)).sort(byBytes)
  }

  begin(key: string, metadata: Readonly<Record<string, string>>): StoredUpload {
    const upload = {
      id: randomUUID(),
      key,
      metadata,
      initiatedMs: nowInSeconds(),
      parts: new Map<number, { bytes: Buffer; eTag: string }>(),
    }
    this.uploads.set(upload.id, upload)
    return upload
  }

  upload(id: string, key: string): StoredUpload {
    const upload = this.uploads.get(id)
    if (upload?.key === key) return upload
    throw new S3Error(404, 'NoSuchUpload', 'The specified upload does not exist.')
  }

  uploadsBelow(prefix: string): StoredUpload[] {
    return [...this.uploads.values()]
      .filter(({ key }) => key.startsWith(prefix))
      .sort((a, b) => byBytes(a.key, b.key) || byBytes(a.id, b.id))
  }

  complete(
    id: string,
    key: string,
    parts: readonly { readonly number: number; readonly eTag: string }[],
  ): StoredObject {
    const upload = this.upload(id, key)
    const bytes = parts.map(({ number, eTag }, index) => {
      const part = upload.parts.get(number)
      if (part?.eTag !== eTag) throw new S3Error(400, 'InvalidPart', `Part ${number} is not there.`)
      if (number <= (parts[index - 1]?.number ?? 0)) {
        throw new S3Error(400, 'InvalidPartOrder', 'The parts are not in order.')
      }
      if (index < parts.length - 1 && part.bytes.length < PART_BYTES_MIN) {
        throw new S3Error(400, 'EntityTooSmall', `Part ${number} is too small.`)
      }
      return part.bytes
    })
    const object = this.put(key, Buffer.concat(bytes), upload.metadata)
    this.uploads.delete(id)
    return object
  }
}

export function eTagOf(bytes: Buffer): string {
  return `"${createHash('md5').update(bytes).digest('hex')}"`
}

export function byBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b))
}

/** S3 keeps no fractions of a second. */
const nowInSeconds = (): number => Math.floor(Date.now() / 1000) * 1000
