import { expect } from '@jest/globals';
import { delay } from '../../../lib/delay.ts';
import { builtinIn, containerId, containersIn, containersOf, executorOf, plain, sorted } from './alike.ts';
import { Connection, type Given } from './connection.ts';
import { at, entriesAt, listAt, parse, textAt } from './json.ts';
import { type Learnt, Names } from './names.ts';
import { Offers } from './offers.ts';
import type { Programs } from './programs.ts';
import {
  agentIndex,
  agentOf,
  type Item,
  namesIn,
  offerId,
  offerOfRescind,
  outputOf,
  subjectOf,
  typeOf,
} from './recording.ts';
import type { ReplayOptions } from './replay.ts';
import { until } from './until.ts';

const longestPause = 500;

/** Answers that say the same on every master on which nothing was set, and of every container that ended so. */
const settled =
  /^\{"type":"(GET_(HEALTH|LOGGING_LEVEL|WEIGHTS|QUOTA|MAINTENANCE_STATUS|MAINTENANCE_SCHEDULE|OPERATIONS)|WAIT_\w+)"/;

/** Agents listen at …51, …52 … in the recordings. */
const agentHost = /^127\.0\.0\.1:6[01]5([1-9])$/;
const sentHeaders = [
  ...['content-type', 'accept', 'authorization', 'mesos-stream-id', 'accept-encoding'],
  ...['message-content-type', 'message-accept', 'transfer-encoding'],
];

/** Does what the client did, line by line, and waits for what the server said. */
export class Player {
  /** Answers and events that were held against recorded ones. */
  compared = 0;
  /** When the recording had the item before. */
  #last = 0;
  readonly #options: ReplayOptions;
  readonly #connections = new Map<string, Connection>();
  readonly #names = new Names();
  readonly #offers: Offers;
  readonly #programs: Programs | undefined;
  /** Executors that end as soon as they are subscribed. */
  readonly #shy = new Set<string>();

  constructor(options: ReplayOptions, programs: Programs | undefined) {
    this.#options = options;
    this.#programs = programs;
    options.cluster.agents.forEach(({ url }, i) => {
      for (const start of [605, 615]) this.#names.learnAll(portNames(`${start}${i + 1}`, new URL(url).port));
    });
    this.#names.learnAll({ ...programs?.names, ...options.replace });
    this.#offers = new Offers(options.cluster, () => this.#connections.values());
  }

  close(): void {
    for (const connection of this.#connections.values()) connection.close();
  }

  async play(item: Item): Promise<void> {
    if (item.conn.startsWith('fetch')) await this.#fetched(item);
    else if (item.dir === 'note') await this.#note(item);
    else if (item.dir === 'request') await this.#request(item);
    else if (item.dir === 'response') await this.#response(item);
    else if (item.dir === 'record') await this.#record(item);
    else if (item.dir === 'close') await this.#close(item);
    this.#last = item.t;
  }

  /** Nothing may have been said that is not recorded, where all is told in order. */
  finish(): void {
    for (const [name, { api, events }] of this.#connections)
      if (api.isOrdered) expect({ name, events }).toEqual({ name, events: [] });
    expect(this.#programs?.asked ?? []).toEqual([]);
  }

  async #note({ text, data }: Item): Promise<void> {
    this.#names.learnAll((await this.#options.onNote?.(text, data)) ?? {});
    const [, executor, does, code = '0'] =
      /^executor (\S+?):? (started|.*exits)(?: with code)? ?(\d*)/.exec(text) ?? [];
    if (!this.#programs || executor === undefined) return;
    if (does === 'started')
      await this.#started(executor, at(data, 'env'), await this.#programs.environmentOf(executor));
    else this.#programs.end(executor, code);
  }

  async #started(executor: string, theirs: unknown, ours: unknown): Promise<void> {
    if (at(theirs, 'EXEC_EXIT_AT_SUBSCRIBED') !== undefined) this.#shy.add(executor);
    const sandboxes = [theirs, ours].map((found) =>
      /^(.*\/slaves)\/.*\/(.*)$/.exec(textAt(found, 'MESOS_SANDBOX') ?? ''),
    );
    for (const part of [1, 2]) this.#names.learn(sandboxes[0]?.[part], sandboxes[1]?.[part]);
    const comparable = (found: unknown) => Object.fromEntries(entriesAt(found).filter(([name]) => name !== 'PATH'));
    expect(comparable(ours)).toEqual(parse(this.#names.mapped(JSON.stringify(comparable(theirs)))));
    this.compared += 1;
  }

  /** By an agent, from us. */
  async #fetched({ dir, method, path }: Item): Promise<void> {
    if (dir !== 'request') return;
    const asked = this.#programs?.asked ?? [];
    await until(`${method} ${path}`, () => asked.length > 0);
    expect(asked.shift()).toBe(`${method} ${path}`);
    this.compared += 1;
  }

  #connection(name: string): Connection {
    let connection = this.#connections.get(name);
    if (!connection) this.#connections.set(name, (connection = new Connection()));
    return connection;
  }

  async #request(item: Item): Promise<void> {
    const { keepsPace } = this.#options;
    const waits = keepsPace === true || keepsPace?.test(item.body ?? '');
    const gap = waits ? Math.min(longestPause, item.t - this.#last) : 0;
    if (gap > 0) await delay(gap);
    this.#send(item);
  }

  #send({ conn, method, path, headers, body, bodyBase64 }: Item): void {
    const connection = this.#connection(conn);
    connection.authorization = headers['authorization'];
    const agent = agentHost.exec(headers['host'] ?? '')?.[1];
    const { cluster, masters } = this.#options;
    const { masterUrl, agents } = cluster;
    const master = masters?.[headers['host'] ?? ''] ?? masterUrl;
    const url = new URL(agent === undefined ? master : (agents[Number(agent) - 1]?.url ?? ''));
    const given = sentHeaders.flatMap((name) =>
      headers[name] === undefined ? [] : [[name, this.#names.mapped(headers[name])]],
    );
    const payload =
      bodyBase64 === undefined
        ? Buffer.from(this.#names.mapped(body ?? ''))
        : this.#names.mappedCall(Buffer.from(bodyBase64, 'base64'), path);
    const length = headers['transfer-encoding'] === undefined ? { 'content-length': payload.length } : {};
    connection.send(
      { hostname: url.hostname, port: url.port, method, path, headers: { ...Object.fromEntries(given), ...length } },
      payload,
    );
  }

  async #response({ conn, status, body = '', headers }: Item): Promise<void> {
    const connection = this.#connection(conn);
    const given = await connection.answer();
    const { statusCode, headers: shown } = given.message;
    expect({ status: statusCode, allow: shown['allow'], authenticate: shown['www-authenticate'] }).toEqual({
      status,
      allow: headers['allow'],
      authenticate: headers['www-authenticate'],
    });
    // A redirect has to lead to the same place of the leader, whatever its address.
    if (headers['location'] !== undefined) expect(shown['location']).toBe(this.#names.mapped(headers['location']));
    this.compared += 1;
    if (given.body === undefined) connection.listen(given.message);
    const streamId = shown['mesos-stream-id'];
    if (typeof streamId === 'string') {
      connection.streamId = streamId;
      this.#names.learn(headers['mesos-stream-id'], streamId);
    }
    if (headers['transfer-encoding'] !== 'chunked') this.#body(body, given, headers['content-type'] ?? '');
  }

  #body(theirs: string, { message, body: ours = '' }: Given, contentType: string): void {
    if (settled.test(theirs)) expect(plain(parse(ours))).toEqual(plain(parse(this.#names.mapped(theirs))));
    if (theirs.startsWith('{"type":"GET_CONTAINERS"')) this.#containers(theirs, ours);
    if (!contentType.startsWith('text/plain')) return;
    if (message.statusCode !== 200) expect(sorted(ours)).toBe(sorted(this.#names.mapped(theirs)));
    expect(message.headers['content-type']).toBe(contentType);
  }

  /** Those of executors are learnt by their names. */
  #containers(theirs: string, ours: string): void {
    const given = parse(ours);
    for (const one of containersIn(parse(theirs))) {
      const executor = executorOf(one);
      if (executor === undefined) continue;
      this.#names.learn(containerId(one), containerId(containersIn(given).find((it) => executorOf(it) === executor)));
    }
    const builtin = builtinIn(given);
    expect(containersOf(given, builtin)).toEqual(containersOf(parse(this.#names.mapped(theirs)), builtin));
  }

  async #record({ conn, record, recordBase64 }: Item): Promise<void> {
    const connection = this.#connection(conn);
    const theirs = recordBase64 === undefined ? record : connection.api.event(Buffer.from(recordBase64, 'base64'));
    const type = typeOf(theirs);
    if (type === 'HEARTBEAT') return;
    if (type === 'OFFERS') {
      for (const pair of await this.#offers.equalTo(listAt(theirs, 'offers', 'offers'), connection)) {
        this.#names.learn(...both(pair, offerId));
        this.#names.learn(...both(pair, agentOf));
        this.compared += 1;
      }
      return;
    }
    const ours = await this.#event(theirs, connection, conn);
    const [recorded, given] = [namesIn(theirs), namesIn(ours)];
    recorded.forEach((name, i) => this.#names.learn(name, given[i]));
    for (const agent of listAt(theirs, 'subscribed', 'get_state', 'get_agents', 'agents'))
      this.#names.learn(
        textAt(agent, 'agent_info', 'id', 'value'),
        this.#options.cluster.agents[agentIndex(agent)]?.id,
      );
    if (!isOverview(theirs)) expect(plain(ours)).toEqual(plain(parse(this.#names.mapped(JSON.stringify(theirs)))));
    this.compared += 1;
    this.#heard(conn, ours);
  }

  /** What the program of a recorded executor does without a word. */
  #heard(conn: string, event: unknown): void {
    const [, executor] = /^(ex.*)-sub\d*$/.exec(conn) ?? [];
    if (executor === undefined) return;
    const message = Buffer.from(textAt(event, 'message', 'data') ?? '', 'base64').toString();
    if (typeOf(event) === 'SUBSCRIBED' && this.#shy.has(executor)) {
      this.#programs?.end(executor, '9');
      this.#connection(conn).leave();
    } else if (message === 'crash') this.#programs?.end(executor, 'SIGKILL');
  }

  /** Of one task in order; between tasks, and between offers that are taken back, Mesos has none. */
  async #event(theirs: unknown, connection: Connection, name: string): Promise<unknown> {
    const rescinded = this.#names.mapped(offerOfRescind(theirs) ?? '');
    const isIt = (ours: unknown) =>
      typeOf(ours) === typeOf(theirs) &&
      subjectOf(ours) === subjectOf(theirs) &&
      outputOf(ours) === outputOf(theirs) &&
      (offerOfRescind(ours) ?? '') === rescinded;
    const next = () => (connection.api.isOrdered ? ofOneType(connection.events) : connection.events).findIndex(isIt);
    await until(
      () => `${JSON.stringify(theirs)} on ${name}, but ${JSON.stringify(connection.events)}`,
      () => next() >= 0,
    );
    return connection.events.splice(next(), 1)[0];
  }

  async #close({ conn, by, error }: Item): Promise<void> {
    const connection = this.#connection(conn);
    if (error === 'ECONNREFUSED') {
      await expect(connection.answer()).rejects.toThrow(error);
      this.compared += 1;
    } else if (by === 'client') {
      connection.breakStream();
      // The server is told by its own socket; nothing that could be asked would tell it sooner.
      await new Promise((resolve) => setTimeout(resolve, 50));
    } else if (by === 'server') await until(`the end of ${conn}`, () => connection.ended);
  }
}

/** Who subscribes at a master is told all of it, which tests of their own compare. */
const isOverview = (event: unknown): boolean =>
  typeOf(event) === 'SUBSCRIBED' && at(event, 'subscribed', 'executor_info') === undefined;

/** The events that come next: there is no order between tasks that are told of at once. */
function ofOneType(events: readonly unknown[]): unknown[] {
  const other = events.findIndex((event) => typeOf(event) !== typeOf(events[0]));
  return other < 0 ? [...events] : events.slice(0, other);
}

/** An agent's port, as bodies and texts have it. */
const portNames = (theirs: string, ours: string): Learnt => ({
  [`127.0.0.1:${theirs}`]: `127.0.0.1:${ours}`,
  [`"port":${theirs}`]: `"port":${ours}`,
});

const both = <T>([theirs, ours]: readonly [unknown, unknown], of: (value: unknown) => T): [T, T] => [
  of(theirs),
  of(ours),
];
