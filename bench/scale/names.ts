/** The contenders' names, apart from their code: the parent process loads no store. */

export const OURS = 'LevelDBStateBackend'
export const COUNTER_CONTENDERS = [OURS, 'classic-level', 'lmdb'] as const
export type CounterContender = (typeof COUNTER_CONTENDERS)[number]
