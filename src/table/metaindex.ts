/** The block that says where a table's other blocks than data and index are: its filter, when it has one. */
import { Buffer } from 'node:buffer'
import { ByteWriter } from '../common/bytes.js'
import { BlockBuilder } from './block.js'
import { FILTER_META_KEY, writeHandle, type BlockHandle } from './table-format.js'

const METAINDEX_RESTART_INTERVAL = 16

/** The block's contents, the caller's own. */
export function encodeMetaindex(filter: BlockHandle | undefined): Buffer {
  const block = new BlockBuilder(METAINDEX_RESTART_INTERVAL)
  if (filter !== undefined) {
    const name = Buffer.from(FILTER_META_KEY, 'latin1')
    const handle = new ByteWriter(32)
    writeHandle(handle, filter)
    block.add(name, name.length, handle.view())
  }
  return block.finish()
}
