/** What is chosen once for a whole life. */
import type { RebasePolicy } from '../../../src/checkpoint/rebase-policy.js'
import type { CheckpointLimits } from '../../../src/host/checkpoint-coordinator-options.js'
import type { SeededRandom } from '../../support/random.js'

export const JOB_ID = 'job'

export interface Profile {
  /** Of attempts and restores on LevelDB, from 0 to 1; the others are in memory. */
  readonly levelDBShare: number
  readonly faults: boolean
  /** For the backends' files. */
  readonly directory: string
}

export interface Settings {
  readonly limits: Required<CheckpointLimits> & {
    readonly retainedCheckpointsMax: number
    readonly minPauseMs: number
    readonly timeoutMs: number
  }
  readonly policy: RebasePolicy
  readonly inlineThresholdBytes: number
  /** One attempt, and no acknowledgement is lost: nothing may be left over, not even for `findOrphans`. */
  readonly steady: boolean
}

/** State is small here: the policies are such that it is merged and rebased all the same. */
export function randomSettings(random: SeededRandom): Settings {
  const steady = random.chance(0.15)
  return {
    steady,
    limits: {
      retainedCheckpointsMax: random.pick([1, 1, 2, 3]),
      concurrentCheckpointsMax: random.pick([1, 2, 3, 4]),
      tolerableFailedCheckpoints: steady ? Infinity : random.pick([2, Infinity, Infinity]),
      minPauseMs: random.pick([0, 0, 100]),
      timeoutMs: 1000,
    },
    policy: {
      smallStateBytes: random.pick([0, 2000, 20_000]),
      deltaFractionMax: random.pick([0.3, 1]),
      deltaCountMax: random.pick([2, 4, 32]),
    },
    inlineThresholdBytes: random.pick([0, 0, 0, 600, 20_480]),
  }
}
