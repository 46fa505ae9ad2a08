/** With `localRecovery`, base tables of checkpoints that failed do not pile up on the disk. */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { failing } from '../support/fault-object-store.js'
import { handleOf, rejection, StateTask, type BackendKind } from '../support/state-task.js'

const ROUNDS = 24
/** Each round is about 2 MB: more than a memtable. */
const KEYS = 2000
const text = (round: number) => (key: number) => `${round} of ${key} `.repeat(100)

describe.each<BackendKind>(['leveldb', 'hashmap'])('kept base tables, %s', (kind) => {
  it.each(['fail', 'are aborted', 'are never told of'])(
    'stay few while all checkpoints %s',
    async (end) => {
      const policy = { smallStateBytes: 0, deltaFractionMax: 0 }
      const task = await StateTask.start({ kind, policy, localRecovery: true })
      if (end === 'fail') task.objects.plan = failing('put', 'shared/')
      for (let round = 1; round <= ROUNDS; round++) {
        await task.put(0, KEYS, text(round))
        const snapshot = task.snapshot()
        if (end === 'fail') {
          await rejection(snapshot)
        } else {
          const { checkpointId } = handleOf(await snapshot)
          if (end === 'are aborted') task.backend.notifyCheckpointAborted(checkpointId)
        }
        await task.backend.drain()
        // Each of them captured one table at least.
        const kept = readdirSync(join(task.incarnation, 'base'))
        expect(kept.length).toBeLessThan(ROUNDS)
      }
    },
  )
})
