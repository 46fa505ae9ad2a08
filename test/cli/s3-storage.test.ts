/** The commands over checkpoints in a bucket. */
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { HashMapStateBackend } from '../../src/hash-map-state-backend.js'
import { S3ObjectStore } from '../../src/storage/s3/s3-object-store.js'
import { collectInto, countingJob, numbers } from '../host/counting-job.js'
import { HastyClock, storeOptionsOf } from '../support/s3-server/s3-fixture.js'
import { S3Server } from '../support/s3-server/s3-server.js'
import { runCommand } from './cli-fixture.js'

let server: S3Server
let onServer: string[]
beforeEach(async () => {
  server = await S3Server.start()
  onServer = [`s3://${server.bucketName}/team`, '--s3-endpoint', server.endpoint, '--job', 'job']
  vi.stubEnv('AWS_ACCESS_KEY_ID', server.credentials.accessKeyId)
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', server.credentials.secretAccessKey)
  vi.stubEnv('AWS_REGION', 'us-east-1')
})
afterEach(async () => {
  vi.unstubAllEnvs()
  await server.stop()
})

async function storeCheckpoints(): Promise<void> {
  const store = await S3ObjectStore.open({
    ...storeOptionsOf(server, new HastyClock()),
    prefix: 'team',
  })
  const job = countingJob({
    objectStore: store,
    stateBackend: new HashMapStateBackend({ memory: 8 * 2 ** 20 }),
    source: numbers(40),
    checkpoints: { everyRecords: 10 },
  })
  await job.run({ scan: collectInto({}) })
  store.close()
}

it('list and verify a job in S3, and write nothing there', async () => {
  await storeCheckpoints()
  const before = server.bucket.keys('')
  server.seen.length = 0
  const listed = await runCommand(['list', ...onServer, '--json'])
  expect(listed).toMatchObject({ exitCode: 0, stderr: '' })
  expect(JSON.parse(listed.stdout).checkpoints.length).toBeGreaterThan(0)
  expect(await runCommand(['verify', ...onServer])).toMatchObject({ exitCode: 0 })
  expect(server.bucket.keys('')).toEqual(before)
  expect(Object.keys(server.counts).sort()).toEqual(['GetObject', 'ListObjectsV2'])
})

it('say what is wrong with the storage', async () => {
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'wrong')
  const { exitCode, stderr } = await runCommand(['list', ...onServer])
  expect(exitCode).toBe(1)
  expect(stderr).toMatch(/STORAGE_ACCESS_DENIED: .*credentials/)
})
