/** The measurements and what they are made on, each in a process of its own. */
import { answerParent } from '../harness/child-process.js'
import { fillPayload, measureCheckpoints } from './checkpoint-cost.js'
import { fillCounters } from './counters.js'
import { measureParallel, measureThroughput } from './throughput.js'

await answerParent({
  fillCounters,
  measureThroughput,
  measureParallel,
  fillPayload,
  measureCheckpoints,
})
