import { randomBytes } from 'node:crypto';
import { kind } from '../api/kind.ts';
import { type KubeObject, timestamp } from '../api/meta.ts';
import { isNotFound } from '../api/status.ts';
import type { Logger } from '../lib/log.ts';
import type { Client } from './client.ts';
import { EventCorrelator, Remembering } from './event-correlator.ts';

interface EventObject extends KubeObject {
  involvedObject: ObjectReference;
  reason: string;
  message: string;
  type: EventType;
  source: { component: string; host?: string };
  reportingComponent: string;
  reportingInstance: string;
  firstTimestamp: string;
  lastTimestamp: string;
  count: number;
}

export interface ObjectReference {
  apiVersion?: string;
  kind: string;
  namespace?: string;
  name: string;
  uid?: string;
  resourceVersion?: string;
  fieldPath?: string;
}

export type EventType = 'Normal' | 'Warning';

// The names are enough to write them; what the kind means to the apiserver stands in api/kinds/event.ts.
const EventKind = kind<EventObject>({ group: '', version: 'v1', kind: 'Event', plural: 'events', namespaced: true });

const lanes = 8;

function laneOf({ uid, name }: ObjectReference): number {
  let sum = 0;
  for (const character of uid ?? name) sum = (sum * 31 + character.charCodeAt(0)) % 65_521;
  return sum % lanes;
}
const longestMessage = 1024;

/** One Event: how often it has happened, and under which name it was written. */
interface Known {
  count: number;
  name: string | undefined;
  /** A write is on its way, which will tell the count of that moment. */
  isWaiting: boolean;
}

/**
 * Writes events, counting what repeats: the same words about the same object are one Event whose count grows; see
 * event-correlator.ts for when much is said of one object.
 * Never blocks and never fails its caller: at most `limit` writes are waiting, what comes beyond is dropped and logged.
 */
export class EventRecorder {
  readonly #client: Client;
  readonly #component: string;
  readonly #log: Logger;
  readonly #now: () => number;
  readonly #known = new Remembering<Known>();
  readonly #correlator = new EventCorrelator();
  readonly #limit: number;
  /** Events about one object are written in order, those about others beside them. */
  readonly #lanes: Promise<void>[] = Array.from({ length: lanes }, () => Promise.resolve());
  #waiting = 0;
  #dropped = 0;

  constructor(client: Client, component: string, log: Logger, { now = Date.now, limit = 1000 } = {}) {
    this.#client = client;
    this.#component = component;
    this.#log = log;
    this.#now = now;
    this.#limit = limit;
  }

  /** `reason` is a CamelCase word, `message` a sentence. */
  record(about: KubeObject | ObjectReference, type: EventType, reason: string, message: string): void {
    const involved = 'metadata' in about ? referenceTo(about) : about;
    const { kind: kindName, namespace, name, uid, fieldPath } = involved;
    const object = JSON.stringify([kindName, namespace, name, uid, fieldPath]);
    const said = { about: object, type, reason, message: message.slice(0, longestMessage) };
    const { key, quiet, message: words } = this.#correlator.correlate(said, this.#now());
    const known = this.#known.get(key, () => ({ count: 0, name: undefined, isWaiting: false }));
    known.count += 1;
    if (quiet || known.isWaiting) return;
    if (this.#waiting >= this.#limit) {
      if (this.#dropped === 0)
        this.#log.warn({ reason, limit: this.#limit }, 'too many events are waiting; dropping what comes now');
      this.#dropped += 1;
      return;
    }
    this.#waiting += 1;
    known.isWaiting = true;
    const lane = laneOf(involved);
    this.#lanes[lane] = this.#lanes[lane]!.then(async () => {
      known.isWaiting = false;
      try {
        await this.#write(known, involved, type, reason, words);
      } catch (err) {
        this.#log.debug({ err, reason }, 'event was not written');
      } finally {
        this.#waiting -= 1;
        if (this.#waiting === 0) this.#dropped = 0;
      }
    });
  }

  /** Resolves when everything recorded so far has been written or given up. */
  async flush(): Promise<void> {
    await Promise.all(this.#lanes);
  }

  async #write(
    known: Known,
    involved: ObjectReference,
    type: EventType,
    reason: string,
    message: string,
  ): Promise<void> {
    const now = timestamp(this.#now());
    const namespace = involved.namespace || 'default';
    const { count } = known;
    if (known.name && (await this.#count(known.name, namespace, { count, message, lastTimestamp: now }))) return;
    const name = `${involved.name}.${randomBytes(4).toString('hex')}${this.#now().toString(16)}`;
    await this.#client.create(EventKind, {
      metadata: { name, namespace },
      involvedObject: involved,
      reason,
      message,
      type,
      source: { component: this.#component },
      reportingComponent: this.#component,
      reportingInstance: '',
      firstTimestamp: now,
      lastTimestamp: now,
      count: known.name ? 1 : count,
    });
    if (known.name) known.count = 1;
    known.name = name;
  }

  /** False when the Event is gone (they live an hour) and has to be made anew. */
  async #count(name: string, namespace: string, patch: Partial<EventObject>): Promise<boolean> {
    try {
      await this.#client.patch(EventKind, { namespace, name }, patch);
      return true;
    } catch (error) {
      if (isNotFound(error)) return false;
      throw error;
    }
  }
}

function referenceTo(object: KubeObject): ObjectReference {
  const { name, namespace, uid, resourceVersion } = object.metadata;
  return {
    kind: object.kind ?? '',
    ...(object.apiVersion ? { apiVersion: object.apiVersion } : {}),
    ...(namespace ? { namespace } : {}),
    name: name ?? '',
    ...(uid ? { uid } : {}),
    ...(resourceVersion ? { resourceVersion } : {}),
  };
}
