/**
 * A small S3 server in this process, on a port of its own of the loopback interface, so that the tests of `S3ObjectStore` need
 * nothing but Node. It checks every signature and holds one bucket in memory.
 *
 * It fails when a test says so, as networks and servers do: a fault is asked for once per request, when its headers are there.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Bucket } from './bucket.js'
import { operationOf, operations, type Answer, type OperationName } from './operations.js'
import { S3Error } from './s3-error.js'
import { checkSignature, type Credentials } from './signature.js'
import { document } from './xml.js'

/** One of these, or two that do not exclude each other. */
export interface Fault {
  /** This answer, and nothing is done. */
  readonly answer?: { readonly status: number; readonly code: string }
  /** Status 200 with this body, and nothing is done. */
  readonly body?: string
  /**
   * The connection breaks: in the middle of the request's body, or before anything is done, or when all is done and not yet
   * answered.
   */
  readonly lose?: 'body' | 'request' | 'answer'
  /** All is done, and the connection breaks after so many bytes of the answer's body. */
  readonly cutAfterBytes?: number
  /** Nothing is done before this resolves. */
  readonly until?: Promise<void>
  /** Of a deletion of many: these stay, each with its error code; the answer is 200 as always. */
  readonly refusedKeys?: Readonly<Record<string, string>>
  /** The answer does not say which. */
  readonly hidesRefusedKeys?: boolean
}

export interface SeenRequest {
  readonly operation: OperationName
  readonly key: string
  readonly headers: IncomingMessage['headers']
  /** From 1: how often this operation was asked for on this key. */
  readonly times: number
}

export interface S3ServerOptions {
  /** What a listing gives at a time; small, so that tests turn pages. */
  readonly pageSize?: number
  readonly createOnly?: 'keep' | 'ignore' | 'refuse'
  /** Answers a request for a range with the whole object. */
  readonly ignoreRanges?: boolean
  /** Every page of a listing is empty and says that there is more. */
  readonly stuckListings?: boolean
}

export class S3Server {
  readonly bucketName = 'checkpoints'
  readonly bucket = new Bucket()
  readonly credentials: Credentials = {
    accessKeyId: 'AKIDSTANDIN',
    secretAccessKey: 'stand-in-secret-0123456789',
  }
  /** Asked at each request. */
  fault: (request: SeenRequest) => Fault | undefined = () => undefined
  readonly seen: SeenRequest[] = []
  readonly #options: S3ServerOptions
  readonly #server: Server
  #port = 0
  /** Names with a create-only put under way: S3 answers 409 to another one. */
  readonly #creating = new Set<string>()

  private constructor(options: S3ServerOptions) {
    this.#options = options
    this.#server = createServer((request, response) => {
      // A request that was not read to its end has no socket any more when this is called.
      const { socket } = request
      this.#serve(request, response).catch(() => socket.destroy())
    })
  }

  static async start(options: S3ServerOptions = {}): Promise<S3Server> {
    const server = new S3Server(options)
    await new Promise<void>((resolve) => server.#server.listen(0, '127.0.0.1', resolve))
    server.#port = (server.#server.address() as AddressInfo).port
    return server
  }

  get endpoint(): string {
    return `http://127.0.0.1:${this.#port}`
  }

  /** How often each operation was asked for. */
  get counts(): Partial<Record<OperationName, number>> {
    const counts: Partial<Record<OperationName, number>> = {}
    for (const { operation } of this.seen) counts[operation] = (counts[operation] ?? 0) + 1
    return counts
  }

  async stop(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve())
      this.#server.closeAllConnections()
    })
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const [path = '', search = ''] = (request.url ?? '').split('?')
    const [, bucketName = '', ...rest] = path.split('/').map(decodeURIComponent)
    const key = rest.join('/')
    const query = new URLSearchParams(search)
    const operation = operationOf(request.method ?? '', key, query)
    const fault = operation === undefined ? {} : this.fault(this.#see(operation, key, request))
    const creation = operation === 'PutObject' && request.headers['if-none-match'] !== undefined
    const conflict = creation && this.#creating.has(key)
    if (creation) this.#creating.add(key)
    try {
      const body = await bodyOf(request, fault?.lose === 'body')
      if (fault?.lose === 'request') throw new ConnectionLost()
      checkSignature(request, body, this.credentials)
      if (operation === undefined) throw new S3Error(501, 'NotImplemented', 'Not known here.')
      if (bucketName !== this.bucketName) {
        throw new S3Error(404, 'NoSuchBucket', 'The specified bucket does not exist.')
      }
      if (fault?.answer !== undefined) {
        throw new S3Error(fault.answer.status, fault.answer.code, 'Injected.')
      }
      if (fault?.body !== undefined) {
        send(request, response, { status: 200, body: fault.body }, undefined)
        return
      }
      await fault?.until
      if (conflict) throw new S3Error(409, 'ConditionalRequestConflict', 'Another is under way.')
      const { pageSize = 1000, createOnly = 'keep', ignoreRanges = false } = this.#options
      const { stuckListings = false } = this.#options
      const { refusedKeys = {}, hidesRefusedKeys = false } = fault ?? {}
      const headers = { ...request.headers, ...(ignoreRanges ? { range: undefined } : {}) }
      const input = { bucket: this.bucket, key, query, headers, body }
      const faults = { refusedKeys, hidesRefusedKeys, stuckListings }
      const answer = operations[operation]({ ...input, ...faults, pageSize, createOnly })
      if (fault?.lose === 'answer') throw new ConnectionLost()
      send(request, response, answer, fault?.cutAfterBytes)
    } catch (error) {
      send(request, response, answerOf(error), undefined)
    } finally {
      if (creation && !conflict) this.#creating.delete(key)
    }
  }

  #see(operation: OperationName, key: string, { headers }: IncomingMessage): SeenRequest {
    const before = this.seen.filter((one) => one.operation === operation && one.key === key)
    const seen = { operation, key, headers, times: before.length + 1 }
    this.seen.push(seen)
    return seen
  }
}

class ConnectionLost extends Error {}

async function bodyOf(request: IncomingMessage, lose: boolean): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of request as AsyncIterable<Buffer>) {
    if (lose) throw new ConnectionLost()
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

function answerOf(error: unknown): Answer {
  if (!(error instanceof S3Error)) throw error
  const body = document('Error', [
    ['Code', error.code],
    ['Message', error.message],
  ])
  return { status: error.status, headers: { 'content-type': 'application/xml' }, body }
}

function send(
  request: IncomingMessage,
  response: ServerResponse,
  { status, headers = {}, body = '' }: Answer,
  cutAfterBytes: number | undefined,
): void {
  const bytes = Buffer.from(body)
  const length = headers['content-length'] ?? String(bytes.length)
  response.writeHead(status, { ...headers, 'content-length': length })
  if (cutAfterBytes === undefined) {
    response.end(request.method === 'HEAD' ? undefined : bytes)
    return
  }
  response.write(bytes.subarray(0, cutAfterBytes), () => request.socket.destroy())
}
