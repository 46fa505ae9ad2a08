/** The position of a source and other host data: a checkpoint has them as they were at its barrier, whatever their owner does later. */
import { describe, expect, it } from 'vitest'
import type { JsonValue } from '../../src/checkpoint/json-value.js'
import type { StreamSource } from '../../src/host/stream-source.js'
import { readCheckpoint } from '../../src/restore/read-checkpoint.js'
import { begun } from './attempt.js'
import { collectInto, countingJob, expectedResults, type Results } from './counting-job.js'
import { setUp } from './local-job-fixture.js'

const RECORDS = 60
const BATCH = 5
const recordsFrom = (first: number) => Array.from({ length: BATCH }, (_, index) => first + index)

describe('the position of a source', () => {
  it('may be one object that it counts on in, also in the one that it was given', async () => {
    const { common } = setUp()
    let failsAt = 25
    const source: StreamSource<number> = {
      async *read(position) {
        const at = (position ?? { next: 0 }) as { next: number }
        while (at.next < RECORDS) {
          const records = recordsFrom(at.next)
          at.next += BATCH
          if (records[0] === failsAt) throw new Error('the source failed')
          yield { records, position: at }
        }
      },
    }
    const job = countingJob({ ...common, source, checkpoints: { everyRecords: 2 * BATCH } })
    await expect(job.run()).rejects.toThrow('the source failed')
    failsAt = Infinity
    const results: Results = {}
    await job.run({ scan: collectInto(results) })
    expect(results).toEqual(expectedResults(RECORDS))
  })

  it('that is none is refused: it would be the beginning after a restore', async () => {
    const { common } = setUp()
    const source: StreamSource<number> = {
      async *read() {
        yield { records: recordsFrom(0), position: undefined as unknown as JsonValue }
      },
    }
    await expect(countingJob({ ...common, source }).run()).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    })
    expect(common.stateBackend.open).toBe(0)
  })
})

it('host data may be changed once a checkpoint was triggered', async () => {
  const { coordinator, storage } = await begun()
  const hostData = { offsets: [1, 2] }
  const ending = coordinator.triggerCheckpoint(hostData)
  hostData.offsets.push(3)
  await ending
  expect((await readCheckpoint(storage, 1)).hostData).toEqual({ offsets: [1, 2] })
})
