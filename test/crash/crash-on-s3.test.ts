/** A job with its checkpoints in S3, killed again and again, against the stand-in server. */
import { expect, it, onTestFinished, vi } from 'vitest'
import { S3Server } from '../support/s3-server/s3-server.js'
import { KILLS_ON_S3, killAgainAndAgain } from './killed-job.js'

it.each(['leveldb', 'hashmap'] as const)(
  'a killed process, %s, with its checkpoints in S3 comes back, and leaves nothing unexplained',
  async (kind) => {
    const server = await S3Server.start()
    onTestFinished(() => server.stop())
    const { accessKeyId, secretAccessKey } = server.credentials
    vi.stubEnv('AWS_ACCESS_KEY_ID', accessKeyId)
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', secretAccessKey)
    vi.stubEnv('AWS_REGION', 'us-east-1')
    onTestFinished(() => void vi.unstubAllEnvs())
    const storage = `s3://${server.bucketName}/team`
    const { endpoint } = server
    const newestId = await killAgainAndAgain({ kind, storage, endpoint }, KILLS_ON_S3)
    expect(newestId, 'the job made progress').toBeGreaterThan(0)
  },
)
