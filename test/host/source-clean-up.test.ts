/** Sources whose clean-up fails, in whatever way: it is not of interest, and nothing of the run stays open. */
import { describe, expect, it } from 'vitest'
import type { SourceBatch, StreamSource } from '../../src/host/stream-source.js'
import { countingJob } from './counting-job.js'
import { setUp } from './local-job-fixture.js'

/** One batch, then its end or a failure. */
function sourceOf(next: 'ends' | 'fails', cleanUp: () => Promise<never>): StreamSource<number> {
  let batches = 0
  const iterator: AsyncIterator<SourceBatch<number>> = {
    next: async () => {
      if (++batches === 1) return { done: false, value: { records: [1], position: 1 } }
      if (next === 'fails') throw new Error('the source failed')
      return { done: true, value: undefined }
    },
    return: cleanUp,
  }
  return { read: () => ({ [Symbol.asyncIterator]: () => iterator }) }
}

const failed = new Error('the clean-up failed')
describe.each([
  [
    'throws',
    (): never => {
      throw failed
    },
  ],
  ['rejects', () => Promise.reject(failed)],
])('a source whose return() %s', (_, cleanUp) => {
  it('at its end leaves nothing open, and the run is a success', async () => {
    const { common } = setUp()
    const job = countingJob({ ...common, source: sourceOf('ends', cleanUp) })
    await expect(job.run()).resolves.toMatchObject({ recordsProcessed: 1 })
    expect(common.stateBackend.open).toBe(0)
  })

  it('after a failure leaves nothing open, and the failure is the run’s', async () => {
    const { common } = setUp()
    const job = countingJob({ ...common, source: sourceOf('fails', cleanUp) })
    await expect(job.run()).rejects.toThrow('the source failed')
    expect(common.stateBackend.open).toBe(0)
  })
})
