/**
 * An integer in [0, maxParallelism - 1], both inclusive; never above 32,767, so it fits two bytes with the top bit clear.
 *
 * The unit in which keyed state is placed on subtasks and moved between them: a key belongs to one key group for as long
 * as the job keeps its maximum parallelism.
 */
export type KeyGroup = number
