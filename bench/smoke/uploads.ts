/** What incremental checkpoints upload, against the bytes that changed. */
import { randomFillSync } from 'node:crypto'
import { valueState } from '../../src/index.js'
import { withTemporaryDirectory } from '../harness/command-line.js'
import { BenchBackend, uniformKeys } from './harness.js'

export interface UploadFigures {
  readonly stateBytes: number
  readonly checkpoints: number
  readonly changedBytes: number
  readonly uploadedBytes: number
  readonly ratio: number
  readonly kinds: readonly string[]
}

const KEY_BYTES = 8
const VALUE_BYTES = 100
const CHANGED_FRACTION = 0.01
const MEMORY_MIB = 256

export function runUploads(stateBytes: number, checkpoints: number): Promise<UploadFigures> {
  return withTemporaryDirectory(async (directory) => {
    const bench = await BenchBackend.open(directory, MEMORY_MIB)
    const { backend } = bench
    const state = backend.getState(valueState<Uint8Array>('payload'))
    const value = new Uint8Array(VALUE_BYTES)
    const write = async (key: number): Promise<void> => {
      backend.setCurrentKey(key)
      state.update(randomFillSync(value))
      if (backend.needsDrain) await backend.drain()
    }
    const keyCount = Math.ceil(stateBytes / (KEY_BYTES + VALUE_BYTES))
    for (let key = 0; key < keyCount; key++) await write(key)
    await bench.checkpoint()
    const changedPerCheckpoint = Math.round(keyCount * CHANGED_FRACTION)
    const keys = uniformKeys(keyCount, changedPerCheckpoint * checkpoints)
    const kinds: string[] = []
    let changedBytes = 0
    let uploadedBytes = 0
    for (let n = 0; n < checkpoints; n++) {
      const changed = new Set(
        keys.subarray(n * changedPerCheckpoint, (n + 1) * changedPerCheckpoint),
      )
      for (const key of changed) await write(key)
      changedBytes += changed.size * (KEY_BYTES + VALUE_BYTES)
      const result = await bench.checkpoint()
      uploadedBytes += result.uploadedBytes
      kinds.push(result.kind)
    }
    await backend.close()
    const ratio = uploadedBytes / changedBytes
    return { stateBytes, checkpoints, changedBytes, uploadedBytes, ratio, kinds }
  })
}
