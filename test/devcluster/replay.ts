import { readFileSync } from 'node:fs';
import { request, Agent as HttpAgent, type IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { expect } from '@jest/globals';
import { delay } from '../../lib/delay.ts';
import { masterCall, schedulerCall, schedulerEvent, type MessageType } from '../../mesos/codec.ts';
import { RecordDecoder } from '../../mesos/recordio.ts';
import type { Devcluster } from '../../devcluster/index.ts';

/**
 * Plays the client's half of a JSON recording against a devcluster and holds its answers against the recorded ones.
 * Ids, ports, uuids and times differ of course: an id that the master gave is learnt where it first appears.
 */
export interface ReplayOptions {
  scenario: string;
  cluster: Devcluster;
  /** Lines to play; all unless told. */
  from?: number;
  to?: number;
  /** Done at a note of the recording, before what follows is played; may give recorded text that is another here. */
  onNote?: (text: string, data: unknown) => void | Learnt | Promise<void | Learnt>;
  /** Recorded text that is another here. */
  replace?: Learnt;
  /** Lines to leave out. */
  omit?: (line: number) => boolean;
  /** Connections to leave out. */
  skip?: RegExp;
  /**
   * Requests, or those whose body matches, come as long after what was before them as in the recording, half a second at most:
   * tasks do something meanwhile.
   */
  keepsPace?: true | RegExp;
}

type Learnt = Readonly<Record<string, string>>;

const longestPause = 500;

interface Item {
  /** Milliseconds. */
  t: number;
  conn: string;
  dir: string;
  text?: string;
  data?: unknown;
  note?: string;
  by?: string;
  method: string;
  path: string;
  headers: Record<string, string>;
  status: number;
  body?: string;
  bodyBase64?: string;
  record?: RecordedEvent;
  recordBase64?: string;
}
type RecordedEvent = { type: string } & Record<string, unknown>;
interface RecordedOffer {
  id: { value: string };
  framework_id: { value: string };
  agent_id: { value: string };
  url: { address: { port: number } };
  allocation_info?: { role: string };
}

const golden = join(import.meta.dirname, '../golden/mesos');

export async function replay(options: ReplayOptions): Promise<{ compared: number }> {
  const lines = readFileSync(join(golden, options.scenario, 'trace.jsonl'), 'utf8')
    .trim()
    .split('\n');
  const player = new Player(options);
  try {
    for (let i = options.from ?? 1; i <= Math.min(options.to ?? lines.length, lines.length); i++) {
      const item = JSON.parse(lines[i - 1]!) as Item;
      if (options.skip?.test(item.conn ?? '') || options.omit?.(i)) continue;
      try {
        await player.play(item);
      } catch (error) {
        throw new Error(`${options.scenario}:${i} ${item.note ?? ''}: ${(error as Error).message}`, { cause: error });
      }
    }
    return { compared: player.compared };
  } finally {
    player.close();
  }
}

/** Answers that say the same on every master on which nothing was set, and of every container that ended so. */
const settled =
  /^\{"type":"(GET_(HEALTH|LOGGING_LEVEL|WEIGHTS|QUOTA|MAINTENANCE_STATUS|MAINTENANCE_SCHEDULE|OPERATIONS)|WAIT_\w+)"/;

class Connection {
  readonly agent = new HttpAgent({ keepAlive: true, maxSockets: 1 });
  pending: Promise<{ message: IncomingMessage; body: string | undefined }>[] = [];
  message: IncomingMessage | undefined;
  events: RecordedEvent[] = [];
  offers: RecordedOffer[] = [];
  /** That it was offered something for. */
  readonly roles = new Set<string | undefined>();
  streamId = '';
  /** That of the last request. */
  authorization: string | undefined;
  ended = false;
}

class Player {
  compared = 0;
  /** When the recording had the item before. */
  #last = 0;
  readonly #options: ReplayOptions;
  readonly #connections = new Map<string, Connection>();
  /** Recorded text → ours. */
  readonly #ours = new Map<string, string>();

  constructor(options: ReplayOptions) {
    this.#options = options;
    this.#learnAll(options.replace ?? {});
  }

  close(): void {
    for (const { message, agent } of this.#connections.values()) {
      message?.destroy();
      agent.destroy();
    }
  }

  async play(item: Item): Promise<void> {
    await this.#play(item);
    this.#last = item.t;
  }

  async #play(item: Item): Promise<void> {
    if (item.dir === 'note') this.#learnAll((await this.#options.onNote?.(item.text ?? '', item.data)) ?? {});
    else if (item.dir === 'request') await this.#inTime(item);
    else if (item.dir === 'response') await this.#response(item);
    else if (item.dir === 'record') await this.#record(item);
    else if (item.dir === 'close') await this.#close(item);
  }

  #connection(name: string): Connection {
    let connection = this.#connections.get(name);
    if (!connection) this.#connections.set(name, (connection = new Connection()));
    return connection;
  }

  #mapped(text: string): string {
    for (const [theirs, ours] of this.#ours) text = text.replaceAll(theirs, ours);
    return text;
  }

  /** A call in protobuf says what it says in JSON; what is no call at all goes as it is. */
  #mappedCall(bytes: Buffer, path: string): Buffer {
    const type = (path.startsWith('/api/v1/scheduler') ? schedulerCall : masterCall) as MessageType<object>;
    try {
      const text = type.encode(type.decode(bytes, protobuf), json).toString();
      return type.encode(type.decode(Buffer.from(this.#mapped(text)), json), protobuf);
    } catch {
      return bytes;
    }
  }

  #learnAll(learnt: Learnt): void {
    for (const [theirs, ours] of Object.entries(learnt)) this.#learn(theirs, ours);
  }

  #learn(theirs: string | undefined, ours: string | undefined): void {
    if (theirs === undefined || ours === undefined || theirs === ours) return;
    this.#ours.set(theirs, ours);
    // Longer ids first: one may be the beginning of another.
    const sorted = [...this.#ours].sort(([a], [b]) => b.length - a.length);
    this.#ours.clear();
    for (const [key, value] of sorted) this.#ours.set(key, value);
  }

  async #inTime(item: Item): Promise<void> {
    const { keepsPace } = this.#options;
    const waits = keepsPace === true || keepsPace?.test(item.body ?? '');
    const gap = waits ? Math.min(longestPause, item.t - this.#last) : 0;
    if (gap > 0) await delay(gap);
    this.#request(item);
  }

  #request({ conn, method, path, headers, body, bodyBase64 }: Item): void {
    const connection = this.#connection(conn);
    connection.authorization = headers['authorization'];
    const agent = agentHost.exec(headers['host'] ?? '')?.[1];
    const { masterUrl, agents } = this.#options.cluster;
    const url = new URL(agent === undefined ? masterUrl : agents[Number(agent) - 1]!.url);
    const given = sentHeaders.flatMap((name) =>
      headers[name] === undefined ? [] : [[name, this.#mapped(headers[name])]],
    );
    const payload =
      bodyBase64 === undefined
        ? Buffer.from(this.#mapped(body ?? ''))
        : this.#mappedCall(Buffer.from(bodyBase64, 'base64'), path);
    const options = {
      hostname: url.hostname,
      port: url.port,
      method,
      path,
      agent: method === 'HEAD' ? false : connection.agent,
      headers: {
        ...Object.fromEntries(given),
        ...(headers['transfer-encoding'] === undefined ? { 'content-length': payload.length } : {}),
      },
    };
    connection.pending.push(
      new Promise((resolve, reject) => {
        const send = () => {
          const sent = request(options, (message) => {
            if (message.headers['transfer-encoding'] === 'chunked') return resolve({ message, body: undefined });
            let text = '';
            message.on('data', (chunk) => (text += String(chunk)));
            message.on('end', () => resolve({ message, body: text }));
          });
          // A connection that was idle may be closed while the next call is on its way.
          sent.on('error', (error: NodeJS.ErrnoException) =>
            sent.reusedSocket && error.code === 'ECONNRESET' ? send() : reject(error),
          );
          sent.end(payload);
        };
        send();
      }),
    );
  }

  async #response({ conn, status, body, headers }: Item): Promise<void> {
    const connection = this.#connection(conn);
    const given = await connection.pending.shift()!;
    const { statusCode, headers: shown } = given.message;
    expect({ status: statusCode, allow: shown['allow'], authenticate: shown['www-authenticate'] }).toEqual({
      status,
      allow: headers['allow'],
      authenticate: headers['www-authenticate'],
    });
    // A redirect has to lead to the same place of the leader, whatever its address.
    if (headers['location'] !== undefined)
      expect(given.message.headers['location']).toBe(this.#mapped(headers['location']));
    this.compared += 1;
    if (given.body === undefined) this.#listen(connection, given.message);
    connection.streamId = String(given.message.headers['mesos-stream-id'] ?? connection.streamId);
    this.#learn(headers['mesos-stream-id'], given.message.headers['mesos-stream-id'] as string | undefined);
    if (headers['transfer-encoding'] === 'chunked') return;
    if (settled.test(body ?? ''))
      expect(plain(JSON.parse(given.body ?? ''))).toEqual(plain(JSON.parse(this.#mapped(body!))));
    if (body?.startsWith('{"type":"GET_CONTAINERS"')) this.#containers(body, given.body ?? '');
    const isText = headers['content-type']?.startsWith('text/plain');
    if (isText && given.message.statusCode !== 200)
      expect(sorted(given.body ?? '')).toBe(sorted(this.#mapped(body ?? '')));
    if (isText) expect(given.message.headers['content-type']).toBe(headers['content-type']);
  }

  /** Those of executors are learnt by their names. */
  #containers(theirs: string, ours: string): void {
    const containersIn = (text: string) =>
      (JSON.parse(text) as { get_containers: { containers: RecordedContainer[] } }).get_containers.containers;
    for (const { executor_id, container_id } of containersIn(theirs))
      if (executor_id)
        this.#learn(
          container_id.value,
          containersIn(ours).find((one) => one.executor_id?.value === executor_id.value)?.container_id.value,
        );
    // Executors that come with Mesos are no processes of their own here.
    const builtin = containersIn(ours).filter((one) => one.container_status.executor_pid === undefined);
    const ids = new Set(builtin.map(({ container_id }) => container_id.value));
    const compared = (text: string) =>
      containersIn(text)
        .map((one) => containerOf(one, ids.has(one.container_id.value)))
        .sort(byText);
    expect(compared(ours)).toEqual(compared(this.#mapped(theirs)));
  }

  #listen(connection: Connection, message: IncomingMessage): void {
    const decoder = new RecordDecoder();
    connection.message = message;
    message.on('data', (chunk: Buffer) => {
      for (const record of decoder.push(chunk)) {
        const isProtobuf = message.headers['content-type'] === protobuf;
        const event = isProtobuf ? eventOf(record) : (JSON.parse(record.toString()) as RecordedEvent);
        if (event.type === 'OFFERS') connection.offers.push(...(event['offers'] as { offers: RecordedOffer[] }).offers);
        else if (event.type !== 'HEARTBEAT') connection.events.push(event);
      }
    });
    message.on('error', () => message.destroy());
    message.on('close', () => (connection.ended = true));
  }

  async #record({ conn, recordBase64, ...item }: Item): Promise<void> {
    const record = recordBase64 === undefined ? item.record : eventOf(Buffer.from(recordBase64, 'base64'));
    const connection = this.#connection(conn);
    if (record!.type === 'HEARTBEAT') return;
    if (record!.type === 'OFFERS')
      return this.#offers(connection, (record!['offers'] as { offers: RecordedOffer[] }).offers);
    // Of one task in order; between tasks, and between offers that are taken back, Mesos has none.
    const rescinded = this.#mapped(offerOfRescind(record!) ?? '');
    const same = (event: RecordedEvent) =>
      event.type === record!.type &&
      subjectOf(event) === subjectOf(record!) &&
      outputOf(event) === outputOf(record!) &&
      (offerOfRescind(event) ?? '') === rescinded;
    await until(`${JSON.stringify(record)} on ${conn}`, () => connection.events.some(same));
    const [event] = connection.events.splice(connection.events.findIndex(same), 1) as [RecordedEvent];
    if (record!.type === 'SUBSCRIBED') {
      const id = (e: RecordedEvent) => (e['subscribed'] as { framework_id?: { value: string } }).framework_id?.value;
      this.#learn(id(record!), id(event));
      this.#learn(masterOf(record!), masterOf(event));
      expect(event.type).toBe('SUBSCRIBED');
    } else {
      this.#learn(uuidOf(record!), uuidOf(event));
      this.#learn(containerOfUpdate(record!)?.value, containerOfUpdate(event)?.value);
      this.#learn(containerOfUpdate(record!)?.parent?.value, containerOfUpdate(event)?.parent?.value);
      this.#learn(inverseOf(record!)?.id.value, inverseOf(event)?.id.value);
      this.#learn(portOf(record!), portOf(event));
      expect(plain(event)).toEqual(plain(JSON.parse(this.#mapped(JSON.stringify(record))) as RecordedEvent));
    }
    this.compared += 1;
  }

  async #offers(connection: Connection, recorded: RecordedOffer[]): Promise<void> {
    for (const { allocation_info } of recorded) connection.roles.add(allocation_info?.role);
    if (connection.roles.size > 1) await this.#allAlike(connection, recorded);
    for (const theirs of recorded) {
      const index = agentIndex(theirs);
      const { agents } = this.#options.cluster;
      const same = (ours: RecordedOffer) =>
        ours.agent_id.value === agents[index]!.id && ours.allocation_info?.role === theirs.allocation_info?.role;
      const ours = await this.#equalOffer(connection, same, theirs);
      this.#learn(theirs.id.value, ours.id.value);
      this.#learn(theirs.agent_id.value, ours.agent_id.value);
      this.compared += 1;
    }
  }

  /** Which role is asked first on which agent is left to chance: what came otherwise is given back until it comes so. */
  async #allAlike(connection: Connection, recorded: readonly RecordedOffer[]): Promise<void> {
    const { agents } = this.#options.cluster;
    const agentOf = (theirs: RecordedOffer) => agents[agentIndex(theirs)]!.id;
    const isOfThem = (ours: RecordedOffer) => recorded.some((theirs) => agentOf(theirs) === ours.agent_id.value);
    const isAlike = (theirs: RecordedOffer) =>
      connection.offers.some(
        (ours) => ours.agent_id.value === agentOf(theirs) && isDeepStrictEqual(offerOf(ours), offerOf(theirs)),
      );
    const deadline = Date.now() + 12_000;
    while (!recorded.every(isAlike) && Date.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 150));
      const given = connection.offers.filter(isOfThem);
      if (recorded.every(isAlike) || given.length === 0) continue;
      connection.offers = connection.offers.filter((offer) => !isOfThem(offer));
      await this.#giveBack(connection, given, 0);
    }
  }

  /** Our rounds of offers are quicker: what comes too early, with less in it, is given back. */
  async #equalOffer(
    connection: Connection,
    same: (ours: RecordedOffer) => boolean,
    theirs: RecordedOffer,
  ): Promise<RecordedOffer> {
    const deadline = Date.now() + 8000;
    for (;;) {
      await until(`an offer as ${JSON.stringify(theirs)}`, () => connection.offers.some(same));
      const [ours] = connection.offers.splice(connection.offers.findIndex(same), 1) as [RecordedOffer];
      const isEqual = isDeepStrictEqual(offerOf(ours), offerOf(theirs));
      if (!isEqual && Date.now() > deadline) expect(offerOf(ours)).toEqual(offerOf(theirs));
      if (isEqual) return ours;
      // With everything else of that agent, or the parts would be offered apart for ever.
      connection.offers.unshift(ours);
      for (const one of this.#connections.values()) {
        const given = one.offers.filter(same);
        one.offers = one.offers.filter((offer) => !same(offer));
        // Who is not asked here waits, else it would be offered all of it again.
        if (given.length > 0) await this.#giveBack(one, given, one === connection ? 0 : 2);
      }
    }
  }

  async #giveBack(connection: Connection, offers: readonly RecordedOffer[], seconds: number): Promise<void> {
    const call = {
      type: 'DECLINE',
      framework_id: offers[0]!.framework_id,
      decline: { offer_ids: offers.map(({ id }) => id), filters: { refuse_seconds: seconds } },
    };
    await fetch(`${this.#options.cluster.masterUrl}/api/v1/scheduler`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'mesos-stream-id': connection.streamId,
        ...(connection.authorization === undefined ? {} : { authorization: connection.authorization }),
      },
      body: JSON.stringify(call),
    });
  }

  async #close({ conn, by }: Item): Promise<void> {
    const connection = this.#connection(conn);
    if (by === 'client') {
      connection.message?.destroy();
      // The server is told by its own socket; nothing that could be asked would tell it sooner.
      await new Promise((resolve) => setTimeout(resolve, 50));
    } else if (by === 'server') await until(`the end of ${conn}`, () => connection.ended);
  }
}

