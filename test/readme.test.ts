/**
 * The documents hold: the README's code runs and prints what stands below it, links and named tests exist, and every table that
 * repeats the code (errors, limits, dependencies, bytes) agrees with it.
 *
 * A document marks what is checked with a comment above it: `<!-- run -->` above TypeScript, its output in the text block that
 * follows; `<!-- check: name -->` above a table or a block.
 */
import { execFile } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, it, onTestFinished } from 'vitest'
import { encodeCheckpointMetadata } from '../src/checkpoint/checkpoint-metadata.js'
import { ByteWriter } from '../src/common/bytes.js'
import {
  anyKey,
  bigintKey,
  booleanKey,
  bytesKey,
  CheckpointOptions,
  CheckpointStorage,
  DirectoryObjectStore,
  KeyGroupRange,
  LevelDBStateBackend,
  listState,
  mapState,
  MsgpackSerializer,
  numberKey,
  reducingState,
  stringKey,
  tupleKey,
  valueState,
  type CheckpointableKeyedStateBackend,
  type KeySerializer,
} from '../src/index.js'
import { ValueType } from '../src/table/internal-key.js'
import { TableReader } from '../src/table/table-reader.js'

const execute = promisify(execFile)
const root = fileURLToPath(new URL('..', import.meta.url))
const textOf = (name: string): string => readFileSync(join(root, name), 'utf8')
const documents = ['README.md', 'ARCHITECTURE.md', 'FORMAT.md', 'CHANGELOG.md']
const readme = textOf('README.md')
const format = textOf('FORMAT.md')
const architecture = textOf('ARCHITECTURE.md')

async function temporaryDirectory(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'level-state-backend-readme-'))
  onTestFinished(() => rm(path, { recursive: true, force: true }))
  return path
}

function sectionOf(document: string, heading: string): string {
  const start = document.indexOf(`\n## ${heading}\n`)
  expect(start, `a section "${heading}"`).toBeGreaterThan(-1)
  const end = document.indexOf('\n## ', start + 1)
  return document.slice(start, end === -1 ? undefined : end)
}

/** The cells of a table's rows, without its heading. */
function rowsOf(text: string): string[][] {
  const lines = text.slice(Math.max(text.indexOf('| -'), 0)).split('\n')
  const rows = lines.slice(
    1,
    lines.findIndex((line) => !line.startsWith('|')),
  )
  return rows.map((row) => row.split('|').slice(1, -1)).map((cells) => cells.map(plain))
}

