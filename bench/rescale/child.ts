/** The measurements, each in a process of its own. */
import { join } from 'node:path'
import { KeyGroupRange } from '../../src/index.js'
import { answerParent } from '../harness/child-process.js'
import { adopt, downloaded, linked, recovered } from './adoption.js'
import type { Measurement, Restore, Verified } from './measurement.js'
import { MAX_PARALLELISM } from './records.js'
import { clearAndCopy, rescale, rewrite } from './rivals.js'
import { buildSources, rangesOf, readSources } from './sources.js'

type Way = (restore: Restore) => Promise<Measurement>

/** What every process but a cold one brings back first, untimed: an eighth of the state, so that its code is compiled. */
const WARM_UP_RANGE = KeyGroupRange.of(0, MAX_PARALLELISM / 8 - 1)

const adoptLinked: Way = (restore) => adopt(restore, linked)

const parts = {
  build: buildSources,
  adopt: warm(adoptLinked),
  adoptCold: cold(adoptLinked),
  adoptRecovered: warm((restore) => adopt(restore, recovered)),
  adoptDownloaded: warm((restore) => adopt(restore, downloaded)),
  clearAndCopy: warm((restore) => rescale(restore, clearAndCopy)),
  rewrite: warm((restore) => rescale(restore, rewrite)),
}

type Place = [sourceDirectory: string, workDirectory: string, parallelism: number, verify: Verified]

function cold(way: Way): (...place: Place) => Promise<Measurement> {
  return (sourceDirectory, workDirectory, parallelism, verify) => {
    const sources = readSources(sourceDirectory)
    return way({ sources, workDirectory, verify, ranges: rangesOf(parallelism) })
  }
}

function warm(way: Way): (...place: Place) => Promise<Measurement> {
  return async (sourceDirectory, workDirectory, parallelism, verify) => {
    await way({
      sources: readSources(sourceDirectory),
      workDirectory: join(workDirectory, 'warm-up'),
      verify: 'none',
      ranges: [WARM_UP_RANGE],
    })
    return cold(way)(sourceDirectory, join(workDirectory, 'measured'), parallelism, verify)
  }
}

await answerParent(parts)
