/** The main job with its checkpoints in a bucket, killed and brought back at another parallelism. */
import { expect } from 'vitest'
import { runMainJob } from './run-main-job.js'

const RECORDS = 12_000

/** `location` is `s3://bucket/prefix`; `environment` has the credentials and the region. */
export async function expectMainJobOnS3(
  location: string,
  endpoint: string | undefined,
  environment: Readonly<Record<string, string>>,
): Promise<void> {
  const { code, out, err } = await runMainJob(
    [
      `--records=${RECORDS}`,
      '--parallelism=2',
      '--restore-parallelism=3',
      `--checkpoint-dir=${location}`,
      ...(endpoint === undefined ? [] : [`--s3-endpoint=${endpoint}`]),
      '--json',
    ],
    environment,
  )
  expect(code, err).toBe(0)
  const result: unknown = JSON.parse(out.at(-1) ?? '')
  expect(result).toMatchObject({ records: RECORDS, identical: true })
  expect(out.find((line) => line.startsWith('restored from'))).toMatch(/, parallelism 3$/)
  expect(out.join()).toContain(`checkpoints in ${location}/flights-`)
}
