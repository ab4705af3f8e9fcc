/** A recording's lines, and what its events are of. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { schedulerEvent } from '../../../mesos/codec.ts';
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
  method: string;
  path: string;
  headers: Readonly<Record<string, string>>;
  status: number;
  body: string | undefined;
  bodyBase64: string | undefined;
  /** As JSON has it, whatever it was sent in. */
  readonly event: unknown;
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
  const record = textAt(read, 'recordBase64');
  return {
    t: numberAt(read, 't') ?? 0,
    status: numberAt(read, 'status') ?? 0,
    ...{ conn: word('conn'), dir: word('dir'), text: word('text'), note: word('note'), by: word('by') },
    ...{ method: word('method'), path: word('path') },
    data: at(read, 'data'),
    headers: Object.fromEntries(entriesAt(read, 'headers').map(([name, value]) => [name, String(value)])),
    body: textAt(read, 'body'),
    bodyBase64: textAt(read, 'bodyBase64'),
    // Only of those that are played: the records of executors are other messages.
    get event() {
      return record === undefined ? at(read, 'record') : eventOf(Buffer.from(record, 'base64'));
    },
  };
}

/** A record in protobuf as the one in JSON would be. */
export const eventOf = (bytes: Uint8Array): unknown =>
  parse(schedulerEvent.encode(schedulerEvent.decode(bytes, protobuf), json).toString());

// --- what an event is of ----------------------------------------------------------------------------------------------

export const typeOf = (event: unknown): string => textAt(event, 'type') ?? '';

/** The task or the operation that an update is of. */
export const subjectOf = (event: unknown): string | undefined =>
  textAt(event, 'update', 'status', 'task_id', 'value') ??
  textAt(event, 'update_operation_status', 'status', 'operation_id', 'value');

export const uuidOf = (event: unknown): string | undefined =>
  textAt(event, 'update', 'status', 'uuid') ?? textAt(event, 'update_operation_status', 'status', 'uuid', 'value');

/** Of a container: which of its streams. */
export const outputOf = (event: unknown): string | undefined => textAt(event, 'data', 'type');

export const offerOfRescind = (event: unknown): string | undefined => textAt(event, 'rescind', 'offer_id', 'value');

/** One inverse offer an event, as recorded. */
const inverseOf = (event: unknown): unknown => at(event, 'inverse_offers', 'inverse_offers', 0);

/** Of an agent's own address, as JSON has it. */
function portOf(event: unknown): string | undefined {
  const port = numberAt(inverseOf(event), 'url', 'address', 'port');
  return port === undefined ? undefined : `"port":${port}`;
}

/** What the server gave a name to in an event, always in this order. */
export const namesIn = (event: unknown): (string | undefined)[] => [
  textAt(event, 'subscribed', 'framework_id', 'value'),
  textAt(event, 'subscribed', 'master_info', 'id'),
  uuidOf(event),
  textAt(event, 'update', 'status', 'container_status', 'container_id', 'value'),
  textAt(event, 'update', 'status', 'container_status', 'container_id', 'parent', 'value'),
  textAt(inverseOf(event), 'id', 'value'),
  portOf(event),
];

// --- offers -----------------------------------------------------------------------------------------------------------

export const offerId = (offer: unknown): string | undefined => textAt(offer, 'id', 'value');
export const agentOf = (offer: unknown): string | undefined => textAt(offer, 'agent_id', 'value');
export const roleOf = (offer: unknown): string | undefined => textAt(offer, 'allocation_info', 'role');

/** Agents listen at …51, …52, …53 in the recordings. */
export const agentIndex = (offer: unknown): number => ((numberAt(offer, 'url', 'address', 'port') ?? 0) % 10) - 1;
