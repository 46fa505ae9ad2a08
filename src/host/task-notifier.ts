/** Calls others' code: tasks, listeners, the host. What they throw is a warning and touches no checkpoint. */
import type { CheckpointListener } from '../checkpoint/snapshotable.js'
import { StateBackendError } from '../errors.js'
import type { CoordinatedOperator } from './pending-checkpoint.js'

export class TaskNotifier {
  readonly #onWarning: ((warning: StateBackendError) => void) | undefined

  constructor(onWarning: ((warning: StateBackendError) => void) | undefined) {
    this.#onWarning = onWarning
  }

  /** Every task is told, whatever the others do. */
  tell(
    operators: readonly CoordinatedOperator[],
    checkpointId: number,
    notice: (listener: CheckpointListener) => void,
  ): void {
    for (const task of operators.flatMap(({ tasks }) => tasks)) {
      this.call('A task that was told about it', checkpointId, () => notice(task))
    }
  }

  call(whom: string, checkpointId: number, call: () => void): void {
    try {
      call()
    } catch (cause) {
      const message = `${whom} threw at the end of checkpoint ${checkpointId}. The checkpoint is not affected.`
      const details = { checkpointId }
      this.warn(new StateBackendError('CHECKPOINT_FAILED', message, { cause, details }))
    }
  }

  warn(warning: StateBackendError): void {
    try {
      this.#onWarning?.(warning)
    } catch {
      // There is nobody left to tell, and a warning must not stop a job.
    }
  }
}
