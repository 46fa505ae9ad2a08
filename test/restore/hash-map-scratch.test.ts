/** The in-memory backend's scratch folder lies in the system's temporary directory, and goes with the backend, its failure or its process. */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { namedObjects, rejection, StateTask, temporaryDirectory } from '../support/state-task.js'
import { runKilledTask } from './run-killed-task.js'

/** The system's temporary directory for this test, and what is in it of ours. */
function temporaryFiles(): { directory: string; folders: () => string[] } {
  const directory = temporaryDirectory()
  const before = process.env['TMPDIR']
  process.env['TMPDIR'] = directory
  onTestFinished(() => {
    if (before === undefined) delete process.env['TMPDIR']
    else process.env['TMPDIR'] = before
  })
  const folders = (): string[] =>
    readdirSync(directory).filter((name) => name.startsWith('level-state-backend-'))
  return { directory, folders }
}

it('a failed restore and a closed backend leave no scratch folder', async () => {
  const { folders } = temporaryFiles()
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

it('the folder of a killed process is removed by the next, those of live ones are not', async () => {
  const { directory, folders } = temporaryFiles()
  const task = await StateTask.start({ kind: 'hashmap' })
  const [ofTheLivingOne] = folders()
  await runKilledTask(
    {
      kind: 'hashmap',
      storageDirectory: join(directory, 'storage'),
      firstCheckpointId: 1,
      keys: [100],
    },
    { TMPDIR: directory },
  )
  expect(folders()).toHaveLength(2)
  expect(folders()).toContain(ofTheLivingOne)
  const next = await StateTask.start({ kind: 'hashmap' })
  expect(folders()).toHaveLength(2)
  await next.close()
  expect(folders()).toEqual([ofTheLivingOne])
  await task.close()
  expect(folders()).toEqual([])
})
