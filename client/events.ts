import { createHash } from 'node:crypto';
import { kind } from '../api/kind.ts';
import { type KubeObject, timestamp } from '../api/meta.ts';
import { isNotFound } from '../api/status.ts';
import type { Logger } from '../lib/log.ts';
import type { Client } from './client.ts';

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

const remembered = 4096;
const lanes = 8;

function laneOf({ uid, name }: ObjectReference): number {
  let sum = 0;
  for (const character of uid ?? name) sum = (sum * 31 + character.charCodeAt(0)) % 65_521;
  return sum % lanes;
}
const longestMessage = 1024;

/**
 * Writes events, counting what repeats: the same words about the same object are one Event whose count grows.
 * Never blocks and never fails its caller: at most `limit` writes are waiting, what comes beyond is dropped and logged.
 */
export class EventRecorder {
  readonly #client: Client;
  readonly #component: string;
  readonly #log: Logger;
  readonly #now: () => number;
  readonly #known = new Map<string, { name: string; count: number; first: string }>();
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
    if (this.#waiting >= this.#limit) {
      if (this.#dropped === 0)
        this.#log.warn({ reason, limit: this.#limit }, 'too many events are waiting; dropping what comes now');
      this.#dropped += 1;
      return;
    }
    this.#waiting += 1;
    const involved = 'metadata' in about ? referenceTo(about) : about;
    const lane = laneOf(involved);
    this.#lanes[lane] = this.#lanes[lane]!.then(async () => {
      try {
        await this.#write(involved, type, reason, message.slice(0, longestMessage));
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

  async #write(involved: ObjectReference, type: EventType, reason: string, message: string): Promise<void> {
    const now = timestamp(this.#now());
    const key = createHash('sha1')
      .update(
        JSON.stringify([
          involved.kind,
          involved.namespace,
          involved.name,
          involved.uid,
          involved.fieldPath,
          type,
          reason,
          message,
        ]),
      )
      .digest('hex');
    const namespace = involved.namespace || 'default';
    const known = this.#known.get(key);
    if (known && (await this.#count(known, namespace, now))) return;
    const name = `${involved.name}.${key.slice(0, 8)}${this.#now().toString(16)}`;
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
      count: 1,
    });
    this.#remember(key, { name, count: 1, first: now });
  }

  /** False when the Event is gone (they live an hour) and has to be made anew. */
  async #count(known: { name: string; count: number }, namespace: string, now: string): Promise<boolean> {
    try {
      const patch = { count: known.count + 1, lastTimestamp: now };
      await this.#client.patch(EventKind, { namespace, name: known.name }, patch);
      known.count += 1;
      return true;
    } catch (error) {
      if (isNotFound(error)) return false;
      throw error;
    }
  }

  #remember(key: string, known: { name: string; count: number; first: string }): void {
    this.#known.set(key, known);
    if (this.#known.size > remembered) this.#known.delete(this.#known.keys().next().value!);
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
