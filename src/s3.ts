/**
 * `level-state-backend/s3`: checkpoints in a bucket. An entry of its own, because it alone needs
 * `@aws-sdk/client-s3`, which who keeps checkpoints in a directory never installs.
 */
export { S3ObjectStore, type S3ObjectStoreOptions } from './storage/s3/s3-object-store.js'
