/** Results of the benchmark, made up. */
import type { BenchFigure, BenchPart } from '../../bench/harness/part.js'
import { newResult, type MeasuredPart, type SuiteResult } from '../../bench/suite/result.js'

export function figureOf(fields: Partial<BenchFigure> = {}): BenchFigure {
  return {
    name: 'valueGet',
    contender: 'ours',
    kind: 'throughput',
    unit: 'ops/s',
    samples: [100],
    ...fields,
  }
}

export function partOf(fields: Partial<BenchPart> = {}): BenchPart {
  return {
    part: 'state',
    title: 'State operations',
    parameters: { keys: 1000 },
    figures: [figureOf()],
    charts: [],
    goals: [],
    absent: {},
    notes: [],
    ...fields,
  }
}

export function measuredOf(fields: Partial<BenchPart> = {}): MeasuredPart {
  const part = partOf(fields)
  return { name: part.part, status: 'measured', seconds: 60, load: { start: 0, end: 1 }, part }
}

export function resultOf(fields: Partial<SuiteResult> = {}): SuiteResult {
  const result = newResult({
    startedAt: '2026-11-23T01:00:00.000Z',
    finishedAt: '2026-11-23T01:10:00.000Z',
    size: 'default',
    machine: {
      cpu: 'Processor 1000',
      cores: 2,
      memoryBytes: 16e9,
      os: 'Debian',
      kernel: 'Linux 6',
      node: 'v20.20.2',
      filesystem: 'ext4',
    },
    versions: { package: '1.2.3', commit: 'abc', changed: false, contenders: { lmdb: '3.5.6' } },
  })
  return { ...result, parts: [measuredOf()], ...fields }
}

/** A result of one part with these figures. */
export function resultWith(...figures: readonly Partial<BenchFigure>[]): SuiteResult {
  return resultOf({ parts: [measuredOf({ figures: figures.map(figureOf) })] })
}
