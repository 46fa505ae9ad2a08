/** The measurements, each in a process of its own. */
import { answerParent } from '../harness/child-process.js'
import { runCounters } from './counters.js'
import { runPauses } from './pauses.js'
import { runUploads } from './uploads.js'

await answerParent({ counters: runCounters, pauses: runPauses, uploads: runUploads })
