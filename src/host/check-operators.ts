/** What a coordinator asks of the operators whose checkpoints it is to take. */
import type { OperatorCheckpoint } from '../checkpoint/completed-checkpoint.js'
import { StateBackendError } from '../errors.js'
import type { CoordinatedOperator } from './pending-checkpoint.js'

/**
 * `INVALID_ARGUMENT`: two have one id. `RESTORE_MISMATCH`: one has another maximum parallelism than among `restored`, what the restored
 * checkpoint has; or one that has state there is missing, and `allowNonRestoredState` is false.
 */
export function checkOperators(
  operators: readonly CoordinatedOperator[],
  restored: readonly OperatorCheckpoint[],
  allowNonRestoredState: boolean,
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
  if (!allowNonRestoredState) checkAllRestored(ids, restored)
}

/** An operator that was renamed would start empty behind a position that is not, and its state be deleted with the next checkpoint. */
function checkAllRestored(ids: ReadonlySet<string>, restored: readonly OperatorCheckpoint[]): void {
  const dropped = restored.find(
    ({ operatorId, subtasks }) =>
      !ids.has(operatorId) && subtasks.some(({ keyedStateHandle }) => keyedStateHandle !== null),
  )
  if (dropped === undefined) return
  throw new StateBackendError(
    'RESTORE_MISMATCH',
    `The restored checkpoint has state of operator ${JSON.stringify(dropped.operatorId)}, and no operator of that id is started: there ` +
      `is ${[...ids].map((id) => JSON.stringify(id)).join(', ') || 'none'}. Start it under its old operatorId, or give its state up: ` +
      'allowNonRestoredState of CheckpointCoordinator.start.',
    { details: { operatorId: dropped.operatorId } },
  )
}
