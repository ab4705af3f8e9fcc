import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import pino from 'pino';
import { keepSubscribed, Leader } from '../../mesos/subscription.ts';
import { schedulerEvent } from '../../mesos/codec.ts';
import { encodeRecord } from '../../mesos/recordio.ts';
import type { Call, Event } from '../../mesos/scheduler.ts';
import { schedulerApi } from '../../mesos/session.ts';
import { eventually } from '../eventually.ts';

const stops: (() => unknown)[] = [];
afterEach(() => {
  for (const stop of stops.splice(0)) stop();
});

const subscribed: Event = { type: 'SUBSCRIBED', subscribed: { framework_id: { value: 'f-0' } } };
const good = encodeRecord(schedulerEvent.encode(subscribed, 'application/x-protobuf'));
const chunk = (bytes: Uint8Array) =>
  Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from('\r\n')]);
const head =
  'HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nMesos-Stream-Id: s\r\nTransfer-Encoding: chunked\r\n\r\n';

type Misdeed = (socket: Socket) => void;

/**
 * A master of raw sockets that answers each SUBSCRIBE with 200, one record (a good one unless told) and the next misdeed; when there is none
 * left it stays good. Answers GET /redirect like one that leads.
 */
async function fakeMaster(misdeeds: Misdeed[], first: Uint8Array = good): Promise<string> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.on('data', (data) => {
      const text = data.toString('latin1');
      if (text.startsWith('GET /redirect'))
        socket.end(`HTTP/1.1 307 Temporary Redirect\r\nLocation: ${url}\r\nContent-Length: 0\r\n\r\n`);
      if (!text.startsWith('POST /api/v1/scheduler')) return;
      socket.write(head);
      socket.write(chunk(first));
      misdeeds.shift()?.(socket);
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  stops.push(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return url;
}

interface Line {
  msg: string;
  err?: { code?: string; message: string };
}

/** Keeps a subscription and logs each end of it as the framework does. */
async function subscribeTo(
  misdeeds: Misdeed[],
  first?: Uint8Array,
): Promise<{ ups: () => number; got: string[]; at: number[]; ends: () => Line[] }> {
  const lines: Line[] = [];
  const log = pino({ level: 'debug' }, { write: (line: string) => void lines.push(JSON.parse(line) as Line) });
  const stop = new AbortController();
  stops.push(() => stop.abort());
  const masters = {
    masters: await fakeMaster(misdeeds, first),
    credentials: undefined,
    tls: undefined,
    zooKeeperTls: undefined,
  };
  const got: string[] = [];
  const at: number[] = [];
  let ups = 0;
  const subscriber = {
    protocol: schedulerApi,
    subscribe: (): Call => ({ type: 'SUBSCRIBE', subscribe: { framework_info: { user: 'u', name: 'n' } } }),
    up: () => void (ups += 1),
    event: ({ type }: Event) => {
      got.push(type);
      at.push(performance.now());
    },
    down: (err: Error) => log.warn({ err }, 'no subscription'),
  };
  void keepSubscribed(new Leader(masters, log, stop.signal), masters, subscriber, stop.signal);
  return { ups: () => ups, got, at, ends: () => lines.filter(({ msg }) => msg === 'no subscription') };
}

const bytes = (text: string) => Buffer.from(text, 'latin1');

describe('a subscription to a master that goes wrong', () => {
  test.each<[string, Misdeed, RegExp]>([
    ['a line that is no length', (socket) => socket.write(chunk(bytes('<html>\n'))), /expected the length of a record/],
    ['a length without end', (socket) => socket.write(chunk(bytes('9'.repeat(100)))), /length of a record/],
    [
      'a record that is no protobuf',
      (socket) => socket.write(chunk(encodeRecord(bytes('\xff\xff\xff\xff')))),
      /a record of the stream is no mesos.v1.scheduler.Event/,
    ],
    [
      'JSON where protobuf was agreed on',
      (socket) => socket.write(chunk(encodeRecord(bytes('{"type":"HEARTBEAT"}')))),
      /a record of the stream is no mesos.v1.scheduler.Event/,
    ],
    [
      'a record cut in half, and the end of the stream',
      (socket) => socket.write(Buffer.concat([chunk(good.subarray(0, good.length / 2)), bytes('0\r\n\r\n')])),
      /the stream cannot be read further/,
    ],
    [
      'a record cut in half, and the end of the connection',
      (socket) => socket.write(chunk(good.subarray(0, good.length / 2)), () => socket.destroy()),
      /the connection failed/,
    ],
    ['garbage where a chunk should be', (socket) => socket.write('zzzz\r\n'), /the connection failed/],
  ])('ends at %s with a logged reason, and comes again', async (_what, misdeed, reason) => {
    const { ups, got, ends } = await subscribeTo([misdeed]);
    await eventually(() => expect(ups()).toBe(2));
    await eventually(() => expect(got).toEqual(['SUBSCRIBED', 'SUBSCRIBED']));
    expect(ends()).toHaveLength(1);
    expect(ends()[0]!.err!.message).toMatch(reason);
  });

  test('comes again less and less often while it is refused in an event, after a 200', async () => {
    const error: Event = { type: 'ERROR', error: { message: "Changing framework's principal is not allowed." } };
    const refusal = encodeRecord(schedulerEvent.encode(error, 'application/x-protobuf'));
    const { got, at } = await subscribeTo(
      Array.from({ length: 9 }, () => (socket: Socket) => socket.end('0\r\n\r\n')),
      refusal,
    );
    await eventually(() => expect(got.length).toBeGreaterThan(3), 15_000);
    expect(new Set(got)).toEqual(new Set(['ERROR']));
    const [, , third = 0, fourth = 0] = at;
    expect(fourth - third).toBeGreaterThan(900);
  });

  test('comes again as often as needed', async () => {
    const misdeeds = Array.from({ length: 3 }, () => (socket: Socket) => socket.write(chunk(bytes('no\n'))));
    const { ups, got, ends } = await subscribeTo(misdeeds);
    await eventually(() => expect(ups()).toBe(4));
    await eventually(() => expect(got).toHaveLength(4));
    expect(ends()).toHaveLength(3);
  });
});
