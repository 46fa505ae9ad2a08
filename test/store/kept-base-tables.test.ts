import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { KeptBaseTables } from '../../src/store/kept-base-tables.js'
import { temporaryDirectory } from '../support/state-task.js'

interface Fixture {
  readonly directory: string
  readonly kept: KeptBaseTables
  readonly tables: (...numbers: number[]) => { identity: string; path: string }[]
  readonly identities: (...numbers: number[]) => Set<string>
  /** Contents of what is kept. */
  readonly files: () => string[]
}

describe('KeptBaseTables', () => {
  function fixture(): Fixture {
    const directory = temporaryDirectory()
    mkdirSync(join(directory, 'db'))
    const kept = new KeptBaseTables(join(directory, 'base'))
    const tables = (...numbers: number[]) =>
      numbers.map((number) => {
        const path = join(directory, 'db', `${number}.ldb`)
        writeFileSync(path, `table ${number}`)
        return { identity: `incarnation/${number}`, path }
      })
    const identities = (...numbers: number[]) =>
      new Set(numbers.map((number) => `incarnation/${number}`))
    const files = (): string[] =>
      readdirSync(join(directory, 'base'))
        .map((name) => readFileSync(join(directory, 'base', name), 'utf8'))
        .toSorted()
    return { directory, kept, tables, identities, files }
  }

  it('B1: keeps what it was told to retain, and what was added since', async () => {
    const { directory, kept, tables, identities, files } = fixture()
    await kept.add(tables(1, 2, 3))
    rmSync(join(directory, 'db'), { recursive: true })
    await kept.retain(identities(1, 2, 3))
    expect(files()).toEqual(['table 1', 'table 2', 'table 3'])
    mkdirSync(join(directory, 'db'))
    await kept.add(tables(2, 4))
    await kept.add(tables(4, 5))
    expect(files()).toEqual(['table 1', 'table 2', 'table 3', 'table 4', 'table 5'])
    await kept.retain(identities(2, 4))
    expect(files()).toEqual(['table 2', 'table 4'])
    await kept.add(tables(5))
    expect(files()).toEqual(['table 2', 'table 4', 'table 5'])
    await kept.retain(identities())
    expect(files()).toEqual([])
  })

  it('B2: does without a table that is gone before its turn', async () => {
    const { kept, tables, identities, files } = fixture()
    const [gone, ...others] = tables(1, 2)
    if (gone === undefined) throw new Error('there are two')
    rmSync(gone.path)
    void kept.add([gone, ...others])
    void kept.retain(identities(1, 2))
    await kept.idle()
    expect(files()).toEqual(['table 2'])
  })
})
