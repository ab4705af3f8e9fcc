import { expect } from '@jest/globals';
import { delay } from '../../../lib/delay.ts';
import { builtinIn, containerId, containersIn, containersOf, executorOf, plain, sorted } from './alike.ts';
import { Connection, type Given } from './connection.ts';
import { listAt, parse } from './json.ts';
import { Names } from './names.ts';
import { Offers } from './offers.ts';
import { type Item, agentOf, namesIn, offerId, offerOfRescind, outputOf, subjectOf, typeOf } from './recording.ts';
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

  constructor(options: ReplayOptions) {
    this.#options = options;
    this.#names.learnAll(options.replace ?? {});
    this.#offers = new Offers(options.cluster, () => this.#connections.values());
  }

  close(): void {
    for (const connection of this.#connections.values()) connection.close();
  }

  async play(item: Item): Promise<void> {
    if (item.dir === 'note') this.#names.learnAll((await this.#options.onNote?.(item.text, item.data)) ?? {});
    else if (item.dir === 'request') await this.#request(item);
    else if (item.dir === 'response') await this.#response(item);
    else if (item.dir === 'record') await this.#record(item);
    else if (item.dir === 'close') await this.#close(item);
    this.#last = item.t;
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
    const { masterUrl, agents } = this.#options.cluster;
    const url = new URL(agent === undefined ? masterUrl : (agents[Number(agent) - 1]?.url ?? ''));
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

  async #record({ conn, event: theirs }: Item): Promise<void> {
    const connection = this.#connection(conn);
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
    if (type !== 'SUBSCRIBED') expect(plain(ours)).toEqual(plain(parse(this.#names.mapped(JSON.stringify(theirs)))));
    this.compared += 1;
  }

  /** Of one task in order; between tasks, and between offers that are taken back, Mesos has none. */
  async #event(theirs: unknown, connection: Connection, name: string): Promise<unknown> {
    const rescinded = this.#names.mapped(offerOfRescind(theirs) ?? '');
    const isIt = (ours: unknown) =>
      typeOf(ours) === typeOf(theirs) &&
      subjectOf(ours) === subjectOf(theirs) &&
      outputOf(ours) === outputOf(theirs) &&
      (offerOfRescind(ours) ?? '') === rescinded;
    await until(`${JSON.stringify(theirs)} on ${name}`, () => connection.events.some(isIt));
    return connection.events.splice(connection.events.findIndex(isIt), 1)[0];
  }

  async #close({ conn, by }: Item): Promise<void> {
    const connection = this.#connection(conn);
    if (by === 'client') {
      connection.breakStream();
      // The server is told by its own socket; nothing that could be asked would tell it sooner.
      await new Promise((resolve) => setTimeout(resolve, 50));
    } else if (by === 'server') await until(`the end of ${conn}`, () => connection.ended);
  }
}

const both = <T>([theirs, ours]: readonly [unknown, unknown], of: (value: unknown) => T): [T, T] => [
  of(theirs),
  of(ours),
];
