/** The in-memory backend's scratch folder lies in the system's temporary directory, and goes with the backend or its failure. */
import { readdirSync } from 'node:fs'
import { expect, it, onTestFinished } from 'vitest'
import { namedObjects, rejection, StateTask, temporaryDirectory } from '../support/state-task.js'

it('a failed restore and a closed backend leave no scratch folder', async () => {
  const directory = temporaryDirectory()
  const before = process.env['TMPDIR']
  process.env['TMPDIR'] = directory
  onTestFinished(() => {
    if (before === undefined) delete process.env['TMPDIR']
    else process.env['TMPDIR'] = before
  })
  const folders = (): string[] =>
    readdirSync(directory).filter((name) => name.startsWith('level-state-backend-'))
  const task = await StateTask.start({ kind: 'hashmap' })
  await task.put(0, 10, (key) => `${key}`)
  const { handle } = await task.checkpoint()
  expect(folders()).toHaveLength(1)
  await task.close()
  expect(folders()).toEqual([])
  await task.objects.delete(namedObjects([handle]).map((location) => `job/${location}`))
  await rejection(task.open([handle]))
  expect(folders()).toEqual([])
})
