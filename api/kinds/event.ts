import { age } from '../age.ts';
import { kind, type Column } from '../kind.ts';
import type { KubeObject } from '../meta.ts';
import { validateEvent } from '../validate-event.ts';

export interface ObjectReference {
  apiVersion?: string;
  kind?: string;
  namespace?: string;
  name?: string;
  uid?: string;
  resourceVersion?: string;
  fieldPath?: string;
}

export interface Event extends KubeObject {
  involvedObject: ObjectReference;
  reason?: string;
  message?: string;
  source?: { component?: string; host?: string };
  firstTimestamp?: string | null;
  lastTimestamp?: string | null;
  count?: number;
  type?: string;
  eventTime?: string | null;
  series?: { count?: number; lastObservedTime?: string };
  action?: string;
  related?: ObjectReference;
  reportingComponent?: string;
  reportingInstance?: string;
}

const lastSeen = (event: Event): string | null | undefined =>
  event.series?.lastObservedTime ?? event.lastTimestamp ?? event.eventTime ?? event.metadata.creationTimestamp;

const objectOf = ({ involvedObject }: Event): string =>
  `${(involvedObject?.kind ?? '').toLowerCase()}/${involvedObject?.name ?? ''}`;

export const eventColumns: readonly Column<Event>[] = [
  { name: 'Last Seen', value: (event, now) => age(lastSeen(event), now) },
  { name: 'Type', value: (event) => event.type ?? '' },
  { name: 'Reason', value: (event) => event.reason ?? '' },
  { name: 'Object', value: objectOf },
  { name: 'Subobject', priority: 1, value: (event) => event.involvedObject?.fieldPath ?? '' },
  {
    name: 'Source',
    priority: 1,
    value: ({ source, reportingComponent }) =>
      [source?.component ?? reportingComponent, source?.host].filter(Boolean).join(', '),
  },
  { name: 'Message', value: (event) => (event.message ?? '').trim() },
  {
    name: 'First Seen',
    priority: 1,
    value: (event, now) => age(event.firstTimestamp ?? event.eventTime ?? event.metadata.creationTimestamp, now),
  },
  { name: 'Count', priority: 1, value: (event) => event.series?.count ?? event.count ?? 1 },
  { name: 'Name', format: 'name', priority: 1, value: (event) => event.metadata.name },
];

export const Event = kind<Event>({
  group: '',
  version: 'v1',
  kind: 'Event',
  plural: 'events',
  short: ['ev'],
  namespaced: true,
  generation: false,
  createOnUpdate: true,
  ttlSeconds: 3600,
  validate: validateEvent,
  columns: eventColumns,
  selectableFields: {
    'involvedObject.kind': (event) => event.involvedObject?.kind ?? '',
    'involvedObject.namespace': (event) => event.involvedObject?.namespace ?? '',
    'involvedObject.name': (event) => event.involvedObject?.name ?? '',
    'involvedObject.uid': (event) => event.involvedObject?.uid ?? '',
    'involvedObject.apiVersion': (event) => event.involvedObject?.apiVersion ?? '',
    'involvedObject.resourceVersion': (event) => event.involvedObject?.resourceVersion ?? '',
    'involvedObject.fieldPath': (event) => event.involvedObject?.fieldPath ?? '',
    reason: (event) => event.reason ?? '',
    reportingComponent: (event) => event.reportingComponent ?? '',
    source: (event) => event.source?.component ?? event.reportingComponent ?? '',
    type: (event) => event.type ?? '',
  },
});
