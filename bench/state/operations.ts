/**
 * The bodies of Flink's state benchmarks, in the order in which they are run on one state: what reads first, what shrinks the state
 * last. The same list, in the same order, is in ../peers/flink/src/main/java/peer/Operations.java.
 */
import { isPromise, mapAnswer, type Answer, type Contender } from './contender.js'
import { MAP_KEY_COUNT, nextLong, type Inputs } from './inputs.js'

export type Group = 'value' | 'list' | 'map'

/** Does operation `i` of a round; a number that depends on what was read. */
export type Body = (
  contender: Contender,
  inputs: Inputs,
  round: number,
  i: number,
) => Answer<number | undefined | void>

export interface Operation {
  readonly name: string
  /** A point operation is on one value or one entry of a map: those are held to a bar of their own. */
  readonly kind: 'point' | 'list' | 'bulk' | 'scan'
  /** What one call counts as: a scan counts its elements, as Flink's do. */
  readonly elements: number
  /** Whether going over the keys again in the same round is the same work. */
  readonly repeatable: boolean
  /** Whether it changes nothing, so that what it returns can be compared between contenders. */
  readonly readOnly: boolean
  readonly body: Body
  /** Sets the state up for one round, off the clock. */
  readonly before?: Body
}

export const GROUPS: readonly Group[] = ['value', 'list', 'map']

const read = { repeatable: true, readOnly: true, elements: 1 } as const
const rewrite = { repeatable: true, readOnly: false, elements: 1 } as const
const once = { repeatable: false, readOnly: false, elements: 1 } as const
const scan = { ...read, kind: 'scan', elements: MAP_KEY_COUNT } as const

const listUpdate: Body = ({ list }, inputs, round, i) =>
  list.update(inputs.setUpKey(i), [inputs.value(round, i)])

export const OPERATIONS: Readonly<Record<Group, readonly Operation[]>> = {
  value: [
    {
      name: 'valueGet',
      kind: 'point',
      ...read,
      body: ({ value }, inputs, _, i) => value.get(inputs.setUpKey(i)),
    },
    {
      name: 'valueUpdate',
      kind: 'point',
      ...rewrite,
      body: ({ value }, inputs, round, i) =>
        value.update(inputs.setUpKey(i), inputs.value(round, i)),
    },
    {
      name: 'valueAdd',
      kind: 'point',
      ...once,
      body: ({ value }, inputs, round, i) =>
        value.update(inputs.newKey(round, i), inputs.value(round, i)),
    },
  ],
  list: [
    {
      name: 'listGet',
      kind: 'list',
      ...read,
      body: ({ list }, inputs, _, i) => mapAnswer(list.get(inputs.setUpKey(i)), lengthOf),
    },
    {
      name: 'listGetAndIterate',
      kind: 'list',
      ...read,
      body: ({ list }, inputs, _, i) => mapAnswer(list.get(inputs.setUpKey(i)), sumOf),
    },
    { name: 'listUpdate', kind: 'list', ...rewrite, body: listUpdate },
    {
      name: 'listAdd',
      kind: 'list',
      ...once,
      body: ({ list }, inputs, round, i) =>
        list.update(inputs.newKey(round, i), [inputs.value(round, i)]),
    },
    {
      name: 'listAppend',
      kind: 'list',
      ...once,
      before: listUpdate,
      body: ({ list }, inputs, round, i) => list.add(inputs.setUpKey(i), inputs.value(round, i)),
    },
    {
      name: 'listAddAll',
      kind: 'list',
      ...once,
      before: listUpdate,
      body: ({ list }, inputs, _, i) => list.addAll(inputs.setUpKey(i), inputs.dummyList),
    },
  ],
  map: [
    {
      name: 'mapGet',
      kind: 'point',
      ...read,
      body: ({ map }, inputs, round, i) => map.get(inputs.setUpKey(i), inputs.mapKey(round, i)),
    },
    {
      name: 'mapContains',
      kind: 'point',
      ...read,
      body: ({ map }, inputs, round, i) =>
        mapAnswer(map.contains(inputs.setUpKey(i), inputs.mapKey(round, i) << 1), Number),
    },
    {
      name: 'mapIsEmpty',
      kind: 'scan',
      ...read,
      body: ({ map }, inputs, _, i) => mapAnswer(map.isEmpty(inputs.setUpKey(i)), Number),
    },
    { name: 'mapKeys', ...scan, body: ({ map }, inputs, _, i) => map.sumKeys(inputs.setUpKey(i)) },
    {
      name: 'mapValues',
      ...scan,
      body: ({ map }, inputs, _, i) => map.sumValues(inputs.setUpKey(i)),
    },
    {
      name: 'mapEntries',
      ...scan,
      body: ({ map }, inputs, _, i) => map.sumEntries(inputs.setUpKey(i)),
    },
    {
      name: 'mapIterator',
      ...scan,
      body: ({ map }, inputs, _, i) => map.sumEntries(inputs.setUpKey(i)),
    },
    {
      name: 'mapUpdate',
      kind: 'point',
      ...rewrite,
      body: ({ map }, inputs, round, i) =>
        map.put(inputs.setUpKey(i), inputs.mapKey(round, i), inputs.mapValue(i)),
    },
    {
      name: 'mapPutAll',
      kind: 'bulk',
      ...rewrite,
      body: ({ map }, inputs, _, i) => map.putAll(inputs.setUpKey(i), inputs.dummyMap),
    },
    {
      name: 'mapAdd',
      kind: 'point',
      ...once,
      body: ({ map }, inputs, round, i) =>
        map.put(inputs.newKey(round, i), inputs.mapKey(round, i), inputs.mapValue(i)),
    },
    {
      name: 'mapRemove',
      kind: 'point',
      ...once,
      body: ({ map }, inputs, round, i) => map.remove(inputs.setUpKey(i), inputs.mapKey(round, i)),
    },
  ],
}

/** Whether each round leaves another state than it found, for the rounds and operations after it. */
export function isCumulative({ repeatable, before }: Operation): boolean {
  return !repeatable && before === undefined
}

/** Gives every set-up key its first contents. */
export async function setUp(group: Group, contender: Contender, inputs: Inputs): Promise<void> {
  const { random, mapKeys } = inputs
  for (let key = 0; key < inputs.keyCount; key++) {
    if (group === 'value') await settled(contender.value.update(key, nextLong(random)))
    else if (group === 'list') await settled(contender.list.add(key, nextLong(random)))
    else for (const mapKey of mapKeys) await settled(contender.map.put(key, mapKey, random.next()))
    if (key % SETTLE_OPERATIONS === SETTLE_OPERATIONS - 1) await contender.settle()
  }
  await contender.settle()
}

/** Operations between two calls of `settle`. */
export const SETTLE_OPERATIONS = 2000

function settled(answer: Answer<void>): Promise<void> | undefined {
  return isPromise(answer) ? answer : undefined
}

function lengthOf(values: readonly number[]): number {
  return values.length
}

function sumOf(values: readonly number[]): number {
  let sum = 0
  for (const value of values) sum += value
  return sum
}
