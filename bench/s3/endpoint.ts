/** The endpoint of the environment, or a server started for the run; and a client on it whose requests are counted. */
import { S3Client } from '@aws-sdk/client-s3'
import { startServer } from '../../test/s3/versitygw.js'

export interface Endpoint {
  readonly bucket: string
  readonly description: string
  readonly client: S3Client
  /** How often each operation was asked for, but for those of `deletions`. Whoever counts clears it. */
  readonly requests: Map<string, number>
  /** The same of what deletes: deletions, and listings of the folder of a checkpoint, which is to be deleted. */
  readonly deletions: Map<string, number>
  readonly close: () => Promise<void>
}

export async function openEndpoint(): Promise<Endpoint> {
  const given = process.env['LSB_S3_BUCKET']
  if (given !== undefined) {
    const url = process.env['LSB_S3_ENDPOINT']
    return endpointOf(given, url, url ?? 'Amazon S3', async () => undefined)
  }
  const server = await startServer()
  // The SDK reads them when the client is first used.
  Object.assign(process.env, server.environment)
  const { LSB_S3_BUCKET = '', LSB_S3_ENDPOINT } = server.environment
  return endpointOf(LSB_S3_BUCKET, LSB_S3_ENDPOINT, 'versitygw on this machine', () =>
    server.stop(),
  )
}

/** One client for all that is compared: no retries, no checksums beside the signed SHA-256 of every request. */
function endpointOf(
  bucket: string,
  url: string | undefined,
  description: string,
  stop: () => Promise<void>,
): Endpoint {
  const client = new S3Client({
    maxAttempts: 1,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    ...(url === undefined ? {} : { endpoint: url, forcePathStyle: true }),
  })
  const requests = new Map<string, number>()
  const deletions = new Map<string, number>()
  // After the step that signs and repeats: every request that is sent.
  client.middlewareStack.add(
    (next, { commandName }) =>
      (args) => {
        const name = (commandName ?? '').replace(/Command$/, '')
        const counts = deletes(name, args.input) ? deletions : requests
        counts.set(name, (counts.get(name) ?? 0) + 1)
        return next(args)
      },
    { step: 'finalizeRequest', priority: 'low', name: 'countRequests' },
  )
  const close = async (): Promise<void> => {
    client.destroy()
    await stop()
  }
  return { bucket, description, client, requests, deletions, close }
}

function deletes(name: string, input: object): boolean {
  const prefix = 'Prefix' in input ? String(input.Prefix) : ''
  return name.startsWith('Delete') || /\/chk-[0-9]+\/[^/]*$/.test(prefix)
}
