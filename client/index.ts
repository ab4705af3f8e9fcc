/**
 * km/client, for controllers outside of km: docs/client.md. km's own rooms import the files they mean.
 */
export {
  Client,
  type ClientOptions,
  type DeleteOptions,
  type ListOptions,
  type Ref,
  type WriteOptions,
} from './client.ts';
export { defaultOptions, inCluster, readKubeconfig } from './kubeconfig.ts';
export { type CredentialSource, execCredentials } from './exec-credential.ts';
export { type Change, Informer, type InformerOptions, Informers } from './informer.ts';
export { type WatchEvent } from './watch.ts';
export { type QueueWatcher, WorkQueue } from './queue.ts';
export { type Reconciler, type Watch, type World, createWorld, ownerKeys, run, watching } from './reconcile.ts';
export { EventRecorder, type EventType, type ObjectReference } from './events.ts';
export { type LeadOptions, type Leadership, lead } from './lease.ts';
export { type Kind, kind } from '../api/kind.ts';
export {
  type KubeList,
  type KubeObject,
  type ObjectMeta,
  type OwnerReference,
  type Stored,
  keyOf,
  splitKey,
} from '../api/meta.ts';
export { StatusError, isAlreadyExists, isConflict, isGone, isNotFound, unlessNotFound } from '../api/status.ts';
export { type Logger, createLog } from '../lib/log.ts';
