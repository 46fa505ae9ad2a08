/** Reads JSON of which nothing is known: every step checks what it finds, and an error names the place. */
import type { BenchPart } from '../harness/part.js'

/** What was read has another form. The message says where. */
export class DamagedResult extends Error {}

export class Reader {
  readonly value: unknown
  readonly #place: string

  constructor(value: unknown, place: string) {
    this.value = value
    this.#place = place
  }

  field(name: string): Reader {
    return new Reader(this.#object()[name], `${this.#place}.${name}`)
  }

  /** Whether the field is there at all. */
  has(name: string): boolean {
    return this.#object()[name] !== undefined
  }

  items(): Reader[] {
    if (!Array.isArray(this.value)) throw this.#unlike('an array')
    return this.value.map((item: unknown, index) => new Reader(item, `${this.#place}[${index}]`))
  }

  /** The values of an object, each of which must be a string. */
  strings(): string[] {
    return this.fields().map((field) => field.string())
  }

  fields(): Reader[] {
    return Object.keys(this.#object()).map((name) => this.field(name))
  }

  string(): string {
    if (typeof this.value !== 'string') throw this.#unlike('a string')
    return this.value
  }

  boolean(): boolean {
    if (typeof this.value !== 'boolean') throw this.#unlike('true or false')
    return this.value
  }

  /** JSON has no NaN and no Infinity: where one was written there is null. */
  number(): number {
    if (typeof this.value !== 'number' || !Number.isFinite(this.value)) {
      throw this.#unlike('a number')
    }
    return this.value
  }

  /** What is counted or timed is never below zero. */
  sample(): number {
    const value = this.number()
    if (value < 0) throw this.#unlike('zero or more')
    return value
  }

  oneOf<T extends string>(options: readonly T[]): T {
    const found = options.find((option) => option === this.value)
    if (found === undefined) throw this.#unlike(options.join(' or '))
    return found
  }

  #object(): Record<string, unknown> {
    if (typeof this.value !== 'object' || this.value === null || Array.isArray(this.value)) {
      throw this.#unlike('an object')
    }
    return this.value as Record<string, unknown>
  }

  #unlike(wanted: string): DamagedResult {
    const found = JSON.stringify(this.value) ?? 'nothing'
    const text = found.length > FOUND_LENGTH_MAX ? `${found.slice(0, FOUND_LENGTH_MAX)}…` : found
    return new DamagedResult(`${this.#place} must be ${wanted}, not ${text}`)
  }
}

/** Of what is quoted in a message. */
const FOUND_LENGTH_MAX = 40

/** Throws `DamagedResult` unless it is a `BenchPart`, its figures told apart by name, contender and x. */
export function checkPart(part: Reader): BenchPart {
  for (const name of ['part', 'title']) part.field(name).string()
  for (const parameter of part.field('parameters').fields()) {
    if (!['string', 'number', 'boolean'].includes(typeof parameter.value)) parameter.string()
  }
  const seen = new Set<string>()
  for (const figure of part.field('figures').items()) {
    const key = checkFigure(figure)
    if (seen.has(key))
      throw new DamagedResult(`${key} is in part ${part.field('part').string()} twice`)
    seen.add(key)
  }
  for (const chart of part.field('charts').items()) checkChart(chart)
  for (const goal of part.field('goals').items()) {
    goal.field('text').string()
    goal.field('reached').boolean()
  }
  part.field('absent').strings()
  for (const note of part.field('notes').items()) note.string()
  return part.value as BenchPart
}

function checkFigure(figure: Reader): string {
  const name = figure.field('name').string()
  const contender = figure.field('contender').string()
  const x = figure.has('x') ? figure.field('x').number() : undefined
  figure.field('kind').oneOf(['throughput', 'latency', 'size', 'cost', 'gain'])
  figure.field('unit').string()
  const samples = figure.field('samples')
  if (samples.items().length === 0)
    throw new DamagedResult(`${name} of ${contender} has no samples`)
  for (const sample of samples.items()) sample.sample()
  return [name, contender, ...(x === undefined ? [] : [`at ${x}`])].join(', ')
}

function checkChart(chart: Reader): void {
  chart.field('title').string()
  chart.field('kind').oneOf(['bars', 'lines'])
  chart.field('yLabel').string()
  chart.field('yScale').oneOf(['linear', 'log'])
  if (chart.has('xLabel')) chart.field('xLabel').string()
  if (chart.has('xScale')) chart.field('xScale').oneOf(['linear', 'log'])
  for (const name of chart.field('names').items()) name.string()
}
