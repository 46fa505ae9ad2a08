/** Copies that a power failure does not undo: what the contenders by hand upload with. */
import { copyFile, mkdir, open, readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'

/** Returns the bytes copied; the name is durable when the directory was synced too. */
export async function copyDurably(from: string, to: string): Promise<number> {
  await copyFile(from, to)
  return syncFile(to)
}

async function syncFile(path: string): Promise<number> {
  const file = await open(path, 'r+')
  try {
    await file.sync()
    return (await file.stat()).size
  } finally {
    await file.close()
  }
}

export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r')
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
}

/** All files below `from`, whole. One after the other: more at a time do not make one disk faster. */
export async function copyTree(from: string, to: string): Promise<number> {
  await mkdir(to, { recursive: true })
  let bytes = 0
  for (const name of await readdir(from)) {
    const path = join(from, name)
    const isDirectory = (await stat(path)).isDirectory()
    bytes += await (isDirectory ? copyTree : copyDurably)(path, join(to, name))
  }
  await syncDirectory(to)
  return bytes
}

/** Has `write` make a file of this name in `storage`, and makes it durable. Returns its bytes. */
export async function writeDurably(
  storage: string,
  name: string,
  write: (path: string) => Promise<unknown>,
): Promise<number> {
  await mkdir(storage, { recursive: true })
  const path = join(storage, name)
  await write(path)
  const bytes = await syncFile(path)
  await syncDirectory(storage)
  return bytes
}

/** Removes what the names of older checkpoints begin. */
export async function removeOlder(storage: string, checkpointId: number): Promise<void> {
  for (const name of await readdir(storage)) {
    if (Number.parseInt(name, 10) < checkpointId) await rm(join(storage, name), { recursive: true })
  }
}
