/**
 * One contender with one load. `prepare` leaves the state that runs begin with. `measureChanges` takes checkpoints of exact changes
 * while the stream stands, so that bytes and times are of the checkpoint alone; `measureStream` never lets the stream stand, and tells
 * what a checkpoint costs it.
 */
import { mkdir } from 'node:fs/promises'
import { loadContender } from './contenders.js'
import type { Contender } from './contender.js'
import { copyTree } from './durable-files.js'
import { KeySource, type KeyDistribution, type StreamInput } from './key-source.js'
import type { ContenderName } from './names.js'
import { keyCountOf, RECORD_BYTES, scattered, valueOf } from './records.js'
import { Stream } from './stream.js'

export interface Load {
  readonly stateBytes: number
  readonly memoryBytes: number
  readonly keys: KeyDistribution
  readonly readsPerWrite: number
  /** Counted ones; one more is taken before to warm up. */
  readonly checkpoints: number
}

export interface ChangeLoad extends Load {
  /** Of the keys, between two checkpoints: (0, 1]. */
  readonly changedFraction: number
}

export interface StreamLoad extends Load {
  /** From one checkpoint's start to the next one's. */
  readonly intervalMs: number
}

/** Where a run finds its state, and works; both end with the run. */
export interface Place {
  readonly prepared: string
  readonly directory: string
}

export interface CheckpointSample {
  readonly kind: string
  readonly uploadedBytes: number
  /** Of the entries that changed since the checkpoint before: distinct keys × record size. */
  readonly changedBytes: number
  readonly writes: number
  /** For how long the stream stood. */
  readonly syncMs: number
  /** From there until the checkpoint was durable. */
  readonly asyncMs: number
}

export interface ChangeResult {
  readonly checkpoints: readonly CheckpointSample[]
  /** Between two checkpoints. */
  readonly operationsPerSecond: readonly number[]
  /** Until the first read. */
  readonly restoreMs: number
  readonly verifiedKeys: number
}

export interface StreamSample extends CheckpointSample {
  /** Reads and writes while the checkpoint was running. */
  readonly duringPerSecond: number
  /** From its end to the next one's start. */
  readonly betweenPerSecond: number
}

/** Of keys that no run changed every eighth is verified, of the others every one: reading 200 MB takes longer than the run. */
const VERIFIED_OF_UNCHANGED = 8
/** Drawn before the clock starts; a stream that is through begins again. */
const STREAM_WRITES = 1_000_000
/** Of an interval: at least so long there is no checkpoint. */
const QUIET_FRACTION = 0.5

/** Every key once, in no order. */
export async function prepare(
  name: ContenderName,
  directory: string,
  stateBytes: number,
  memoryBytes: number,
): Promise<void> {
  await mkdir(directory, { recursive: true })
  const module = await loadContender(name)
  const contender = await module.open({ directory, memoryBytes })
  const keyCount = keyCountOf(stateBytes)
  for (let rank = 0; rank < keyCount; rank++) {
    const key = scattered(rank, keyCount)
    contender.write(key, valueOf(key, 1))
    if (contender.mustSettle) await contender.settle()
  }
  if (module.prepared === 'checkpoint') await contender.checkpoint().durable
  await contender.quiet?.()
  await contender.close()
}

export async function measureChanges(
  name: ContenderName,
  load: ChangeLoad,
  place: Place,
): Promise<ChangeResult> {
  const { contender, stream, source } = await begin(name, load, place)
  const changedKeys = Math.max(Math.round(load.changedFraction * source.keyCount), 1)
  const checkpoints: CheckpointSample[] = []
  const operationsPerSecond: number[] = []
  for (let n = 0; n <= load.checkpoints; n++) {
    const input = source.inputThatChanges(changedKeys, load.readsPerWrite)
    const before = stream.operations
    const startMs = performance.now()
    await stream.run(input)
    const elapsedMs = performance.now() - startMs
    const sample = await takeCheckpoint(contender, stream)
    await contender.discardOld()
    if (n === 0) continue
    checkpoints.push(sample)
    operationsPerSecond.push(((stream.operations - before) * 1000) / elapsedMs)
  }
  await contender.close()
  const restored = await restoreAndVerify(name, load, place, stream.versions)
  return { checkpoints, operationsPerSecond, ...restored }
}

