/**
 * Lint: type-aware correctness, the borders between the folders of src, and no ambient time, chance or world in src.
 *
 * B1 A folder of src imports `errors.ts`, `common` and the folders listed for it in `mayImport`; host and cli
 *    alone import anything of src.
 * B2 Only src/store/leveldb-store.ts imports classic-level, so that the rules that keep LevelDB honest have one home.
 * B3 src imports neither test nor bench.
 * B4 src is handed its time, timers, chance and environment; src/common/clock.ts and random.ts hold the real ones.
 *    Unique names (`randomUUID`) are not chance: nothing is decided by their value.
 * B5 Only src/storage/s3 imports the SDK of S3, an optional dependency; src/s3.ts leads there, and src/cli/open-s3.ts when
 *    it is asked to.
 *
 * An override replaces the options of a rule as a whole: a file's last matching border states all its restrictions.
 * Run through tsx (`npm run lint`), since oxlint itself reads a TypeScript configuration only from Node 22.18.
 */
import { defineConfig, type OxlintOverride } from 'oxlint'

const mayImport: Record<string, readonly string[]> = {
  common: [],
  record: [],
  table: [],
  storage: [],
  state: ['record', 'table', 'store'],
  store: ['record', 'table'],
  checkpoint: ['record', 'table', 'state', 'store', 'storage'],
  restore: ['record', 'table', 'state', 'store', 'storage', 'checkpoint'],
}

const levelDBStore = 'src/store/leveldb-store.ts'
const ambientFiles = ['src/common/clock.ts', 'src/common/random.ts']
const clockRemedy = 'B4: take a Clock as a parameter; src/common/clock.ts holds the real one.'
const randomRemedy = 'B4: take a Random as a parameter; src/common/random.ts holds the real one.'
const environmentRemedy = 'B4: take it as an option; the library does not read its environment.'

type Pattern = { group: string[]; importNames?: string[]; message: string }

const outsideSrc: Pattern = { group: ['../**'], message: 'B3: src imports nothing outside src.' }
const classicLevel: Pattern = {
  group: ['classic-level'],
  message: `B2: only ${levelDBStore} imports classic-level; use the KeyValueStore contract.`,
}
const s3: Pattern = {
  group: ['@aws-sdk/**', '**/s3/**'],
  message:
    'B5: only src/s3.ts leads to src/storage/s3, which needs a package that may not be installed.',
}
const ambientModules: Pattern[] = [
  {
    group: ['timers', 'timers/promises', 'node:timers', 'node:timers/promises'],
    message: clockRemedy,
  },
  { group: ['perf_hooks', 'node:perf_hooks'], importNames: ['performance'], message: clockRemedy },
  { group: ['process', 'node:process'], message: environmentRemedy },
]

function outsideFolder(folder: string): Pattern {
  const allowed = ['common', ...(mayImport[folder] ?? [])]
  return {
    group: ['../**', '!../errors.js', ...allowed.map((name) => `!../${name}/**`), '../../**'],
    message: `B1, B3: ${folder} imports only errors.ts, ${allowed.join(', ')}.`,
  }
}

function border(files: string[], patterns: Pattern[]): OxlintOverride {
  return { files, rules: { 'no-restricted-imports': ['error', { patterns }] } }
}

const borders = [
  border(['src/*.ts'], [outsideSrc, classicLevel, s3, ...ambientModules]),
  ...Object.keys(mayImport).map((folder) =>
    border([`src/${folder}/**`], [outsideFolder(folder), classicLevel, s3, ...ambientModules]),
  ),
  border(
    ['src/host/**', 'src/cli/**'],
    [{ ...outsideSrc, group: ['../../**'] }, classicLevel, s3, ...ambientModules],
  ),
  border(['src/s3.ts'], [outsideSrc, classicLevel, ...ambientModules]),
  border(['src/cli/open-s3.ts'], [classicLevel, ...ambientModules]),
  border(
    ['src/storage/s3/**'],
    [
      {
        group: ['../../**', '!../../errors.js', '!../../common/**', '../../../**'],
        message: 'B1, B3: storage imports only errors.ts, common.',
      },
      classicLevel,
      ...ambientModules,
    ],
  ),
  border([levelDBStore], [outsideFolder('store'), ...ambientModules]),
  border(ambientFiles, [outsideFolder('common'), classicLevel]),
]

