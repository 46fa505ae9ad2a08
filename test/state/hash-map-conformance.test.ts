import { HashMapStateBackend } from '../../src/hash-map-state-backend.js'
import { keyedStateBackendSuite } from '../conformance/keyed-state-backend-suite.js'

keyedStateBackendSuite('HashMapStateBackend', ({ memory }) => new HashMapStateBackend({ memory }))
