/** A recording's lines, and what its events are of. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  executorCall,
  executorEvent,
  masterCall,
  masterEvent,
  schedulerCall,
  schedulerEvent,
  type MessageType,
} from '../../../mesos/codec.ts';
import { at, entriesAt, numberAt, parse, textAt } from './json.ts';

export const json = 'application/json';
export const protobuf = 'application/x-protobuf';

/** One line. What it is decides which of its fields mean something. */
export interface Item {
  /** Milliseconds. */
  t: number;
  conn: string;
  dir: string;
  text: string;
  data: unknown;
  note: string;
  by: string;
  /** Of a connection that broke, or never was. */
  error: string;
  method: string;
  path: string;
  headers: Readonly<Record<string, string>>;
  status: number;
  body: string | undefined;
  bodyBase64: string | undefined;
  /** A record as JSON has it, undefined where it is in protobuf. */
  record: unknown;
  recordBase64: string | undefined;
}

/** Where they are. */
export const golden = join(import.meta.dirname, '../../golden/mesos');

export const linesOf = (scenario: string): string[] =>
  readFileSync(join(golden, scenario, 'trace.jsonl'), 'utf8')
    .trim()
    .split('\n');

export function itemOf(line: string): Item {
  const read = parse(line);
  const word = (name: string) => textAt(read, name) ?? '';
  return {
    t: numberAt(read, 't') ?? 0,
    status: numberAt(read, 'status') ?? 0,
    ...{ conn: word('conn'), dir: word('dir'), text: word('text'), note: word('note') },
    ...{ by: word('by'), error: word('error') },
    ...{ method: word('method'), path: word('path') },
    data: at(read, 'data'),
    headers: Object.fromEntries(entriesAt(read, 'headers').map(([name, value]) => [name, String(value)])),
    body: textAt(read, 'body'),
    bodyBase64: textAt(read, 'bodyBase64'),
    record: at(read, 'record'),
    recordBase64: textAt(read, 'recordBase64'),
  };
}

// --- protobuf ---------------------------------------------------------------------------------------------------------

/** As it would be in JSON. */
const textOf = <T>(type: MessageType<T>, bytes: Uint8Array): string =>
  type.encode(type.decode(bytes, protobuf), json).toString();

/** With every name in it as it is here. */
const through = <T>(type: MessageType<T>, bytes: Uint8Array, mapped: (text: string) => string): Buffer =>
  type.encode(type.decode(Buffer.from(mapped(textOf(type, bytes))), json), protobuf);

/** What is said on a path, and over the stream that SUBSCRIBE opens there. */
export interface Api {
  mapped(call: Uint8Array, names: (text: string) => string): Buffer;
  /** A record of the stream as the one in JSON would be. */
  event(record: Uint8Array): unknown;
  /** Whether events come in one order, whatever they are of. */
  isOrdered: boolean;
}

const api = <C, E>(call: MessageType<C>, event: MessageType<E>, isOrdered: boolean): Api => ({
  mapped: (bytes, names) => through(call, bytes, names),
  event: (record) => parse(textOf(event, record)),
  isOrdered,
});

const scheduler = api(schedulerCall, schedulerEvent, false);
const executor = api(executorCall, executorEvent, true);
const operator = api(masterCall, masterEvent, true);

export const apiOf = (path: string): Api =>
  path.startsWith('/api/v1/scheduler') ? scheduler : path.startsWith('/api/v1/executor') ? executor : operator;

// --- what an event is of ----------------------------------------------------------------------------------------------

export const typeOf = (event: unknown): string => textAt(event, 'type') ?? '';

/** The task or the operation that an update is of; of what operators hear, and executors, the thing that it is about. */
export const subjectOf = (event: unknown): string | undefined =>
  textAt(event, 'update', 'status', 'task_id', 'value') ??
  textAt(event, 'update_operation_status', 'status', 'operation_id', 'value') ??
  textAt(event, 'task_added', 'task', 'task_id', 'value') ??
  textAt(event, 'task_updated', 'status', 'task_id', 'value') ??
  textAt(event, 'acknowledged', 'uuid');

export const uuidOf = (event: unknown): string | undefined =>
  textAt(event, 'update', 'status', 'uuid') ?? textAt(event, 'update_operation_status', 'status', 'uuid', 'value');

/** Of a container: which of its streams. */
export const outputOf = (event: unknown): string | undefined => textAt(event, 'data', 'type');

export const offerOfRescind = (event: unknown): string | undefined => textAt(event, 'rescind', 'offer_id', 'value');

/** One inverse offer an event, as recorded. */
const inverseOf = (event: unknown): unknown => at(event, 'inverse_offers', 'inverse_offers', 0);

/** What the server gave a name to in an event, always in this order. */
export const namesIn = (event: unknown): (string | undefined)[] => [
  textAt(event, 'subscribed', 'framework_id', 'value'),
  textAt(event, 'subscribed', 'master_info', 'id'),
  uuidOf(event),
  textAt(event, 'update', 'status', 'container_status', 'container_id', 'value'),
  textAt(event, 'update', 'status', 'container_status', 'container_id', 'parent', 'value'),
  textAt(inverseOf(event), 'id', 'value'),
  textAt(event, 'subscribed', 'container_id', 'value'),
];

// --- offers -----------------------------------------------------------------------------------------------------------

export const offerId = (offer: unknown): string | undefined => textAt(offer, 'id', 'value');
export const agentOf = (offer: unknown): string | undefined => textAt(offer, 'agent_id', 'value');
export const roleOf = (offer: unknown): string | undefined => textAt(offer, 'allocation_info', 'role');

/** Agents listen at …51, …52, …53 in the recordings. */
export const agentIndex = (offerOrAgent: unknown): number =>
  ((numberAt(offerOrAgent, 'url', 'address', 'port') ?? numberAt(offerOrAgent, 'agent_info', 'port') ?? 0) % 10) - 1;
