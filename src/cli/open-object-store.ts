/** The object store that an argument of the command line names. */
import { stat } from 'node:fs/promises'
import { errnoOf } from '../common/node-errors.js'
import { DirectoryObjectStore } from '../storage/directory-object-store.js'
import type { ObjectStore } from '../storage/object-store.js'
import { isS3Location, openS3 } from './open-s3.js'
import { UsageError } from './usage-error.js'

/**
 * `location` is a directory, relative or absolute, or `s3://bucket/prefix`, whose endpoint is `s3Endpoint` or what the SDK finds in the
 * environment, as region and credentials. Nothing is made: a directory that is not there is a `UsageError`, since a misspelt path would
 * look like a storage without checkpoints.
 */
export async function openObjectStore(location: string, s3Endpoint?: string): Promise<ObjectStore> {
  if (isS3Location(location)) {
    return openS3(location, { endpoint: s3Endpoint, createOnly: 'unproven' })
  }
  if (s3Endpoint !== undefined) {
    throw new UsageError('--s3-endpoint goes with a storage s3://bucket/prefix.')
  }
  const scheme = /^([a-z][a-z0-9+.-]+):\/\//i.exec(location)?.[1]
  if (scheme !== undefined) {
    throw new UsageError(
      `${scheme}:// is no storage that this command opens. Name a directory or s3://bucket/prefix, or use findOrphans and verifyCheckpoint in a program.`,
    )
  }
  try {
    if ((await stat(location)).isDirectory()) return new DirectoryObjectStore(location)
  } catch (cause) {
    if (errnoOf(cause) !== 'ENOENT') {
      const reason = cause instanceof Error ? cause.message : String(cause)
      throw new UsageError(`${location} cannot be opened: ${reason}.`, { cause })
    }
    throw new UsageError(`There is no directory ${location}. Check its name.`, { cause })
  }
  throw new UsageError(`${location} is no directory. Name the one that checkpoints are written to.`)
}
