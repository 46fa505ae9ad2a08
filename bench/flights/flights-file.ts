/** The input: 3,000,000 real flights of the `vega-datasets` package, read one row group at a time. */
import { fileURLToPath } from 'node:url'
import { asyncBufferFromFile, parquetMetadataAsync, parquetRead } from 'hyparquet'
import { compressors } from 'hyparquet-compressors'

export interface Flight {
  /** `ORD-LAX`: origin and destination. */
  readonly route: string
  /** Days since 1970-01-01. */
  readonly day: number
  /** Negative when early. */
  readonly delayMinutes: number
}

export const FLIGHTS_MAX = 3_000_000
/** Flights that are handed on together. */
const BATCH_RECORDS = 1000
const MICROSECONDS_PER_DAY = 24 * 60 * 60 * 1e6

/** The package exports its main file only; the data lies beside that file's folder. */
function pathOfFile(): string {
  return fileURLToPath(new URL('../data/flights-3m.parquet', import.meta.resolve('vega-datasets')))
}

/** Flights `[from, to)` in the order of the file, in batches. Whole row groups are in memory as columns, flights a batch at a time. */
export async function* readFlights(from: number, to: number): AsyncGenerator<Flight[]> {
  const file = await asyncBufferFromFile(pathOfFile())
  const metadata = await parquetMetadataAsync(file)
  const route = routeNames()
  let start = 0
  for (const group of metadata.row_groups) {
    const end = start + Number(group.num_rows)
    const rowStart = Math.max(start, from)
    const rowEnd = Math.min(end, to)
    start = end
    if (rowStart >= rowEnd) continue
    const columns = new Map<string, ArrayLike<unknown>>()
    await parquetRead({
      file,
      metadata,
      compressors,
      columns: ['date', 'delay', 'origin', 'destination'],
      parsers: { timestampFromMicroseconds: Number },
      rowStart,
      rowEnd,
      onChunk: ({ columnName, columnData, rowStart: first }) => {
        // A chunk may begin before the rows that were asked for.
        const wanted = Array.prototype.slice.call(columnData, rowStart - first, rowEnd - first)
        if (columns.has(columnName)) throw new Error(`${columnName} came in several chunks`)
        columns.set(columnName, wanted)
      },
    })
    yield* batches(columns, rowEnd - rowStart, route)
  }
}

function* batches(
  columns: ReadonlyMap<string, ArrayLike<unknown>>,
  rows: number,
  route: (origin: string, destination: string) => string,
): Generator<Flight[]> {
  const [date, delay, origin, destination] = ['date', 'delay', 'origin', 'destination'].map(
    (name) => columns.get(name),
  )
  if (!date || !delay || !origin || !destination) throw new Error('the file lacks a column')
  for (let first = 0; first < rows; first += BATCH_RECORDS) {
    const flights: Flight[] = []
    for (let row = first; row < Math.min(first + BATCH_RECORDS, rows); row++) {
      flights.push({
        route: route(origin[row] as string, destination[row] as string),
        day: Math.floor((date[row] as number) / MICROSECONDS_PER_DAY),
        delayMinutes: Number(delay[row]),
      })
    }
    yield flights
  }
}

/** The same string for the same route: a concatenation per flight would be hashed and copied anew each time. */
function routeNames(): (origin: string, destination: string) => string {
  const names = new Map<string, Map<string, string>>()
  return (origin, destination) => {
    let destinations = names.get(origin)
    if (destinations === undefined) names.set(origin, (destinations = new Map<string, string>()))
    let name = destinations.get(destination)
    if (name === undefined) destinations.set(destination, (name = `${origin}-${destination}`))
    return name
  }
}
