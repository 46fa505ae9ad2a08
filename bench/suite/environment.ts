/** Where and with what a run measures. It names no host and no path: two runs on machines of one kind may be compared. */
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, statfsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { cpus, loadavg, release, tmpdir, totalmem, type, version } from 'node:os'
import { fileURLToPath } from 'node:url'

export interface Machine {
  /** The model, as the system tells it. */
  readonly cpu: string
  readonly cores: number
  readonly memoryBytes: number
  readonly os: string
  readonly kernel: string
  readonly node: string
  /** Of the temporary directory, in which everything is measured. */
  readonly filesystem: string
}

export interface Versions {
  readonly package: string
  /** Without one when the files are not in a Git checkout. */
  readonly commit?: string
  /** Whether files differ from the commit. */
  readonly changed?: boolean
  /** Of those that were measured, or were to be. */
  readonly contenders: Readonly<Record<string, string>>
}

/** Processes that want to run, on average over a minute: before a part, and at its end, where it counts in itself. */
export interface Load {
  readonly start: number
  readonly end: number
}

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const FLINK_POM = new URL('../peers/flink/pom.xml', import.meta.url)
const FLINK_BUILT = new URL('../../temp/flink-peer/classpath.txt', import.meta.url)
const NOT_INSTALLED = 'not installed'

interface Product {
  readonly name: string
  /** With what the names of the contenders begin that it makes up. */
  readonly contenders: readonly string[]
  readonly version: () => string | undefined
}

const PRODUCTS: readonly Product[] = [
  {
    name: 'classic-level',
    // Ours stands on it.
    contenders: [''],
    version: () => versionIn('../../node_modules/classic-level'),
  },
  {
    name: 'lmdb',
    contenders: ['lmdb'],
    version: () => versionIn('../../node_modules/lmdb'),
  },
  ...['better-sqlite3', 'rocksdb-native'].map((name) => ({
    name,
    contenders: [name],
    version: () => versionIn(`../../temp/peers/${name}/node_modules/${name}`),
  })),
  { name: 'Flink', contenders: ['Flink'], version: flinkVersion },
  {
    name: 'Java',
    contenders: ['Flink'],
    version: () => output('java', ['--version'])?.split('\n')[0],
  },
]

/** As `statfs` tells them, of those that are met. */
const FILESYSTEMS: Readonly<Record<number, string>> = {
  0xef53: 'ext2, ext3 or ext4',
  0x58465342: 'xfs',
  0x9123683e: 'btrfs',
  0x2fc12fc1: 'zfs',
  0x01021994: 'tmpfs',
  0x794c7630: 'overlayfs',
  0x6969: 'nfs',
  0x65735546: 'fuse',
}

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
    filesystem: filesystemOf(tmpdir()),
  }
}

function filesystemOf(directory: string): string {
  const { type: id } = statfsSync(directory)
  return FILESYSTEMS[id] ?? `type 0x${id.toString(16)}`
}

export function loadNow(): number {
  return Number((loadavg()[0] ?? 0).toFixed(2))
}

/** `contenders` are the names of those that were measured, or were to be. */
export function theseVersions(contenders: readonly string[]): Versions {
  const commit = output('git', ['rev-parse', 'HEAD'])
  const status = output('git', ['status', '--porcelain'])
  const { version: own } = requireHere('../../package.json') as { version: string }
  return {
    package: own,
    ...(commit === undefined ? {} : { commit, changed: status !== '' }),
    contenders: contenderVersions(contenders),
  }
}

/** For a name of a directory: letters, digits and single dashes. */
export function machineSlug({ cpu, cores }: Machine): string {
  const words = cpu.replaceAll(/\((r|tm)\)|@.*$|\bcpu\b/gi, ' ').toLowerCase()
  const slug = words.replaceAll(/[^a-z0-9]+/g, '-').replaceAll(/^-|-$/g, '')
  return `${slug === '' ? 'unknown' : slug}-${cores}-cores`
}

/** `contenders` are the names of those that were measured, or were to be. */
export function contenderVersions(contenders: readonly string[]): Record<string, string> {
  const met = PRODUCTS.filter((product) =>
    contenders.some((name) => product.contenders.some((start) => name.startsWith(start))),
  )
  return Object.fromEntries(met.map(({ name, version: of }) => [name, of() ?? NOT_INSTALLED]))
}

/** Of a package in a directory, by its manifest. */
function versionIn(directory: string): string | undefined {
  try {
    const { version: found } = requireHere(`${directory}/package.json`) as { version: string }
    return found
  } catch {
    return undefined
  }
}

function flinkVersion(): string | undefined {
  if (!existsSync(FLINK_BUILT)) return undefined
  return /<flink\.version>([^<]+)</.exec(readFileSync(FLINK_POM, 'utf8'))?.[1]
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