function plain(cell: string): string {
  const text = cell.trim()
  return /^`[^`]*`$/.test(text) ? text.slice(1, -1) : text
}

/** What stands below `<!-- check: name -->`. */
function checked(document: string, name: string): string {
  const mark = `<!-- check: ${name} -->\n`
  expect(document, `a mark for ${name}`).toContain(mark)
  return document.slice(document.indexOf(mark) + mark.length)
}

/** The lines of the first fenced block. */
function blockOf(text: string): string[] {
  const [, block] = /^\s*```[a-z]*\n([^]*?)\n```/.exec(text) ?? []
  expect(block, 'a block below the mark').toBeDefined()
  return (block ?? '').split('\n')
}

const hex = (bytes: Uint8Array): string =>
  Buffer.from(bytes)
    .toString('hex')
    .replace(/(..)(?=.)/g, '$1 ')

/** Bytes in hexadecimal with comments after `#`. */
const withoutComments = (lines: readonly string[]): string =>
  lines
    .map((line) => line.replace(/#.*/, '').trim())
    .join(' ')
    .replace(/ +/g, ' ')
    .trim()

describe('README.md', () => {
  const runnable = [
    ...readme.matchAll(/<!-- run -->\s+```ts\n([^]*?)```\s+```text\n([^]*?)```/g),
  ].map(([, code = '', output = '']) => ({ code, output }))

  it('has code to run, as many blocks as marks', () => {
    expect(runnable.length).toBe(readme.split('<!-- run -->').length - 1)
    expect(runnable.length).toBeGreaterThan(0)
  })

  it.each(runnable)(
    'its code block %# runs, is well typed, and prints what the README says',
    async ({ code, output }) => {
      const directory = await temporaryDirectory()
      const entry = join(root, 'src/index.ts')
      const tsconfig = {
        extends: join(root, 'tsconfig.json'),
        compilerOptions: {
          paths: { 'level-state-backend': [entry] },
          typeRoots: [join(root, 'node_modules/@types')],
        },
        include: ['example.mts'],
      }
      await writeFile(join(directory, 'tsconfig.json'), JSON.stringify(tsconfig))
      await writeFile(join(directory, 'example.mts'), code)

      const require = createRequire(import.meta.url)
      const tsc = join(dirname(require.resolve('typescript/package.json')), 'bin/tsc')
      const types = await execute(process.execPath, [tsc, '-p', directory]).catch(
        (error: { stdout: string }) => error,
      )
      // Errors in src are for `npm run types`.
      const errors = types.stdout.split('\n').filter((line) => /^(?!\S*src\/).*error TS/.test(line))
      expect(errors).toEqual([])

      const tsx = pathToFileURL(require.resolve('tsx')).href
      const { stdout } = await execute(process.execPath, ['--import', tsx, 'example.mts'], {
        cwd: directory,
        env: { ...process.env, TSX_TSCONFIG_PATH: join(directory, 'tsconfig.json'), NO_COLOR: '1' },
      })
      expect(stdout).toBe(output)
    },
  )

  it('every line of what you can rely on names tests that exist, by the beginning of their titles', () => {
    const bullets = sectionOf(readme, 'What you can rely on').split(/\n- /).slice(1)
    expect(bullets.length).toBeGreaterThan(5)
    for (const bullet of bullets) {
      const links = [...bullet.matchAll(/\[([^\]]+)\]\((test\/[^)]+)\)/g)]
      expect(links, bullet).not.toEqual([])
      for (const [, title = '', path = ''] of links) {
        const titles = [
          ...textOf(path).matchAll(
            /\b(?:it|describe)(?:\.each\((?:[^\n]*|[^()]*)\))?\(\s*(['"`])(.*?)\1/g,
          ),
        ]
        expect(
          titles.map(([, , found = '']) => found).filter((found) => found.startsWith(title)),
          `${path} has a test whose title starts with "${title}"`,
        ).not.toEqual([])
      }
    }
  })

  it('the table of errors has every code with its kind, and no other', () => {
    const codes = [...textOf('src/errors.ts').matchAll(/^ {2}([A-Z_]+): '([a-z]+)',$/gm)]
    expect(codes.length).toBeGreaterThan(20)
    const rows = rowsOf(sectionOf(readme, 'Errors'))
    expect(rows.map(([code, kind]) => [code, kind])).toEqual(
      codes.map(([, code, kind]) => [code, kind]),
    )
  })
})

describe('links', () => {
  it.each(documents)('%s: every relative link leads to a file, and to a heading in it', (name) => {
    const text = textOf(name).replace(/```[^]*?```/g, '')
    for (const [link, path = '', anchor] of text.matchAll(
      /\]\((?!https?:)([^)#\s]*)(?:#([^)]*))?\)/g,
    )) {
      const target = path === '' ? name : path
      expect(existsSync(join(root, target)), `${name}: ${link}`).toBe(true)
      if (anchor === undefined) continue
      const anchors = [...textOf(target).matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
        heading
          .toLowerCase()
          .replace(/[^\p{L}\p{N} _-]/gu, '')
          .replaceAll(' ', '-'),
      )
      expect(anchors, `${name}: ${link}`).toContain(anchor)
    }
  })
})

describe('ARCHITECTURE.md', () => {
  it('names every limit with the value it has in the code', () => {
    const rows = rowsOf(checked(architecture, 'limits'))
    expect(rows.length).toBeGreaterThan(40)
    for (const [name = '', value = ''] of rows) {
      const [, constant = '', path = ''] = /^\[`(\w+)`\]\((.*)\)$/.exec(name) ?? []
      const [, found] =
        new RegExp(`\\bconst ${constant}(?:: number)? = (.*)`).exec(textOf(path)) ?? []
      expect(found, `${constant} in ${path}`).toBe(value)
    }
  })

  it('justifies every dependency, and none that is not there', () => {
    const { dependencies, devDependencies } = JSON.parse(textOf('package.json'))
    const rows = rowsOf(sectionOf(architecture, 'Dependencies'))
    const named = rows.map(([name]) => name)
    expect(new Set(named).size).toBe(named.length)
    expect(new Set(named)).toEqual(
      new Set([...Object.keys(dependencies), ...Object.keys(devDependencies)]),
    )
  })

  it('names source files that exist', () => {
    const files = sectionOf(architecture, 'Files').matchAll(/^ {2}(\S+\.ts) /gm)
    const names = [...files].map(([, name = '']) => name)
    expect(names.length).toBeGreaterThan(5)
    for (const name of names) expect(existsSync(join(root, 'src', name)), name).toBe(true)
  })
})

describe('FORMAT.md', () => {
  const encoders = new Map<string, (key: unknown) => string>(
    [
      encoderOf(stringKey),
      encoderOf(bytesKey),
      encoderOf(numberKey),
      encoderOf(bigintKey),
      encoderOf(booleanKey),
      encoderOf(tupleKey(stringKey, numberKey)),
      encoderOf(anyKey),
    ].map(({ typeName, encode }) => [typeName, encode]),
  )

  it('encodes keys as its examples say', () => {
    const rows = rowsOf(checked(format, 'keys'))
    expect(new Set(rows.map(([type]) => type))).toEqual(new Set(encoders.keys()))
    for (const [type = '', key = '', bytes] of rows) {
      expect(encoders.get(type)?.(keyOf(type, key)), `${type} ${key}`).toBe(bytes)
    }
  })

  const values: Record<string, unknown> = {
    '300': 300,
    '-0': -0,
    '5n': 5n,
    "'hi'": 'hi',
    "{ a: 1, b: 'x' }": { a: 1, b: 'x' },
    '[{ a: 1 }, { a: 2 }]': [{ a: 1 }, { a: 2 }],
    "new Map([['a', 1]])": new Map([['a', 1]]),
    'new Set([1])': new Set([1]),
    '{ a: 0, b: -0 }': { a: 0, b: -0 },
  }

  it('encodes values as its examples say', () => {
    const rows = rowsOf(checked(format, 'values'))
    expect(new Set(rows.map(([value]) => value))).toEqual(new Set(Object.keys(values)))
    const serializer = new MsgpackSerializer<unknown>()
    for (const [value = '', bytes] of rows) {
      expect(hex(serializer.serialize(values[value])), value).toBe(bytes)
    }
  })

  it('writes tables and meta information as its examples say', async () => {
    const example = await Example.create()
    const { backend } = example
    backend.setCurrentKey('JFK-LAX')
    backend.getState(valueState<number>('total')).update(300)
    const byDay = backend.getState(mapState<number, number | null>('by-day'))
    byDay.put(2, 7)
    byDay.put(1, null)
    backend.getState(listState<string>('last')).addAll(['a', 'bc'])
    backend.getState(reducingState<number>('worst', Math.max)).clear()
    const first = await example.checkpoint(1)
    expect(first.entries).toEqual(blockOf(checked(format, 'entries')).map(trimmed))
    expect(hex(first.table)).toBe(withoutComments(blockOf(checked(format, 'table'))))
    expect(first.meta).toEqual(JSON.parse(blockOf(checked(format, 'meta')).join('\n')))

    const numbers = backend.getState(listState<number>('numbers'))
    numbers.update(Array.from({ length: 130 }, (_, index) => index))
    const counts = backend.getState(mapState<string, number | null>('counts'))
    for (let index = 0; index < 129; index++) counts.put(String(index), index)
    const spilled = blockOf(checked(format, 'spilled')).map(trimmed)
    expect((await example.checkpoint(2)).entries.slice(0, spilled.length)).toEqual(spilled)

    numbers.clear()
    counts.remove('1')
    counts.put('2', null)
    const swept = blockOf(checked(format, 'swept')).map(trimmed)
    expect((await example.checkpoint(3)).entries).toEqual(swept)
  })

  it('writes _metadata as its example says', () => {
    const bytes = encodeCheckpointMetadata({
      checkpointId: 7,
      snapshotType: 'checkpoint',
      epoch: 1,
      timestampMs: 0,
      jobId: 'flights',
      operators: [],
      hostData: null,
    })
    expect(hex(bytes)).toBe(withoutComments(blockOf(checked(format, 'metadata'))))
  })
})

function encoderOf<K>(serializer: KeySerializer<K>): {
  typeName: string
  encode: (key: unknown) => string
} {
  const encode = (key: unknown): string => {
    const out = new ByteWriter()
    serializer.write(serializer.identityOf(key as K), out)
    return hex(out.view())
  }
  return { typeName: serializer.typeName, encode }
}

/** A key in JSON: bytes as an array, a bigint as its digits. */
function keyOf(type: string, json: string): unknown {
  const key: unknown = JSON.parse(json)
  if (type === 'bigint') return BigInt(String(key))
  return type === 'bytes' ? Uint8Array.from(key as number[]) : key
}

const trimmed = (line: string): string => line.replace(/ +/g, ' ').trim()

/** A backend whose snapshots are looked into. */
class Example {
  readonly backend: CheckpointableKeyedStateBackend<string>
  readonly #storage: CheckpointStorage
  readonly #directory: string

  private constructor(
    backend: CheckpointableKeyedStateBackend<string>,
    storage: CheckpointStorage,
    directory: string,
  ) {
    this.backend = backend
    this.#storage = storage
    this.#directory = directory
  }

  static async create(): Promise<Example> {
    const directory = await temporaryDirectory()
    const store = new DirectoryObjectStore(join(directory, 'checkpoints'))
    const storage = new CheckpointStorage(store, { jobId: 'flights' })
    const stateBackend = new LevelDBStateBackend({ directory: join(directory, 'work') })
    const backend = await stateBackend.createKeyedStateBackend({
      operatorId: 'routes',
      keySerializer: stringKey,
      maxParallelism: 128,
      keyGroupRange: KeyGroupRange.of(0, 127),
    })
    onTestFinished(() => backend.close())
    return new Example(backend, storage, directory)
  }

  /** Of the newest table: its bytes, and its entries as FORMAT.md writes them. */
  async checkpoint(id: number): Promise<{ entries: string[]; table: Buffer; meta: unknown }> {
    const { jobManagerOwnedSnapshot: handle } = await this.backend.snapshot(
      id,
      0,
      this.#storage.streamFactory(id),
      CheckpointOptions.checkpoint(),
    )
    this.backend.notifyCheckpointComplete(id)
    const newest = handle?.sharedState.at(-1)
    if (handle === undefined || newest === undefined) throw new Error('a snapshot without a table')
    const path = join(this.#directory, `${id}.ldb`)
    await this.#storage.download(newest.state, path)
    const reader = TableReader.open(path)
    const entries = [...reader.entries()].map(({ sequence, type, userKey, value }) =>
      trimmed(
        `${sequence} ${type === ValueType.Value ? 'value' : 'deletion'} ${hex(userKey)} = ${hex(value)}`,
      ),
    )
    reader.close()
    const meta: unknown = JSON.parse((await this.#storage.readBytes(handle.metaState)).toString())
    return { entries, table: await this.#storage.readBytes(newest.state), meta }
  }
}