/** Agents listen at …51, …52 … in the recordings. */
const agentHost = /^127\.0\.0\.1:6[01]5([1-9])$/;
const sentHeaders = [
  ...['content-type', 'accept', 'authorization', 'mesos-stream-id', 'accept-encoding'],
  ...['message-content-type', 'message-accept', 'transfer-encoding'],
];

const json = 'application/json';
const protobuf = 'application/x-protobuf';

/** A record in protobuf as the one in JSON would be. */
const eventOf = (bytes: Uint8Array): RecordedEvent =>
  JSON.parse(schedulerEvent.encode(schedulerEvent.decode(bytes, protobuf), json).toString()) as RecordedEvent;

/** Agents listen at …51, …52, …53 in the recordings. */
const agentIndex = (offer: RecordedOffer): number => (offer.url.address.port % 10) - 1;

/** The task or the operation that an update is of. */
const subjectOf = (event: RecordedEvent): string | undefined =>
  (event['update'] as { status: { task_id: { value: string } } } | undefined)?.status.task_id.value ??
  operationOf(event)?.operation_id.value;

interface RecordedId {
  value: string;
  parent?: RecordedId;
}
interface RecordedContainer {
  framework_id?: RecordedId;
  executor_id?: RecordedId;
  executor_name?: string;
  container_id: RecordedId;
  container_status: { container_id: RecordedId; executor_pid?: number };
  resource_statistics: Record<string, number>;
}

