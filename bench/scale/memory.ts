/** The memory of this process: its peaks, as seen at every look, and what is left after a collection. */
import { readFileSync } from 'node:fs'

export interface MemoryFigures {
  /** Before anything was opened: the runtime, and the inputs. */
  readonly residentAtStartBytes: number
  readonly residentPeakBytes: number
  /** Without mapped files, whose pages the system may take back. `undefined` where the system does not tell. */
  readonly anonymousPeakBytes: number | undefined
  readonly residentAfterBytes: number
  /** Of JavaScript, what is not collected yet included. */
  readonly heapPeakBytes: number
  readonly heapAfterBytes: number
}

export class MemoryProbe {
  readonly #residentAtStartBytes: number
  #residentPeakBytes = 0
  #anonymousPeakBytes: number | undefined
  #heapPeakBytes = 0

  constructor() {
    collectGarbage()
    this.#residentAtStartBytes = process.memoryUsage.rss()
  }

  look(): void {
    const { rss, heapUsed } = process.memoryUsage()
    this.#residentPeakBytes = Math.max(this.#residentPeakBytes, rss)
    this.#heapPeakBytes = Math.max(this.#heapPeakBytes, heapUsed)
    const anonymous = anonymousBytes()
    if (anonymous === undefined) return
    this.#anonymousPeakBytes = Math.max(this.#anonymousPeakBytes ?? 0, anonymous)
  }

  finish(): MemoryFigures {
    this.look()
    collectGarbage()
    const { rss, heapUsed } = process.memoryUsage()
    return {
      residentAtStartBytes: this.#residentAtStartBytes,
      residentPeakBytes: this.#residentPeakBytes,
      anonymousPeakBytes: this.#anonymousPeakBytes,
      residentAfterBytes: rss,
      heapPeakBytes: this.#heapPeakBytes,
      heapAfterBytes: heapUsed,
    }
  }
}

/** A process of the benchmark runs with --expose-gc. */
function collectGarbage(): void {
  if (globalThis.gc === undefined) throw new Error('run with --expose-gc')
  globalThis.gc()
}

function anonymousBytes(): number | undefined {
  if (process.platform !== 'linux') return undefined
  const status = readFileSync('/proc/self/status', 'utf8')
  const kibibytes = /^RssAnon:\s+(\d+) kB$/m.exec(status)?.[1]
  return kibibytes === undefined ? undefined : Number(kibibytes) * 1024
}
