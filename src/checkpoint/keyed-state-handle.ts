/**
 * What a snapshot returns and a restore takes: where the tables of one backend are. Plain data, so that it survives JSON and a
 * process boundary; immutable, unlike Flink's: registering or clipping returns a new handle.
 */
import { Buffer } from 'node:buffer'
import { assert } from '../common/assert.js'
import { keyGroupOf } from '../record/composite-key.js'
import { KeyGroupRange } from '../record/key-group-range.js'
import type { StreamStateHandle } from '../storage/checkpoint-storage.js'
import { userKeyOf } from '../table/internal-key.js'

/**
 * One table of a checkpoint. In a handle's list the order is from oldest to newest: base tables first, their level 0 ascending, then
 * the deltas. Where two tables have a key, the entry with the larger sequence counts.
 */
export interface TableHandle {
  readonly role: 'base' | 'delta'
  /** LevelDB's level, 0 to 6; a delta has level 0. Tables of one level above 0 do not overlap. */
  readonly level: number
  readonly state: StreamStateHandle
  /** Internal keys, base64. */
  readonly smallest: string
  readonly largest: string
  /** No entry has a larger sequence. */
  readonly largestSequence: number
}

export interface KeyedStateHandle {
  readonly keyGroupRange: KeyGroupRange
  /** Unique per snapshot of a backend. */
  readonly stateHandleId: string
  /** Bytes of all state this handle leads to. */
  readonly stateSize: number
  /** Bytes that this snapshot itself brought to storage. */
  readonly checkpointedSize: number
  /** The part of the handle that lies in `range`; `undefined` when there is none. */
  getIntersection(range: KeyGroupRange): KeyedStateHandle | undefined
}

export interface IncrementalRemoteKeyedStateHandleFields {
  readonly backendIdentifier: string
  readonly stateHandleId: string
  readonly checkpointId: number
  readonly keyGroupRange: KeyGroupRange
  /** Tables, from oldest to newest. */
  readonly sharedState: readonly TableHandle[]
  /** The backend's meta information. */
  readonly metaState: StreamStateHandle
  readonly checkpointedSize: number
}

export class IncrementalRemoteKeyedStateHandle
  implements KeyedStateHandle, IncrementalRemoteKeyedStateHandleFields
{
  readonly backendIdentifier: string
  readonly stateHandleId: string
  readonly checkpointId: number
  readonly keyGroupRange: KeyGroupRange
  readonly sharedState: readonly TableHandle[]
  readonly metaState: StreamStateHandle
  readonly checkpointedSize: number

  constructor(fields: IncrementalRemoteKeyedStateHandleFields) {
    this.backendIdentifier = fields.backendIdentifier
    this.stateHandleId = fields.stateHandleId
    this.checkpointId = fields.checkpointId
    this.keyGroupRange = fields.keyGroupRange
    this.sharedState = fields.sharedState
    this.metaState = fields.metaState
    this.checkpointedSize = fields.checkpointedSize
  }

  get stateSize(): number {
    return this.sharedState.reduce(
      (bytes, table) => bytes + table.state.sizeBytes,
      this.metaState.sizeBytes,
    )
  }

  /**
   * The clipped range, and only the tables that overlap it. Better than Flink's, which returns the whole handle. A table that reaches
   * beyond the range is named whole; the restore cuts it. `checkpointedSize` is at most what is left: which tables the snapshot itself
   * brought is not remembered.
   */
  getIntersection(range: KeyGroupRange): IncrementalRemoteKeyedStateHandle | undefined {
    const keyGroupRange = this.keyGroupRange.getIntersection(range)
    if (keyGroupRange.isEmpty) return undefined
    if (keyGroupRange.equals(this.keyGroupRange)) return this
    const sharedState = this.sharedState.filter((table) => overlaps(table, keyGroupRange))
    const part = new IncrementalRemoteKeyedStateHandle({ ...this, keyGroupRange, sharedState })
    const checkpointedSize = Math.min(this.checkpointedSize, part.stateSize)
    return new IncrementalRemoteKeyedStateHandle({ ...part, checkpointedSize })
  }

  /** What `JSON.stringify` wrote, read back. The caller has verified the text (a checksum), not the shape. */
  static fromJSON(
    fields: IncrementalRemoteKeyedStateHandleFields,
  ): IncrementalRemoteKeyedStateHandle {
    return new IncrementalRemoteKeyedStateHandle({
      ...fields,
      keyGroupRange: KeyGroupRange.fromJSON(fields.keyGroupRange),
    })
  }

  /** Locations of the objects this handle names; inline state has none. */
  objects(): { shared: string[]; exclusive: string[] } {
    const location = (state: StreamStateHandle): string[] =>
      state.kind === 'object' ? [state.location] : []
    return {
      shared: this.sharedState.flatMap((table) => location(table.state)),
      exclusive: location(this.metaState),
    }
  }
}

function overlaps(table: TableHandle, range: KeyGroupRange): boolean {
  const keyGroup = (internalKey: string): number =>
    keyGroupOf(userKeyOf(Buffer.from(internalKey, 'base64')))
  const first = keyGroup(table.smallest)
  const last = keyGroup(table.largest)
  assert(first <= last, 'a table handle has its smallest key first')
  return first <= range.endKeyGroup && last >= range.startKeyGroup
}
