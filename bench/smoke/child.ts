/** One measurement in a process of its own: `child.ts <part> <JSON arguments>`, result as JSON on standard output. */
import { runCounters, type CounterOptions } from './counters.js'
import { runPauses } from './pauses.js'
import { runUploads } from './uploads.js'

const parts = {
  counters: (name: string, options: CounterOptions) => runCounters(name, options),
  pauses: (dirtyKeys: number, rounds: number) => runPauses(dirtyKeys, rounds),
  uploads: (stateBytes: number, checkpoints: number) => runUploads(stateBytes, checkpoints),
}

const [part, json] = process.argv.slice(2)
const run = parts[part as keyof typeof parts] as (...args: unknown[]) => Promise<unknown>
const figures = await run(...(JSON.parse(json ?? '[]') as unknown[]))
process.stdout.write(JSON.stringify(figures))