/** Without numbers of processes, and what they used. */
function containerOf(
  { container_status, resource_statistics, ...container }: RecordedContainer,
  isBuiltin: boolean,
): unknown {
  if (isBuiltin) return plain({ ...container, id: container_status.container_id });
  const limits = Object.entries(resource_statistics).filter(([name]) => /limit/.test(name));
  return plain({
    ...container,
    id: container_status.container_id,
    hasPid: typeof container_status.executor_pid,
    limits: limits.map(([name, value]) => [name, Math.round(value * 1000)]).sort(byText),
  });
}

const containerOfUpdate = (event: RecordedEvent): RecordedId | undefined =>
  (event['update'] as { status: { container_status?: { container_id?: RecordedId } } } | undefined)?.status
    .container_status?.container_id;

/** Of a container: which of its streams. */
const outputOf = (event: RecordedEvent): string | undefined => (event['data'] as { type: string } | undefined)?.type;

const operationOf = (event: RecordedEvent) =>
  (
    event['update_operation_status'] as
      { status: { operation_id: { value: string }; uuid?: { value: string } } } | undefined
  )?.status;

const offerOfRescind = (event: RecordedEvent): string | undefined =>
  (event['rescind'] as { offer_id: { value: string } } | undefined)?.offer_id.value;

const uuidOf = (event: RecordedEvent): string | undefined =>
  (event['update'] as { status: { uuid?: string } } | undefined)?.status.uuid ?? operationOf(event)?.uuid?.value;

