/**
 * The endpoint that the environment names: LSB_S3_BUCKET, LSB_S3_ENDPOINT where it is not Amazon's, and the SDK's own variables
 * for region and credentials. Everything is done below prefixes of our own, which are emptied.
 */
import { randomUUID } from 'node:crypto'
import type { S3ClientConfig } from '@aws-sdk/client-s3'
import { S3ObjectStore, type S3ObjectStoreOptions } from '../../src/storage/s3/s3-object-store.js'
import type { ObjectStoreFixture } from '../conformance/object-store/fixture.js'
import { leaveUpload } from '../support/s3-server/s3-fixture.js'

const endpoint = process.env['LSB_S3_ENDPOINT']

export const clientOptions: S3ClientConfig =
  endpoint === undefined ? {} : { endpoint, forcePathStyle: true }

function bucketOfRun(): string {
  const bucket = process.env['LSB_S3_BUCKET']
  if (bucket !== undefined && bucket !== '') return bucket
  throw new Error(
    'LSB_S3_BUCKET is not set. Name a bucket (and LSB_S3_ENDPOINT, AWS_REGION, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY), or let ' +
      '`npm run with-s3 -- npm run test:s3` start a server.',
  )
}

export function locationOf(prefix: string): string {
  return `s3://${bucketOfRun()}/${prefix}`
}

/** An empty store below a prefix of its own. */
export async function openStore(options: Partial<S3ObjectStoreOptions> = {}): Promise<{
  store: S3ObjectStore
  prefix: string
}> {
  const prefix = `level-state-backend-test/${randomUUID()}`
  const store = await S3ObjectStore.open({
    bucket: bucketOfRun(),
    prefix,
    clientOptions,
    ...options,
  })
  return { store, prefix }
}

/** Removes everything of the store and closes it. */
export async function removeStore(store: S3ObjectStore): Promise<void> {
  const keys: string[] = []
  for await (const { key } of store.list('')) keys.push(key)
  await store.delete(keys)
  const ids: string[] = []
  for await (const { id } of store.listUnfinished()) ids.push(id)
  await store.discardUnfinished(ids)
  store.close()
}

export async function storeFixture(): Promise<ObjectStoreFixture> {
  const { store, prefix } = await openStore()
  return {
    store,
    keyMaxBytes: 1024 - `${prefix}/`.length,
    cleanup: () => removeStore(store),
    leaveUnfinished: (sizeBytes) =>
      leaveUpload(clientOptions, bucketOfRun(), `${prefix}/job/left`, sizeBytes),
  }
}
