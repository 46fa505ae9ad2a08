/** A write to a cell that cannot be read. */
import { expect, it } from 'vitest'
import { ByteReaderError } from '../../src/common/bytes.js'
import { numberKey, type KeySerializer } from '../../src/record/key-serializer.js'
import { mapState } from '../../src/state/state-descriptor.js'
import { StateTask } from '../support/state-task.js'

it('a write that fails on a cell it cannot read leaves a backend that can be snapshotted', async () => {
  let broken = false
  const mine: KeySerializer<number> = {
    ...numberKey,
    typeName: 'mine',
    read: (from) => {
      if (broken) throw new ByteReaderError('broken', from.offset)
      return numberKey.read(from)
    },
  }
  const descriptor = mapState<number, string>('mine', { keySerializer: mine })
  const task = await StateTask.start()
  const map = task.backend.getState(descriptor)
  task.backend.setCurrentKey(1)
  map.put(1, 'one')
  const { handle } = await task.checkpoint()
  await task.restore(handle)
  const again = task.backend.getState(descriptor)
  task.backend.setCurrentKey(1)
  broken = true
  expect(() => again.put(2, 'two')).toThrow('cannot be decoded')
  broken = false
  const next = await task.checkpoint()
  expect(next.kind).toBe('none')
})