export default defineConfig({
  plugins: ['eslint', 'typescript', 'unicorn', 'oxc', 'import', 'promise', 'node', 'vitest'],
  // Without it the restricted globals below are not known as globals, and silently go unchecked.
  env: { node: true, es2023: true },
  options: { typeAware: true, denyWarnings: true, reportUnusedDisableDirectives: 'error' },
  ignorePatterns: ['dist', 'temp', 'coverage'],
  categories: { correctness: 'error', suspicious: 'error' },
  rules: {
    eqeqeq: 'error',
    // Sorting or reversing one's own array in place is what a hot path wants.
    'unicorn/no-array-reverse': 'off',
    'unicorn/no-array-sort': 'off',
    // A helper reads best beside its only user.
    'unicorn/consistent-function-scoping': 'off',
    // Blind to a condition that a callback or a generator changes.
    'no-unmodified-loop-condition': 'off',
    // `new Handle({ ...this, changed })` is how an immutable object says what it changes.
    'typescript/no-misused-spread': 'off',
    'no-warning-comments': 'error',
    'import/no-cycle': 'error',
    // fast-check is written `fc.assert(fc.property(...))`.
    'import/no-named-as-default-member': 'off',
    'typescript/ban-ts-comment': 'error',
    'typescript/consistent-type-imports': 'error',
    'typescript/no-explicit-any': 'error',
    'typescript/no-floating-promises': 'error',
    'typescript/no-misused-promises': 'error',
    'typescript/no-non-null-assertion': 'error',
    'typescript/no-unsafe-argument': 'error',
    'typescript/no-unsafe-assignment': 'error',
    'typescript/no-unsafe-call': 'error',
    'typescript/no-unsafe-member-access': 'error',
    'typescript/no-unsafe-return': 'error',
    // Decoding bytes and narrowing branded numbers end in an assertion; what is unsafe about them is tested.
    'typescript/no-unsafe-type-assertion': 'off',
    'typescript/only-throw-error': 'error',
    // `return promise` inside a try or after a `using` lets the catch or the disposal run too early.
    'typescript/return-await': ['error', 'error-handling-correctness-only'],
    'typescript/switch-exhaustiveness-check': [
      'error',
      { considerDefaultExhaustiveForUnions: true },
    ],
  },
  overrides: [
    ...borders,
    {
      files: ['src/**'],
      excludeFiles: ambientFiles,
      rules: {
        'no-console': 'error',
        'no-restricted-globals': [
          'error',
          {
            checkGlobalObject: true,
            globals: [
              { name: 'Date', message: clockRemedy },
              { name: 'performance', message: clockRemedy },
              { name: 'setTimeout', message: clockRemedy },
              { name: 'setInterval', message: clockRemedy },
            ],
          },
        ],
        'no-restricted-properties': [
          'error',
          { object: 'Math', property: 'random', message: randomRemedy },
          { object: 'AbortSignal', property: 'timeout', message: clockRemedy },
          { object: 'process', property: 'env', message: environmentRemedy },
          { object: 'process', property: 'hrtime', message: clockRemedy },
        ],
      },
    },
    {
      files: ['test/**'],
      rules: {
        'vitest/expect-expect': [
          'error',
          { assertFunctionNames: ['expect*', 'fc.assert', '*.expect*'] },
        ],
        // Models and harnesses hold what several tests expect.
        'vitest/no-standalone-expect': 'off',
        // vi.mock is typed by import('...').
        'typescript/consistent-type-imports': ['error', { disallowTypeAnnotations: false }],
        // expect(value, 'what it means') is vitest's own.
        'vitest/valid-expect': ['error', { maxArgs: 2, alwaysAwait: false }],
        // A property test has its cases inside.
        'vitest/no-conditional-expect': 'off',
        'vitest/no-disabled-tests': 'error',
        'vitest/no-focused-tests': 'error',
        'vitest/no-identical-title': 'error',
        // expect.any(), expect.objectContaining() and JSON.parse() are typed any.
        'typescript/no-unsafe-argument': 'off',
        'typescript/no-unsafe-assignment': 'off',
        'typescript/no-unsafe-member-access': 'off',
        'typescript/no-unsafe-return': 'off',
        'typescript/unbound-method': 'off',
      },
    },
  ],
})
