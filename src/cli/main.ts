#!/usr/bin/env node
import { systemClock } from '../common/clock.js'
import { errnoOf } from '../common/node-errors.js'
import { run } from './run.js'

const { stdout, stderr, argv } = process

// Who reads our output may stop: `level-state-backend list ... | head`.
stdout.on('error', (error) => {
  if (errnoOf(error) !== 'EPIPE') throw error
})

process.exitCode = await run(argv.slice(2), { stdout, stderr, clock: systemClock })
