import type { Namespace } from '../../api/kinds/namespace.ts';
import { Namespace as NamespaceKind } from '../../api/kinds/namespace.ts';
import type { Container, PodSpec } from '../../api/kinds/pod.ts';
import type { KubeObject } from '../../api/meta.ts';
import { forbidden, type StatusError } from '../../api/status.ts';
import type { Feed } from '../feed.ts';
import type { AdmissionRequest } from './order.ts';

/** A create or a change through the main door of a kind; marking as deleted is neither. */
export function writes(request: AdmissionRequest, plural: string, group = ''): boolean {
  const { kind, operation, options, object, old } = request;
  if (kind.plural !== plural || kind.group !== group || options.subresource || operation === 'delete') return false;
  return object.metadata.deletionTimestamp === old?.metadata.deletionTimestamp;
}

export const creates = (request: AdmissionRequest, plural: string, group = ''): boolean =>
  request.operation === 'create' && writes(request, plural, group);

/** The 403 of a plugin. */
export const refusal = ({ kind, object }: AdmissionRequest, why: string): StatusError =>
  forbidden(kind, object.metadata.name ?? '', why);

export const namespaceOf = (feed: Feed, name: string): Readonly<Namespace> | undefined =>
  feed.cache(NamespaceKind).get(name)?.object as Readonly<Namespace> | undefined;

/** Objects of a kind that may not be served here at all. */
export const listIfServed = <T extends KubeObject>(
  feed: Feed,
  kind: { group: string; plural: string },
  namespace?: string,
): readonly Readonly<T>[] =>
  feed
    .cacheIfServed(kind)
    ?.list(namespace)
    .map(({ object }) => object as Readonly<T>) ?? [];

/** The one marked as default by an annotation: the newest, then the first by name. */
export function defaultOf<T extends KubeObject>(
  objects: readonly Readonly<T>[],
  annotation: string,
): Readonly<T> | undefined {
  const time = ({ metadata }: Readonly<T>) => Date.parse(metadata.creationTimestamp ?? '') || 0;
  return objects
    .filter(({ metadata }) => metadata.annotations?.[annotation] === 'true')
    .sort((a, b) => time(b) - time(a) || (a.metadata.name! < b.metadata.name! ? -1 : 1))[0];
}

/** Init containers first; a spec that was not yet validated may lack both. */
export const containersOf = ({ initContainers, containers }: PodSpec): Container[] => [
  ...(initContainers ?? []),
  ...(containers ?? []),
];
