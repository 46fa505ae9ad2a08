/**
 * `npm run bench:incremental`: what a checkpoint costs, ours against full snapshots and against what a user would do instead, on the same
 * states and streams.
 */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { inChild, reasonOf } from '../harness/child-process.js'
import { finishPart, say, withTemporaryDirectory } from '../harness/command-line.js'
import type { BenchPart } from '../harness/part.js'
import { rotated } from '../harness/statistics.js'
import { installPeer, OPTIONAL_PEERS, type OptionalPeer } from '../state/optional-peers.js'
import { chartsOf, figuresOf } from './figures.js'
import { goalsOf } from './goals.js'
import type { ChangeResult, Load, Place, StreamSample } from './measure.js'
import { STORES, type ContenderName } from './names.js'
import { notesOf } from './notes.js'
import { readOptions, type Options } from './options.js'
import type { ChangeOutcome, Outcomes, StreamOutcome } from './outcome.js'
import { percent } from './outcome.js'
import { checkpointsOf, type Cell } from './plan.js'
import { changeTable, streamTable } from './tables.js'

const CHILD = new URL('child.ts', import.meta.url)
const MB = 1e6
const MIB = 2 ** 20

class Bench {
  readonly absent: Record<string, string> = {}
  readonly #options: Options
  readonly #root: string
  readonly #preparing = new Map<string, Promise<string>>()
  #runs = 0
  #turns = 0

  constructor(options: Options, root: string) {
    this.#options = options
    this.#root = root
  }

  async run(): Promise<Outcomes> {
    const changes: ChangeOutcome[] = []
    const streams: StreamOutcome[] = []
    for (const cell of this.#options.plan.changes) {
      const text = `${cellText(cell)}, ${percent(cell.changePercent)}`
      const changedFraction = cell.changePercent / 100
      await this.#eachContender(cell, text, async (contender, place) => {
        const load = { ...this.#load(cell, contender), changedFraction }
        const result = await inChild<ChangeResult>(CHILD, 'measureChanges', contender, load, place)
        changes.push({ cell, contender, result })
      })
    }
    for (const cell of this.#options.plan.streams) {
      await this.#eachContender(cell, `${cellText(cell)}, stream`, async (contender, place) => {
        const { intervalMs } = this.#options
        const load = { ...this.#load(cell, contender), intervalMs }
        const samples = await inChild<StreamSample[]>(
          CHILD,
          'measureStream',
          contender,
          load,
          place,
        )
        streams.push({ cell, contender, samples })
      })
    }
    return { changes, streams }
  }

  #load(cell: Cell, contender: ContenderName): Load {
    const { stateMb, keys, reads } = cell
    const memoryBytes = this.#options.memoryMib * MIB
    const checkpoints = checkpointsOf(cell, contender)
    return { stateBytes: stateMb * MB, memoryBytes, keys, readsPerWrite: reads, checkpoints }
  }

  /** In an order that begins with another contender for each load that several share. Who fails is absent from there on. */
  async #eachContender(
    cell: Cell,
    text: string,
    measure: (contender: ContenderName, place: Place) => Promise<void>,
  ): Promise<void> {
    const run = this.#runs++
    const turn = cell.contenders.length > 1 ? this.#turns++ : 0
    for (const contender of rotated(cell.contenders, turn)) {
      if (this.absent[contender] !== undefined) continue
      const startMs = performance.now()
      const directory = join(this.#root, `run-${run}-${contender}`)
      try {
        await measure(contender, {
          prepared: await this.#prepared(contender, cell.stateMb),
          directory,
        })
      } catch (error) {
        this.absent[contender] = reasonOf(error)
        say(`absent: ${contender}, ${this.absent[contender]}`)
        continue
      } finally {
        await rm(directory, { recursive: true, force: true })
      }
      const seconds = ((performance.now() - startMs) / 1000).toFixed(1)
      say(`${text}: ${contender} in ${seconds} s`)
    }
  }

  /** The directory of a state that runs begin with, made when first wanted. */
  #prepared(contender: ContenderName, stateMb: number): Promise<string> {
    const name = `prepared-${STORES[contender]}-${stateMb}`
    const preparing = this.#preparing.get(name) ?? this.#prepare(contender, stateMb, name)
    this.#preparing.set(name, preparing)
    return preparing
  }

  async #prepare(contender: ContenderName, stateMb: number, name: string): Promise<string> {
    const why =
      contender in OPTIONAL_PEERS ? await installPeer(contender as OptionalPeer) : undefined
    if (why !== undefined) throw new Error(why)
    const directory = join(this.#root, name)
    const memoryBytes = this.#options.memoryMib * MIB
    await inChild(CHILD, 'prepare', contender, directory, stateMb * MB, memoryBytes)
    return directory
  }
}

function cellText({ stateMb, keys, reads }: Cell): string {
  return `${stateMb} MB, ${keys}, ${reads} reads`
}

function partOf(
  { memoryMib, parameters }: Options,
  outcomes: Outcomes,
  absent: BenchPart['absent'],
): BenchPart {
  return {
    part: 'incremental',
    title: 'Incremental checkpoints against full ones, and against what else there is',
    parameters,
    figures: figuresOf(outcomes),
    charts: chartsOf(outcomes),
    goals: goalsOf(outcomes, absent),
    absent,
    notes: notesOf(memoryMib),
  }
}

const options = readOptions()
const { outcomes, absent } = await withTemporaryDirectory(async (root) => {
  const bench = new Bench(options, root)
  return { outcomes: await bench.run(), absent: bench.absent }
})
const part = partOf(options, outcomes, absent)
if (outcomes.changes.length > 0) say(changeTable(outcomes.changes))
if (outcomes.streams.length > 0) say(streamTable(outcomes.streams))
for (const note of part.notes) say(`- ${note}`)
finishPart(part, options.json)
