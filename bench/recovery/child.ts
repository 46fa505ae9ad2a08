/** One step in a process of its own. */
import { join } from 'node:path'
import { KeyGroupRange } from '../../src/index.js'
import { answerParent } from '../harness/child-process.js'
import { adopt, downloaded, recovered } from '../rescale/adoption.js'
import type { Measurement } from '../rescale/measurement.js'
import { MAX_PARALLELISM } from '../rescale/records.js'
import { buildSources, rangesOf, readSources } from '../rescale/sources.js'
import { writeRecords } from './records-file.js'

/** Brought back untimed before, so that the code is compiled: an eighth of the state. */
const WARM_UP_RANGE = KeyGroupRange.of(0, MAX_PARALLELISM / 8 - 1)

const TABLE_SOURCES = { downloaded, recovered }

/** Where the tables of a restore come from: storage, or what a dead process left on local disk. */
export type TablesFrom = keyof typeof TABLE_SOURCES

async function restore(
  tablesFrom: TablesFrom,
  sourceDirectory: string,
  workDirectory: string,
  parallelism: number,
  verify: boolean,
): Promise<Measurement> {
  const source = TABLE_SOURCES[tablesFrom]
  const sources = readSources(sourceDirectory)
  const warmUp = { workDirectory: join(workDirectory, 'warm-up'), ranges: [WARM_UP_RANGE] }
  await adopt({ sources, verify: 'none', ...warmUp }, source)
  const measured = {
    workDirectory: join(workDirectory, 'measured'),
    ranges: rangesOf(parallelism),
  }
  return adopt({ sources, verify: verify ? 'all' : 'none', ...measured }, source)
}

await answerParent({ build: buildSources, writeRecords, restore })
