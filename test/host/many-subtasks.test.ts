/** A checkpoint of many tasks has one abort signal, which each of them listens to. Node takes more than ten listeners for a leak. */
import { setImmediate as turn } from 'node:timers/promises'
import { expect, it, onTestFinished } from 'vitest'
import { HashMapStateBackend } from '../../src/hash-map-state-backend.js'
import { MemoryObjectStore } from '../../src/storage/memory-object-store.js'
import { countingJob, numbers } from './counting-job.js'

it('warns of no leak at a parallelism of 16', async () => {
  const warnings: string[] = []
  const note = (warning: Error): void => void warnings.push(warning.name)
  process.on('warning', note)
  onTestFinished(() => void process.off('warning', note))
  const objectStore = new MemoryObjectStore()
  for (const records of [20, 40]) {
    const stateBackend = new HashMapStateBackend({ memory: 8 * 2 ** 20 })
    const source = numbers(records)
    const common = {
      objectStore,
      stateBackend,
      source,
      checkpoints: { everyRecords: 10 },
    }
    await countingJob({ ...common, parallelism: 16, maxParallelism: 16 }).run()
  }
  await turn()
  expect(warnings).toEqual([])
})
