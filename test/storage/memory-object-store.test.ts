import { MemoryObjectStore } from '../../src/storage/memory-object-store.js'
import { objectStoreSuite } from '../conformance/object-store-suite.js'

objectStoreSuite('MemoryObjectStore', async () => ({
  store: new MemoryObjectStore(),
  cleanup: async () => undefined,
}))
