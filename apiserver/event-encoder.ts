import type { Kind } from '../api/kind.ts';
import type { Status } from '../api/status.ts';
import type { CacheEvent, EventType } from './cache.ts';
import type { Entry } from './encoding.ts';
import type { Output } from './negotiate.ts';
import { objectBody, partialBody, valueBody } from './protobuf/bodies.ts';
import { watchFrame } from './protobuf/encode.ts';
import { partialJson, tableJson, type IncludeObject } from './table.ts';

/** An object that leaves a selection is shown as it was before, at the revision of the change. */
export function shownBy(type: EventType, event: CacheEvent): Entry {
  if (type !== 'DELETED' || event.type === 'DELETED' || !event.previous) return event.entry;
  return (event.left ??= event.previous.at(event.revision));
}

const newline = Buffer.from('}\n');

/** Writes events in one caller's form. What is the same for many watchers is made once and kept on the event. */
export class EventEncoder {
  readonly #kind: Kind;
  readonly #output: Output;
  readonly #include: IncludeObject;
  readonly #format: string;

  constructor(kind: Kind, output: Output, include: IncludeObject) {
    this.#kind = kind;
    this.#output = output;
    this.#include = include;
    this.#format = `${kind.apiVersion} ${output.media} ${output.as} ${output.version} ${include}`;
  }

  event(type: EventType, event: CacheEvent): Buffer {
    const name = `${type} ${this.#format}`;
    const known = event.encoded.get(name);
    if (known) return known;
    const made = this.fresh(type, shownBy(type, event));
    event.encoded.set(name, made);
    return made;
  }

  /** All events of a batch in one piece, kept on its last event. */
  batch(events: readonly CacheEvent[]): Buffer {
    if (events.length === 1) return this.event(events[0]!.type, events[0]!);
    const name = `batch ${events[0]!.revision} ${events.length} ${this.#format}`;
    const last = events.at(-1)!;
    const known = last.encoded.get(name);
    if (known) return known;
    const made = Buffer.concat(events.map((event) => this.event(event.type, event)));
    last.encoded.set(name, made);
    return made;
  }

  fresh(type: EventType, entry: Entry): Buffer {
    return this.#frame(type, this.#object(entry));
  }

  #frame(type: string, body: Buffer): Buffer {
    if (this.#output.media === 'protobuf') return watchFrame(type, body);
    return Buffer.concat([Buffer.from(`{"type":"${type}","object":`), body, newline]);
  }

  #value(value: { apiVersion: string; kind: string }): Buffer {
    return this.#output.media === 'protobuf' ? Buffer.concat(valueBody(value)) : Buffer.from(JSON.stringify(value));
  }

  bookmark(revision: number, initialEnd: boolean): Buffer {
    const metadata = {
      resourceVersion: String(revision),
      creationTimestamp: null,
      ...(initialEnd ? { annotations: { 'k8s.io/initial-events-end': 'true' } } : {}),
    };
    const type = this.#output.as.startsWith('Partial')
      ? { kind: 'PartialObjectMetadata', apiVersion: this.#output.version }
      : { kind: this.#kind.kind, apiVersion: this.#kind.apiVersion };
    return this.#frame('BOOKMARK', this.#value({ ...type, metadata } as { apiVersion: string; kind: string }));
  }

  error(status: Status): Buffer {
    return this.#frame('ERROR', this.#value(status));
  }

  #object(stored: Entry): Buffer {
    const entry = stored.shownAs(this.#kind) ?? stored;
    const binary = this.#output.media === 'protobuf';
    switch (this.#output.as) {
      case 'object':
        return binary ? Buffer.concat(objectBody(this.#kind, entry)) : entry.bytes;
      case 'Table': {
        const meta = { resourceVersion: String(entry.revision) };
        return Buffer.from(tableJson(this.#kind, [entry], this.#output.version, this.#include, meta));
      }
      case 'PartialObjectMetadata':
      case 'PartialObjectMetadataList':
        return binary
          ? Buffer.concat(partialBody(entry.object, this.#output.version))
          : Buffer.from(partialJson(entry.object, this.#output.version));
    }
  }
}
