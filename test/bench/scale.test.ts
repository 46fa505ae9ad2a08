import { expect, it } from 'vitest'
import { OURS } from '../../bench/scale/names.js'
import { ScaleReport } from '../../bench/scale/report.js'

it('misses a goal when ours could not be measured to the end, and not for a peer', () => {
  const report = new ScaleReport()
  report.addAbsent('lmdb', 'not installed')
  expect(report.part({})).toMatchObject({ absent: { lmdb: 'not installed' }, goals: [] })
  report.addAbsent(OURS, 'disk full')
  expect(report.part({}).goals).toEqual([
    { text: `${OURS} is measured to the end: disk full`, reached: false },
  ])
})