interface Run {
  readonly contender: Contender
  readonly stream: Stream
  readonly source: KeySource
}

async function begin(name: ContenderName, load: Load, place: Place): Promise<Run> {
  const { directory } = place
  await copyTree(place.prepared, directory)
  const module = await loadContender(name)
  const contender = await module.open({ directory, memoryBytes: load.memoryBytes })
  const keyCount = keyCountOf(load.stateBytes)
  const stream = new Stream(contender, new Uint32Array(keyCount).fill(1))
  return { contender, stream, source: new KeySource(keyCount, load.keys) }
}

/** Between two writes. `whileRunning` begins when the stream may go on, and must end soon after `isDurable`. */
async function takeCheckpoint(
  contender: Contender,
  stream: Stream,
  whileRunning?: (isDurable: () => boolean) => Promise<void>,
): Promise<CheckpointSample & { readonly operationsMeanwhile: number }> {
  const { writes, changedKeys } = stream
  stream.barrier()
  const operationsBefore = stream.operations
  const startMs = performance.now()
  const { resumed, durable } = contender.checkpoint()
  await resumed
  const resumedMs = performance.now()
  let isDurable = false
  const ended = durable.then(({ kind, bytes }) => {
    isDurable = true
    return {
      kind,
      uploadedBytes: bytes,
      changedBytes: changedKeys * RECORD_BYTES,
      writes,
      syncMs: resumedMs - startMs,
      asyncMs: performance.now() - resumedMs,
      operationsMeanwhile: stream.operations - operationsBefore,
    }
  })
  await whileRunning?.(() => isDurable)
  return ended
}

async function restoreAndVerify(
  name: ContenderName,
  { memoryBytes }: Load,
  { directory }: Place,
  versions: Uint32Array,
): Promise<{ restoreMs: number; verifiedKeys: number }> {
  const module = await loadContender(name)
  const startMs = performance.now()
  const restored = await module.restore({ directory, memoryBytes })
  restored.read(0)
  const restoreMs = performance.now() - startMs
  let verifiedKeys = 0
  for (const [key, version] of versions.entries()) {
    if (version === 1 && key % VERIFIED_OF_UNCHANGED > 0) continue
    verifiedKeys++
    const value = restored.read(key)
    if (value === undefined || !valueOf(key, version).equals(value)) {
      throw new Error(`${name} restored key ${key} with another value than version ${version}`)
    }
  }
  await restored.close()
  return { restoreMs, verifiedKeys }
}

export async function measureStream(
  name: ContenderName,
  load: StreamLoad,
  place: Place,
): Promise<readonly StreamSample[]> {
  const { contender, stream, source } = await begin(name, load, place)
  const input = source.input(STREAM_WRITES, load.readsPerWrite)
  const samples: StreamSample[] = []
  for (let n = 0; n <= load.checkpoints; n++) {
    const sample = await streamThroughCheckpoint(contender, stream, input, load.intervalMs)
    if (n > 0) samples.push(sample)
  }
  await contender.close()
  return samples
}

/** One checkpoint and the quiet after it. */
async function streamThroughCheckpoint(
  contender: Contender,
  stream: Stream,
  input: StreamInput,
  intervalMs: number,
): Promise<StreamSample> {
  const startMs = performance.now()
  const { operationsMeanwhile, ...checkpoint } = await takeCheckpoint(
    contender,
    stream,
    (isDurable) => stream.runUntil(isDurable, input),
  )
  const duringMs = checkpoint.syncMs + checkpoint.asyncMs
  await contender.discardOld()
  const operationsBefore = stream.operations
  const quietStartMs = performance.now()
  const endMs = Math.max(startMs + intervalMs, quietStartMs + intervalMs * QUIET_FRACTION)
  await stream.runUntil(() => performance.now() >= endMs, input)
  const quietMs = performance.now() - quietStartMs
  return {
    ...checkpoint,
    duringPerSecond: (operationsMeanwhile * 1000) / duringMs,
    betweenPerSecond: ((stream.operations - operationsBefore) * 1000) / quietMs,
  }
}
