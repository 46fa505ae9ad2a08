/** What a checkpoint costs when the state grows, and what changes between two checkpoints does not. */
import { setTimeout as sleep } from 'node:timers/promises'
import { valueState, type SnapshotResult } from '../../src/index.js'
import { FixedRandom } from '../harness/fixed-random.js'
import { incompressibleBytes } from '../incremental/records.js'
import { uniformKeys } from '../smoke/harness.js'
import { untilIdle } from './idle.js'
import { Subtasks } from './subtasks.js'

export const KEY_BYTES = 8
export const VALUE_BYTES = 100
/** Between two checkpoints, however large the state is. */
export const CHANGED_RECORDS = 10_000
/** That are counted, in one process. */
export const CHECKPOINTS = 10
/** Before those: code is compiled, and what LevelDB compacts after a restore is past. */
const WARM_UP_CHECKPOINTS = 2

/** Between two checkpoints, as a job has it too: what LevelDB compacts meanwhile is not the checkpoint's. */
export const INTERVAL_MS = 500

const FILL_MEMORY_BYTES = 256 * 2 ** 20
const POOL_BYTES = 2 ** 20

export interface CheckpointFigures {
  readonly uploadedBytes: readonly number[]
  readonly syncMs: readonly number[]
  readonly asyncMs: readonly number[]
  /** Of all threads, from the first of the changes until the handle is there. */
  readonly cpuMs: readonly number[]
  readonly kinds: readonly SnapshotResult['kind'][]
}

const payload = valueState<Uint8Array>('payload')

/** Bytes that do not compress, the same in every process. */
class Values {
  readonly #pool: Uint8Array = incompressibleBytes(POOL_BYTES)
  readonly #random: FixedRandom = new FixedRandom()

  next(): Uint8Array {
    const from = this.#random.nextUint32() % (POOL_BYTES - VALUE_BYTES)
    return this.#pool.subarray(from, from + VALUE_BYTES)
  }
}

function keyCountOf(stateMb: number): number {
  return Math.ceil((stateMb * 1e6) / (KEY_BYTES + VALUE_BYTES))
}

/** Leaves a state of `stateMb` million bytes in `directory`. */
export async function fillPayload(directory: string, stateMb: number): Promise<void> {
  const subtasks = await Subtasks.open({ directory, memoryBytes: FILL_MEMORY_BYTES })
  const backend = subtasks.single
  const state = backend.getState(payload)
  const values = new Values()
  const keyCount = keyCountOf(stateMb)
  for (let key = 0; key < keyCount; key++) {
    backend.setCurrentKey(key)
    state.update(values.next())
    if (backend.needsDrain) await backend.drain()
  }
  await subtasks.checkpoint()
  await untilIdle()
  await subtasks.leaveCheckpoint()
  await subtasks.close()
}

export async function measureCheckpoints(
  filled: string,
  directory: string,
  stateMb: number,
  memoryBytes: number,
): Promise<CheckpointFigures> {
  const checkpoints = WARM_UP_CHECKPOINTS + CHECKPOINTS
  const keys = uniformKeys(keyCountOf(stateMb), CHANGED_RECORDS * checkpoints)
  const values = new Values()
  const subtasks = await Subtasks.open({ directory, memoryBytes, restoreFrom: filled })
  const backend = subtasks.single
  const state = backend.getState(payload)
  const results: SnapshotResult[] = []
  const cpuMs: number[] = []
  for (let n = 0; n < checkpoints; n++) {
    if (n === WARM_UP_CHECKPOINTS) await untilIdle()
    else await sleep(INTERVAL_MS)
    const cpuStart = process.cpuUsage()
    for (const key of keys.subarray(n * CHANGED_RECORDS, (n + 1) * CHANGED_RECORDS)) {
      backend.setCurrentKey(key)
      state.update(values.next())
      if (backend.needsDrain) await backend.drain()
    }
    const taken = await subtasks.checkpoint()
    if (n < WARM_UP_CHECKPOINTS) continue
    const { user, system } = process.cpuUsage(cpuStart)
    cpuMs.push((user + system) / 1000)
    results.push(...taken)
  }
  await subtasks.close()
  return {
    uploadedBytes: results.map(({ uploadedBytes }) => uploadedBytes),
    syncMs: results.map(({ syncMs }) => syncMs),
    asyncMs: results.map(({ asyncMs }) => asyncMs),
    cpuMs,
    kinds: results.map(({ kind }) => kind),
  }
}
