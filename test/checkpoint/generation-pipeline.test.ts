/** The one queue that writes generations: what is still begun after a close, and what a close waits for. */
import { Buffer } from 'node:buffer'
import { readdirSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { GenerationPipeline } from '../../src/checkpoint/generation-pipeline.js'
import { DEFAULT_REBASE_POLICY } from '../../src/checkpoint/rebase-policy.js'
import { EMPTY_CHAIN } from '../../src/checkpoint/snapshot-chain.js'
import { SnapshotStrategy } from '../../src/checkpoint/snapshot-strategy.js'
import { StateBackendError } from '../../src/errors.js'
import { KeyGroupRange } from '../../src/record/key-group-range.js'
import { numberKey } from '../../src/record/key-serializer.js'
import { WriteBuffer, type Generation } from '../../src/store/write-buffer.js'
import { rejection, temporaryDirectory } from '../support/state-task.js'
import { SteppingClock } from '../support/stepping-clock.js'

const RANGE = KeyGroupRange.of(0, 0)
/** Enough for several pauses while they are written. */
const ENTRIES = 200
const CLOSED = new StateBackendError('BACKEND_CLOSED', 'closed by the test')

interface Parts {
  readonly pipeline: GenerationPipeline
  readonly clock: SteppingClock
  readonly written: Generation[]
  /** Writes `ENTRIES` entries; that fills the buffer. */
  readonly fill: () => void
  readonly freeze: () => Generation
  readonly files: () => string[]
}

/** A pipeline without a store, over a buffer that nobody closes: what it begins is up to the pipeline alone. */
function start(): Parts {
  const clock = new SteppingClock(10)
  const directory = temporaryDirectory()
  const written: Generation[] = []
  const buffer = new WriteBuffer({
    keySerializer: numberKey,
    keyGroupRange: RANGE,
    memory: { writeBufferBytes: 10_000, readCacheBytes: 0 },
    load: () => undefined,
    onFull: (generation) => pipeline.submit(generation, { held: false }),
    onWaiting: () => pipeline.release(),
    checkOpen: () => undefined,
  })
  const strategy = new SnapshotStrategy({
    directory,
    incarnation: 'incarnation',
    keyGroupRange: RANGE,
    baseSource: {
      captureTables: () => undefined,
      previewCapture: () => ({ tables: [], coveredSequence: 0 }),
    },
    policy: DEFAULT_REBASE_POLICY,
    table: {},
    clock,
    randomId: () => 'id',
    chain: EMPTY_CHAIN,
  })
  const pipeline: GenerationPipeline = new GenerationPipeline({
    buffer,
    store: undefined,
    strategy,
    table: {},
    clock,
    lastSequence: 0,
    onWritten: (generation) => written.push(generation),
    onFailure: (error) => {
      throw error
    },
  })
  return {
    pipeline,
    clock,
    written,
    fill: () => {
      for (let index = 0; index < ENTRIES; index++) {
        buffer.setRaw(Buffer.from(`\0\0 entry ${index}`), Buffer.from('value'))
      }
    },
    freeze: () => {
      const generation = buffer.freeze()
      if (generation === undefined) throw new Error('nothing was written')
      return generation
    },
    files: () => readdirSync(directory),
  }
}

describe('GenerationPipeline.close', () => {
  it('A5: is not outrun by what retiring the generation under way freezes', async () => {
    const { pipeline, clock, written, fill, freeze, files } = start()
    fill()
    pipeline.submit(freeze(), { held: false })
    let closing: Promise<void> | undefined
    clock.onTurn = () => {
      // While the first generation is being written the buffer is full again: its retirement freezes the second.
      if (closing === undefined) fill()
      closing ??= pipeline.close(CLOSED)
    }
    await pipeline.idle()
    await closing
    expect(written).toHaveLength(1)
    expect(files()).toHaveLength(1)
    // Whatever had been begun after the close would show within some turns.
    for (let turns = 0; turns < 20; turns++) await clock.nextTurn()
    expect(written).toHaveLength(1)
    expect(files()).toHaveLength(1)
    expect(pipeline.lastSequence).toBe(ENTRIES)
  })

  it('without a close, that generation is written after the queue was seen idle', async () => {
    const { pipeline, clock, written, fill, freeze } = start()
    fill()
    pipeline.submit(freeze(), { held: false })
    let idle: Promise<void> | undefined
    clock.onTurn = () => {
      if (idle === undefined) fill()
      idle ??= pipeline.idle()
    }
    await pipeline.idle()
    await idle
    expect(written).toHaveLength(1)
    await pipeline.idle()
    expect(written).toHaveLength(2)
  })

  it('A5: drops waiting generations and rejects waiting plans, and resolves when the one under way is written', async () => {
    const { pipeline, clock, written, fill, freeze, files } = start()
    fill()
    pipeline.submit(freeze(), { held: false })
    fill()
    pipeline.submit(freeze(), { held: false })
    const plan = rejection(pipeline.plan(1, 'checkpoint', new AbortController().signal))
    let writtenAtClose: Promise<number> | undefined
    clock.onTurn = () => {
      writtenAtClose ??= pipeline.close(CLOSED).then(() => written.length)
    }
    expect(await plan).toBe(CLOSED)
    await pipeline.close(CLOSED)
    expect(await writtenAtClose).toBe(1)
    expect(written).toHaveLength(1)
    expect(files()).toHaveLength(1)
    expect(await rejection(pipeline.plan(2, 'checkpoint', new AbortController().signal))).toBe(
      CLOSED,
    )
  })
})
