/** A local job whose checkpoints are taken by its clock. */
import { describe, expect, it } from 'vitest'
import type { StreamSource } from '../../src/host/stream-source.js'
import { ManualClock } from '../support/manual-clock.js'
import { settle, statuses } from './attempt.js'
import { countingJob, numbers } from './counting-job.js'
import { gate } from './fake-task.js'
import { setUp, until } from './local-job-fixture.js'

/** Asked for the batch at `PAUSE`, the source has nothing to give until `goOn` is called. */
const PAUSE = 7

function pausingSource(): {
  source: StreamSource<number>
  paused: () => boolean
  goOn: () => void
} {
  const more = gate()
  let asked = 0
  const source = numbers(10, (position) => {
    asked = position
    return position === PAUSE ? more.promise : undefined
  })
  return { source, paused: () => asked === PAUSE, goOn: more.open }
}

describe('checkpoints by time', () => {
  it('are taken while the source has nothing to give', async () => {
    const { common, events, stateBackend } = setUp()
    const clock = new ManualClock()
    const { source, paused, goOn } = pausingSource()
    const job = countingJob({ ...common, clock, source, checkpoints: { intervalMs: 1000 } })
    const running = job.run()
    await until(paused)
    await clock.advance(999)
    await settle()
    expect(events).toEqual([])
    await clock.advance(1)
    await until(() => events.length === 1)
    await settle()
    await clock.advance(1000)
    await until(() => events.length === 2)
    goOn()
    expect(await running).toMatchObject({ lastCheckpointId: 3, recordsInState: 10 })
    expect(clock.sleepers).toBe(0)
    expect(stateBackend.open).toBe(0)
  })

  it('wait for the one in flight', async () => {
    const { common, events, objectStore } = setUp()
    const clock = new ManualClock()
    const published = gate()
    let publishing = 0
    objectStore.plan = async (operation, key) => {
      if (operation !== 'putIfAbsent' || !key.endsWith('_metadata')) return undefined
      publishing++
      await published.promise
      return undefined
    }
    const { source, paused, goOn } = pausingSource()
    const job = countingJob({ ...common, clock, source, checkpoints: { intervalMs: 1000 } })
    const running = job.run()
    await until(paused)
    await clock.advance(1000)
    await until(() => publishing === 1)
    await clock.advance(1000)
    await settle()
    expect(publishing).toBe(1)
    published.open()
    await until(() => events.length === 1)
    await settle()
    goOn()
    await running
    // One by time with the next batch, one at the end.
    expect(statuses(events)).toEqual(['1', '2', '3'])
  })
})
