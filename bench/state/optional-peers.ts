/**
 * Peers that are installed when they are first compared with, each into a folder of its own below temp/: as dependencies of this
 * package they would cost every installation 160 MB (rocksdb-native, all platforms) or a compiler (better-sqlite3).
 */
import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

/** Exact versions: a figure is that of a version. */
export const OPTIONAL_PEERS = {
  'better-sqlite3': '12.11.1',
  'rocksdb-native': '3.18.1',
} as const

export type OptionalPeer = keyof typeof OPTIONAL_PEERS

/** Compiling SQLite takes minutes on a slow machine. */
const INSTALL_TIMEOUT_MS = 15 * 60 * 1000
const PEERS_DIRECTORY = fileURLToPath(new URL('../../temp/peers/', import.meta.url))

const execute = promisify(execFile)

/** Installs a peer where it is not yet; `undefined` when it can be used, else why not. */
export async function installPeer(name: OptionalPeer): Promise<string | undefined> {
  const directory = join(PEERS_DIRECTORY, name)
  if (isInstalled(name)) return undefined
  const target = `${name}@${OPTIONAL_PEERS[name]}`
  try {
    mkdirSync(directory, { recursive: true })
    writeFileSync(join(directory, 'package.json'), '{ "private": true }\n')
    await execute('npm', ['install', '--no-audit', '--no-fund', target], {
      cwd: directory,
      timeout: INSTALL_TIMEOUT_MS,
    })
    requirePeer(name)
    return undefined
  } catch (error) {
    return `${target} does not install here: ${firstLine(error)}`
  }
}

/** A peer's exports. Throws where it was not installed. */
export function requirePeer(name: OptionalPeer): unknown {
  return createRequire(join(PEERS_DIRECTORY, name, 'package.json'))(name)
}

function isInstalled(name: OptionalPeer): boolean {
  const manifest = join(PEERS_DIRECTORY, name, 'node_modules', name, 'package.json')
  if (!existsSync(manifest)) return false
  try {
    const { version } = createRequire(manifest)(manifest) as { version: string }
    requirePeer(name)
    return version === OPTIONAL_PEERS[name]
  } catch {
    return false
  }
}

function firstLine(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error)
  return text.split('\n').find((line) => line.includes('rror')) ?? text
}
