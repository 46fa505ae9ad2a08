/** The measurements, each in a process of its own. */
import { answerParent } from '../harness/child-process.js'
import { measureChanges, measureStream, prepare } from './measure.js'

await answerParent({ prepare, measureChanges, measureStream })
