/** Copies that a power failure does not undo: what the contenders by hand upload with. */
import { copyFile, mkdir, open, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'

/** Returns the bytes copied; the name is durable when the directory was synced too. */
export async function copyDurably(from: string, to: string): Promise<number> {
  await copyFile(from, to)
  return syncFile(to)
}

export async function syncFile(path: string): Promise<number> {
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
