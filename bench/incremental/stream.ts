/** The stream: reads and writes one contender, and gives the event loop its turns as our local host does, every 5 ms. */
import { Slicer } from '../../src/common/slicer.js'
import { systemClock } from '../../src/index.js'
import type { Contender } from './contender.js'
import type { StreamInput } from './key-source.js'
import { valueOf } from './records.js'

export class Stream {
  /** Of each key's value. */
  readonly versions: Uint32Array
  /** Reads and writes so far. */
  operations = 0
  /** Since the last barrier. */
  writes = 0
  /** Distinct ones that were written since the last barrier. */
  changedKeys = 0
  readonly #contender: Contender
  readonly #slicer = new Slicer(systemClock)
  /** The barrier before each key's last write. */
  readonly #changedAfter: Int32Array
  #barriers = 1
  /** Where an endless input goes on. */
  #position = 0

  constructor(contender: Contender, versions: Uint32Array) {
    this.#contender = contender
    this.versions = versions
    this.#changedAfter = new Int32Array(versions.length)
  }

  barrier(): void {
    this.#barriers++
    this.writes = 0
    this.changedKeys = 0
  }

  /** All of the input, once. */
  async run(input: StreamInput): Promise<void> {
    this.#slicer.restart()
    for (let i = 0; i < input.writes.length; i++) {
      this.#process(input, i)
      if (this.#contender.mustSettle) await this.#contender.settle()
      if (this.#slicer.due()) await this.#slicer.pause()
    }
  }

  /** The input over and over, from where the last call ended, until `isOver`, asked between two turns of the event loop. */
  async runUntil(isOver: () => boolean, input: StreamInput): Promise<void> {
    this.#slicer.restart()
    for (;;) {
      this.#process(input, this.#position)
      this.#position = (this.#position + 1) % input.writes.length
      if (this.#contender.mustSettle) await this.#contender.settle()
      if (!this.#slicer.due()) continue
      await this.#slicer.pause()
      if (isOver()) return
    }
  }

  /** The reads of a write, and the write. */
  #process({ writes, reads }: StreamInput, at: number): void {
    const readsPerWrite = reads.length / writes.length
    for (let r = at * readsPerWrite; r < (at + 1) * readsPerWrite; r++) {
      if (this.#contender.read(reads[r] ?? 0) === undefined) throw new Error('a key is missing')
    }
    this.#write(writes[at] ?? 0)
    this.operations += 1 + readsPerWrite
  }

  #write(key: number): void {
    const version = (this.versions[key] ?? 0) + 1
    this.versions[key] = version
    this.writes++
    if (this.#changedAfter[key] !== this.#barriers) this.changedKeys++
    this.#changedAfter[key] = this.#barriers
    this.#contender.write(key, valueOf(key, version))
  }
}
