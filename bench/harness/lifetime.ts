/**
 * What must not outlive a process of the benchmark: its child processes, its temporary directories and its servers.
 *
 * L1 SIGINT and SIGTERM end the children and servers, remove the directories, and end the process with 130 and 143.
 * L2 However else it ends, short of SIGKILL, the directories are removed and the children told to end.
 * L3 A child that calls `endWithParent` ends when its parent is gone, SIGKILL included.
 *
 * Signals are listened for while there is something to end.
 */
import type { ChildProcess } from 'node:child_process'
import { rmSync } from 'node:fs'

const STATUS = { SIGINT: 130, SIGTERM: 143 } as const
/** Its files may still be written as a directory is removed. */
const REMOVAL = { recursive: true, force: true, maxRetries: 5, retryDelay: 100 } as const

/** Each with the time it has to end once it is told to. */
const children = new Map<ChildProcess, number>()
const directories = new Set<string>()
const servers = new Set<() => Promise<void>>()
let ending = false

/** Until the child has ended. It is sent SIGTERM, and after `graceMs` SIGKILL. */
export function ownChild(child: ChildProcess, graceMs: number): void {
  listen()
  children.set(child, graceMs)
  child.once('close', () => {
    children.delete(child)
    listenNoMore()
  })
}

/** Until it is removed by `removeOwned`. */
export function ownDirectory(path: string): void {
  listen()
  directories.add(path)
}

export function removeOwned(path: string): void {
  rmSync(path, REMOVAL)
  directories.delete(path)
  listenNoMore()
}

/** Stops the server after `use`, also where that throws or a signal comes; then it is asked to twice. */
export async function withServer<T>(stop: () => Promise<void>, use: () => Promise<T>): Promise<T> {
  listen()
  servers.add(stop)
  try {
    return await use()
  } finally {
    await stop()
    servers.delete(stop)
    listenNoMore()
  }
}

/** Resolves when it has. */
export async function endChild(child: ChildProcess): Promise<void> {
  const graceMs = children.get(child)
  if (graceMs === undefined) return
  const closed = new Promise((resolve) => child.once('close', resolve))
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), graceMs)
  await closed
  clearTimeout(timer)
}

/** Whether a signal has come: what waits for a child then must not take its end for a result, nor start another. */
export function isEnding(): boolean {
  return ending
}

/** For a child with a channel to its parent, which tells that the parent is gone; the channel keeps no process alive. */
export function endWithParent(): void {
  if (process.channel === undefined) return
  process.once('disconnect', () => process.exit(1))
  process.channel.unref()
}

function ownsNothing(): boolean {
  return children.size + directories.size + servers.size === 0
}

function listen(): void {
  if (!ownsNothing()) return
  process.on('SIGINT', endBySignal).on('SIGTERM', endBySignal).on('exit', endAtExit)
}

function listenNoMore(): void {
  if (!ownsNothing()) return
  process.off('SIGINT', endBySignal).off('SIGTERM', endBySignal).off('exit', endAtExit)
}

/** A second signal changes nothing: a terminal, npm and tsx may each send one. */
function endBySignal(signal: keyof typeof STATUS): void {
  if (ending) return
  ending = true
  const ends = [...children.keys()].map(endChild)
  const stops = [...servers].map((stop) => stop())
  void Promise.allSettled([...ends, ...stops]).then(() => process.exit(STATUS[signal]))
}

function endAtExit(): void {
  for (const child of children.keys()) child.kill('SIGTERM')
  for (const path of directories) rmSync(path, REMOVAL)
}
