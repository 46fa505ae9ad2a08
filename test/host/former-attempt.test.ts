/** Messages of tasks that outlived the process that asked them, about an id that the next attempt has given again. */
import { expect, it } from 'vitest'
import { attempt, OPERATOR_ID, RemoteTask, settle, statuses } from './attempt.js'
import { namedObjects, storedObjects } from './stored-objects.js'

it('are no answers of this attempt when they say of which they are', async () => {
  const old: RemoteTask[] = []
  const former = attempt()
  await former.begin({}, (task) => {
    const remote = new RemoteTask(task)
    old.push(remote)
    return remote
  })
  // Nobody has answered when its process dies.
  void former.coordinator.triggerCheckpoint('former')
  const { objectStore } = former

  const remotes: RemoteTask[] = []
  const { coordinator, events, begin, storage } = attempt({ objectStore })
  await begin({}, (task) => {
    const remote = new RemoteTask(task)
    remotes.push(remote)
    return remote
  })
  const ended = coordinator.triggerCheckpoint('this')
  const message = { checkpointId: 1, operatorId: OPERATOR_ID }
  for (const [subtaskIndex, remote] of old.entries()) {
    const result = await remote.perform(1)
    const late = { ...message, subtaskIndex, epoch: 1, result }
    expect(coordinator.acknowledgeCheckpoint(late)).toBe('unknown')
    coordinator.declineCheckpoint({ ...message, subtaskIndex, epoch: 1, cause: new Error('late') })
  }
  await settle()
  expect(events).toEqual([])
  for (const [subtaskIndex, remote] of remotes.entries()) {
    const result = await remote.perform(1)
    const answer = { ...message, subtaskIndex, epoch: 2, result }
    expect(coordinator.acknowledgeCheckpoint(answer)).toBe('accepted')
  }
  await ended
  expect(statuses(events)).toEqual(['1'])
  const named = await namedObjects(storage)
  const tables = named.filter((key) => key.includes('/shared/'))
  expect(tables).toHaveLength(2)
  for (const key of tables) expect(key).toContain('/shared/2-')
  // What the former attempt's tasks brought is nobody's.
  expect(await storedObjects(objectStore)).toEqual(expect.arrayContaining(named))
})
