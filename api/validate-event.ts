import { bad, required } from './field-error.ts';
import type { FieldError } from './kind.ts';
import type { Event } from './kinds/event.ts';
import type { EventsEvent } from './kinds/events-event.ts';
import { checkQualifiedName } from './names.ts';
import { mustBeNamed } from './rules.ts';

/** Characters. */
const most = { reportingInstance: 128, action: 128, reason: 128, message: 1024 };

/** Rules on an event however it came: one with an eventTime is of the newer kind and says who tells it, of what. */
export const validateEvent = (event: Event): FieldError[] => [
  ...validateNamespace(event),
  ...(event.eventTime ? validateTold(event) : []),
];

function validateNamespace({ metadata, involvedObject }: Event): FieldError[] {
  const where = involvedObject?.namespace ?? '';
  const namespace = metadata.namespace ?? '';
  return where === namespace || (where === '' && ['default', 'kube-system'].includes(namespace))
    ? []
    : [bad('involvedObject.namespace', where, 'does not match event.namespace')];
}

const validateTold = (event: Event): FieldError[] => [
  ...mustBeNamed(event.reportingComponent, checkQualifiedName, 'reportingController'),
  ...(['reportingInstance', 'action', 'reason'] as const).filter((name) => !event[name]).map((name) => required(name)),
  ...(Object.keys(most) as (keyof typeof most)[])
    .filter((name) => (event[name]?.length ?? 0) > most[name])
    .map((name) => bad(name, '', `can have at most ${most[name]} characters`)),
];

/** Rules on a new event of events.k8s.io: it has none of what is deprecated there. */
export function validateNewEvent(event: EventsEvent): FieldError[] {
  const { eventTime, type, series } = event;
  const errors: FieldError[] = eventTime ? [] : [required('eventTime')];
  if (type !== 'Normal' && type !== 'Warning') errors.push(bad('type', '', `has invalid value: ${type ?? ''}`));
  if (series && (series.count ?? 0) < 2) errors.push(bad('series.count', '', 'should be at least 2'));
  if (series && !series.lastObservedTime) errors.push(required('series.lastObservedTime'));
  const { component, host } = event.deprecatedSource ?? {};
  const old = {
    firstTimestamp: event.deprecatedFirstTimestamp,
    lastTimestamp: event.deprecatedLastTimestamp,
    count: event.deprecatedCount,
    source: component ?? host,
  };
  for (const [name, value] of Object.entries(old)) if (value) errors.push(bad(name, '', 'needs to be unset'));
  return errors;
}
