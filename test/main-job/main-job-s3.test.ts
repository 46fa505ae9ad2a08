import { expect, it } from 'vitest'
import { S3Server } from '../support/s3-server/s3-server.js'
import { expectMainJobOnS3 } from './main-job-on-s3.js'
import { runMainJob } from './run-main-job.js'

it('the main job is killed and comes back with its checkpoints in S3', async () => {
  const server = await S3Server.start()
  const { accessKeyId, secretAccessKey } = server.credentials
  await expectMainJobOnS3(`s3://${server.bucketName}/team/jobs`, server.endpoint, {
    AWS_ACCESS_KEY_ID: accessKeyId,
    AWS_SECRET_ACCESS_KEY: secretAccessKey,
    AWS_REGION: 'us-east-1',
  })
  const keys = server.bucket.keys('')
  expect(keys.length).toBeGreaterThan(3)
  expect(keys.filter((key) => !key.startsWith('team/jobs/flights-'))).toEqual([])
  await server.stop()
}, 240_000)

it('the main job says in one line what is wrong with its S3 storage', async () => {
  const server = await S3Server.start()
  const { code, err } = await runMainJob(
    ['--records=1000', '--checkpoint-dir=s3://missing', `--s3-endpoint=${server.endpoint}`],
    {
      AWS_ACCESS_KEY_ID: server.credentials.accessKeyId,
      AWS_SECRET_ACCESS_KEY: server.credentials.secretAccessKey,
      AWS_REGION: 'us-east-1',
    },
  )
  expect(code).toBe(1)
  expect(err).toMatch(/there is no bucket missing/)
  expect(err).not.toContain(server.credentials.secretAccessKey)
  await server.stop()
})
