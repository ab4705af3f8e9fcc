import type { Kind } from '../api/kind.ts';
import { timestamp, type KubeObject } from '../api/meta.ts';
import type { Writer } from './apply/ownership.ts';
import type { User } from './auth/user.ts';
import type { Entry } from './encoding.ts';
import type { Output } from './negotiate.ts';

/** One request on a resource, with everything that a verb needs to know of it. */
export interface Call {
  method: string;
  kind: Kind;
  /** '' for a list over all namespaces and for cluster-scoped kinds. */
  namespace: string;
  /** '' for collections. */
  name: string;
  subresource: string;
  /** What follows the subresource, for proxies. */
  rest: string;
  query: URLSearchParams;
  user: User;
  userAgent: string;
  contentType: string;
  body: Buffer;
  output: Output;
  /** Sentences for the caller's `Warning` headers; verbs add to it. */
  warnings: string[];
  /** Notes something in the audit log, if there is one. */
  annotate: Annotate;
  /** Aborts when the caller hangs up or the server stops. */
  signal: AbortSignal;
}

/** What a verb answers; respond.ts gives it the form the caller asked for. */
export type Answer =
  | { code: number; kind: Kind; entry: Entry }
  | { code: number; kind: Kind; list: ListAnswer }
  | { code: number; value: unknown };

export interface ListAnswer {
  revision: number;
  entries: readonly Entry[];
  continue?: string;
  remaining?: number;
}

/** Options of writes, from the query or a DeleteOptions body. */
export interface WriteOptions {
  dryRun: boolean;
  user: User;
  /** Who owns the fields that this write sets: the caller's word, else the first part of its User-Agent. */
  fieldManager: string;
  /** Through which subresource the write came; '' or absent for the object itself. */
  subresource?: string;
  /**
   * What was sent to a subresource with a kind of its own, as an Eviction is: webhooks and policies are asked about this, as
   * the creation that it is, and may change it.
   */
  body?: KubeObject;
  /** The object's managedFields are already what they must be: it was applied. */
  applied?: boolean;
  /** Admission has had its say already, or has none: the server writes on its own account. */
  admitted?: boolean;
  /** Tells the caller something beside the answer. */
  warn?: (sentence: string) => void;
  /** Notes something in the audit log. */
  annotate?: Annotate;
}

/** `level`: only where the log tells as much of the request. */
export type Annotate = (key: string, value: string, level?: 'Metadata' | 'Request') => void;

/** What the server writes on its own account. */
export const serverWrites = (user: User): WriteOptions => ({
  dryRun: false,
  user,
  fieldManager: 'kube-apiserver',
  admitted: true,
});

export const writerOf = ({ fieldManager, subresource = '' }: WriteOptions, now: number): Writer => ({
  manager: fieldManager,
  subresource,
  time: timestamp(now),
});

/** `namespace/name`: the key of an object in its cache and behind its prefix in the store. */
export const keyIn = (kind: Kind, namespace: string, name: string): string =>
  kind.namespaced ? `${namespace}/${name}` : name;

export const nameOf = (object: KubeObject): string => object.metadata.name ?? '';
