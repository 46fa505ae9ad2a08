import { LevelDBStateBackend } from '../../src/leveldb-state-backend.js'
import { keyedStateBackendSuite } from '../conformance/keyed-state-backend-suite.js'

keyedStateBackendSuite('LevelDBStateBackend', (options) => new LevelDBStateBackend(options))
