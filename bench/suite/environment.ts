/** Where and with what a run measures. It names no host: two runs on machines of one kind may be compared. */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { cpus, loadavg, release, totalmem, type, version } from 'node:os'
import { fileURLToPath } from 'node:url'
import { OPTIONAL_PEERS } from '../state/optional-peers.js'

export interface Machine {
  /** The model, as the system tells it. */
  readonly cpu: string
  readonly cores: number
  readonly memoryBytes: number
  readonly os: string
  readonly kernel: string
  readonly node: string
}

export interface Versions {
  readonly package: string
  /** Without one when the files are not in a Git checkout. */
  readonly commit?: string
  /** Whether files differ from the commit. */
  readonly changed?: boolean
  readonly contenders: Readonly<Record<string, string>>
}

/** Processes that want to run, on average over a minute: before a part, and at its end, where it counts in itself. */
export interface Load {
  readonly start: number
  readonly end: number
}

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const FLINK_POM = new URL('../peers/flink/pom.xml', import.meta.url)
const requireHere = createRequire(import.meta.url)

export function thisMachine(): Machine {
  const processors = cpus()
  return {
    cpu: processors[0]?.model.trim() ?? 'unknown processor',
    cores: processors.length,
    memoryBytes: totalmem(),
    os: operatingSystem(),
    kernel: `${type()} ${release()}`,
    node: process.version,
  }
}

export function loadNow(): number {
  return Number((loadavg()[0] ?? 0).toFixed(2))
}

export function theseVersions(): Versions {
  const commit = output('git', ['rev-parse', 'HEAD'])
  const status = output('git', ['status', '--porcelain'])
  const { version: own } = requireHere('../../package.json') as { version: string }
  return {
    package: own,
    ...(commit === undefined ? {} : { commit, changed: status !== '' }),
    contenders: contenderVersions(),
  }
}

/** For a name of a directory: letters, digits and single dashes. */
export function machineSlug({ cpu, cores }: Machine): string {
  const words = cpu.replaceAll(/\((r|tm)\)|@.*$|\bcpu\b/gi, ' ').toLowerCase()
  const slug = words.replaceAll(/[^a-z0-9]+/g, '-').replaceAll(/^-|-$/g, '')
  return `${slug === '' ? 'unknown' : slug}-${cores}-cores`
}

function contenderVersions(): Record<string, string> {
  const versions: Record<string, string> = { ...OPTIONAL_PEERS }
  for (const name of ['classic-level', 'lmdb']) {
    const manifest = requireHere(`../../node_modules/${name}/package.json`) as { version: string }
    versions[name] = manifest.version
  }
  const flink = /<flink\.version>([^<]+)</.exec(readFileSync(FLINK_POM, 'utf8'))?.[1]
  if (flink !== undefined) versions['Flink'] = flink
  const java = output('java', ['--version'])?.split('\n')[0]
  if (java !== undefined) versions['Java'] = java
  return versions
}

function operatingSystem(): string {
  try {
    const text = readFileSync('/etc/os-release', 'utf8')
    return /^PRETTY_NAME="?([^"\n]+)/m.exec(text)?.[1] ?? version()
  } catch {
    return version()
  }
}

/** What a command prints; `undefined` where it is not there or fails. */
function output(command: string, parameters: readonly string[]): string | undefined {
  const { stdout, status } = spawnSync(command, parameters, { cwd: ROOT, encoding: 'utf8' })
  return status === 0 ? stdout.trim() : undefined
}
