/** What a coordinator asks of the operators whose checkpoints it is to take. */
import type { OperatorCheckpoint } from '../checkpoint/completed-checkpoint.js'
import { StateBackendError } from '../errors.js'
import type { CoordinatedOperator } from './pending-checkpoint.js'

/**
 * `INVALID_ARGUMENT`: two have one id. `RESTORE_MISMATCH`: one has another maximum parallelism than among `restored`, what the restored
 * checkpoint has.
 */
export function checkOperators(
  operators: readonly CoordinatedOperator[],
  restored: readonly OperatorCheckpoint[],
): void {
  const ids = new Set<string>()
  for (const { operatorId, maxParallelism } of operators) {
    if (ids.has(operatorId)) {
      throw new StateBackendError(
        'INVALID_ARGUMENT',
        `Two operators are called ${JSON.stringify(operatorId)}. Their state would be mixed up: give each its own operatorId.`,
      )
    }
    ids.add(operatorId)
    const before = restored.find((operator) => operator.operatorId === operatorId)
    if (before === undefined || before.maxParallelism === maxParallelism) continue
    throw new StateBackendError(
      'RESTORE_MISMATCH',
      `Operator ${JSON.stringify(operatorId)} has maximum parallelism ${maxParallelism}, the restored checkpoint ` +
        `${before.maxParallelism}. It decides which key group a key belongs to, so it can never change: start with the old one.`,
      { details: { operatorId, checkpoint: before.maxParallelism, operator: maxParallelism } },
    )
  }
}
