/** Jobs with their checkpoints on `S3ObjectStore`, against the stand-in server. */
import { S3ObjectStore } from '../../src/storage/s3/s3-object-store.js'
import { jobsOnObjectStoreSuite } from '../conformance/jobs-on-object-store-suite.js'
import { HastyClock, storeOptionsOf } from '../support/s3-server/s3-fixture.js'
import { S3Server } from '../support/s3-server/s3-server.js'

jobsOnObjectStoreSuite('S3ObjectStore', async () => {
  const server = await S3Server.start({ pageSize: 7 })
  const store = await S3ObjectStore.open(storeOptionsOf(server, new HastyClock()))
  // One request in ten fails once: the store's own repetitions hide it from the job.
  let requests = 0
  server.fault = ({ times }) =>
    ++requests % 10 === 0 && times === 1 ? { answer: { status: 503, code: 'SlowDown' } } : undefined
  return {
    store,
    cleanup: async () => {
      store.close()
      await server.stop()
    },
  }
})
