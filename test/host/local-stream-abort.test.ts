/** A local job that is aborted: whatever it waits for, it ends, and nothing of it stays open. */
import { describe, expect, it } from 'vitest'
import type { StreamSource } from '../../src/host/stream-source.js'
import { ManualClock } from '../support/manual-clock.js'
import { statuses } from './attempt.js'
import { collectInto, countingJob, expectedResults, numbers, Recorder } from './counting-job.js'
import { gate } from './fake-task.js'
import { setUp, until } from './local-job-fixture.js'
import { storedObjects } from './stored-objects.js'

describe('an abort', () => {
  it('ends a job that waits for its source, and the source is told', async () => {
    const { common, stateBackend, results } = setUp()
    let signalOfSource: AbortSignal | undefined
    let waiting = false
    const source: StreamSource<number> = {
      async *read(position, signal) {
        signalOfSource = signal
        yield* numbers(20).read(position, signal)
        waiting = true
        if (position === undefined) await new Promise(() => undefined)
      },
    }
    const stopping = new AbortController()
    const job = countingJob({ ...common, source, checkpoints: { everyRecords: 5 } })
    const running = job.run({ signal: stopping.signal })
    await until(() => waiting)
    stopping.abort()
    await expect(running).rejects.toMatchObject({ code: 'SNAPSHOT_ABORTED' })
    expect(signalOfSource?.aborted).toBe(true)
    expect(stateBackend.open).toBe(0)
    await job.run({ scan: collectInto(results) })
    expect(results).toEqual(expectedResults(20))
  })

  it('ends a job that waits for a checkpoint, and leaves nothing of that', async () => {
    const { common, objectStore, stateBackend, events } = setUp()
    const put = gate()
    let putting = 0
    objectStore.plan = async (operation) => {
      if (operation !== 'put') return undefined
      putting++
      await put.promise
      return undefined
    }
    const stopping = new AbortController()
    const job = countingJob({ ...common, source: numbers(20), checkpoints: { everyRecords: 5 } })
    const running = job.run({ signal: stopping.signal })
    await until(() => putting > 0)
    stopping.abort()
    put.open()
    await expect(running).rejects.toMatchObject({ code: 'SNAPSHOT_ABORTED' })
    expect(statuses(events)).toEqual(['1 closed'])
    expect(stateBackend.open).toBe(0)
    expect(await storedObjects(objectStore)).toEqual([])
  })

  it('ends a job in the middle of a long batch', async () => {
    const { common, stateBackend } = setUp()
    const stopping = new AbortController()
    let processed = 0
    const source: StreamSource<number> = {
      async *read() {
        yield { records: Array.from({ length: 100_000 }, (_, index) => index), position: 100_000 }
      },
    }
    const clock = new ManualClock()
    const monotonicMs = clock.monotonicMs.bind(clock)
    // Every look at the clock uses up a slice.
    let looks = 0
    clock.monotonicMs = () => monotonicMs() + 10 * looks++
    const job = countingJob({
      ...common,
      clock,
      source,
      createOperator: (backend) => {
        const recorder = new Recorder(backend)
        return Object.assign(recorder, {
          process: () => {
            if (++processed === 500) stopping.abort()
          },
        })
      },
    })
    const running = job.run({ signal: stopping.signal })
    await expect(running).rejects.toMatchObject({ code: 'SNAPSHOT_ABORTED' })
    expect(processed).toBeLessThan(1000)
    expect(stateBackend.open).toBe(0)
  })

  it('before the start opens nothing', async () => {
    const { common, stateBackend } = setUp()
    const job = countingJob({ ...common, source: numbers(20) })
    await expect(job.run({ signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: 'SNAPSHOT_ABORTED',
    })
    expect(stateBackend.created).toBe(0)
  })
})