/** One inverse offer an event, as recorded. */
const inverseOf = (event: RecordedEvent) =>
  (
    event['inverse_offers'] as
      { inverse_offers: { id: { value: string }; url: { address: { port: number } } }[] } | undefined
  )?.inverse_offers[0];

/** Of an agent's own address, as JSON has it. */
const portOf = (event: RecordedEvent): string | undefined => {
  const inverse = inverseOf(event);
  return inverse && `"port":${inverse.url.address.port}`;
};

const masterOf = (event: RecordedEvent): string | undefined =>
  (event['subscribed'] as { master_info?: { id: string } }).master_info?.id;

function offerOf(offer: object): unknown {
  const { id: _id, framework_id: _framework, agent_id: _agent, url: _url, ...rest } = offer as Record<string, unknown>;
  return plain(rest);
}

const volatile = new Set(['timestamp', 'uuid', 'container_status', 'unreachable_time', 'nanoseconds']);

const unordered = new Set(['resources', 'executor_ids']);

/** Without what differs from run to run. Order of repeated resources does not matter. */
function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value === 'string')
    return sorted(value.replace(/(container '|runs\/)[0-9a-f-]{36}/, '$1…').replace(/'[^' ]+\/slaves\//, "'…/slaves/"));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key]) => !volatile.has(key))
      .sort(([one], [other]) => (one < other ? -1 : 1))
      .map(([key, inner]) => [
        key,
        unordered.has(key) && Array.isArray(inner) ? inner.map(plain).sort(byText) : plain(inner),
      ]),
  );
}

/** Mesos lists resources in no particular order in its sentences either. */
function sorted(text: string): string {
  const [, before, list, missing] = /^((?:Invalid \w+ operation: )?)(.*) does not contain (.*)$/.exec(text) ?? [];
  if (list === undefined || missing === undefined) return text;
  const inOrder = (items: string) => items.split('; ').sort().join('; ');
  return `${before}${inOrder(list)} does not contain ${inOrder(missing)}`;
}

const byText = (a: unknown, b: unknown): number => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1);

export async function until(what: string, condition: () => boolean, ms = 15_000): Promise<void> {
  const deadline = Date.now() + ms;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`never came: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
