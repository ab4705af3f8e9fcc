import { kind } from '../kind.ts';
import type { KubeObject } from '../meta.ts';
import { validateNewEvent } from '../validate-event.ts';
import { Event as CoreEvent, eventColumns, type ObjectReference } from './event.ts';

/** `events.k8s.io/v1`: the same events under newer names. */
export interface EventsEvent extends KubeObject {
  eventTime?: string | null;
  series?: { count?: number; lastObservedTime?: string };
  reportingController?: string;
  reportingInstance?: string;
  action?: string;
  reason?: string;
  regarding?: ObjectReference;
  related?: ObjectReference;
  note?: string;
  type?: string;
  deprecatedSource?: { component?: string; host?: string };
  deprecatedFirstTimestamp?: string | null;
  deprecatedLastTimestamp?: string | null;
  deprecatedCount?: number;
}

/** Newer name → the one under which it is kept. */
const names: Readonly<Record<string, string>> = {
  regarding: 'involvedObject',
  note: 'message',
  reportingController: 'reportingComponent',
  deprecatedSource: 'source',
  deprecatedFirstTimestamp: 'firstTimestamp',
  deprecatedLastTimestamp: 'lastTimestamp',
  deprecatedCount: 'count',
};
const back = Object.fromEntries(Object.entries(names).map(([newer, older]) => [older, newer]));

const renamed = (object: KubeObject, by: Readonly<Record<string, string>>, apiVersion: string): KubeObject => ({
  ...(Object.fromEntries(Object.entries(object).map(([name, value]) => [by[name] ?? name, value])) as typeof object),
  apiVersion,
});

const { selectableFields: fields = {} } = CoreEvent;
const regarding = ['kind', 'namespace', 'name', 'uid', 'apiVersion', 'resourceVersion', 'fieldPath'];

export const EventsEvent = kind<EventsEvent>({
  group: 'events.k8s.io',
  version: 'v1',
  kind: 'Event',
  plural: 'events',
  short: ['ev'],
  namespaced: true,
  generation: false,
  createOnUpdate: true,
  storage: {
    kind: CoreEvent as never,
    toStored: (objects) => objects.map((object) => ({ involvedObject: {}, ...renamed(object, names, 'v1') })),
    fromStored: (objects) => objects.map((object) => renamed(object, back, 'events.k8s.io/v1')),
    validateNew: (event) => validateNewEvent(event as EventsEvent),
  },
  columns: eventColumns.map((column) => ({
    ...column,
    value: (event, now) => column.value(renamed(event, names, 'v1') as CoreEvent, now),
  })),
  selectableFields: {
    ...Object.fromEntries(regarding.map((name) => [`regarding.${name}`, fields[`involvedObject.${name}`]! as never])),
    reason: fields['reason'] as never,
    reportingController: fields['reportingComponent'] as never,
    type: fields['type'] as never,
  },
});
