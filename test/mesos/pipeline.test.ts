import { once } from 'node:events';
import { createServer as createHttpServer, type ServerResponse } from 'node:http';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import { schedulerCall, schedulerEvent } from '../../mesos/codec.ts';
import { encodeRecord } from '../../mesos/recordio.ts';
import { openSession, schedulerApi } from '../../mesos/session.ts';
import type { Call, Event } from '../../mesos/scheduler.ts';
import { listen } from '../../devcluster/http.ts';

const json = 'application/json';
const subscribe: Call = { type: 'SUBSCRIBE', subscribe: { framework_info: { user: 'u', name: 'n' } } };
const subscribed: Event = { type: 'SUBSCRIBED', subscribed: { framework_id: { value: 'f-0' } } };
const kill = (index: number): Call => ({ type: 'KILL', kill: { task_id: { value: String(index) } } });
const indexOf = (body: Buffer | string) => {
  const call = schedulerCall.decode(Buffer.from(body), json);
  return call.type === 'KILL' ? Number(call.kill.task_id.value) : -1;
};
const indexes = (count: number) => Array.from({ length: count }, (_, index) => index);

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

async function listening(server: Server): Promise<string> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  cleanups.push(() => server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
async function open(url: string) {
  const session = await openSession({ protocol: schedulerApi, url, subscribe, contentType: json });
  cleanups.push(() => session.close());
  return session;
}
const stream = (response: ServerResponse) =>
  response.writeHead(200, { 'content-type': json }).write(encodeRecord(schedulerEvent.encode(subscribed, json)));

type OnCall = (index: number, socket: Socket) => void;

/** A server of raw sockets: it takes what arrives at once, and answers only what `onCall` writes. */
function rawServer(onCall: OnCall): Server {
  return createServer((socket) => {
    cleanups.push(() => socket.destroy());
    socket.on('error', () => socket.destroy());
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk.toString();
      for (;;) {
        const head = text.indexOf('\r\n\r\n');
        const length = Number(/content-length: (\d+)/i.exec(text)?.[1] ?? 0);
        if (head < 0 || text.length < head + 4 + length) return;
        const body = text.slice(head + 4, head + 4 + length);
        text = text.slice(head + 4 + length);
        const index = indexOf(body);
        if (index >= 0) onCall(index, socket);
        else socket.write(streamHead());
      }
    });
  });
}
function streamHead(): string {
  const record = encodeRecord(schedulerEvent.encode(subscribed, json)).toString();
  const chunk = `${Buffer.byteLength(record).toString(16)}\r\n${record}\r\n`;
  return `HTTP/1.1 200 OK\r\nContent-Type: ${json}\r\nTransfer-Encoding: chunked\r\n\r\n${chunk}`;
}
const taken = 'HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n';

/** What became of each of `count` calls made at once. */
async function outcomes(session: Awaited<ReturnType<typeof open>>, count: number): Promise<string[]> {
  const calls = indexes(count).map((index) =>
    session.call(kill(index)).then(
      () => 'taken',
      (error: { code: string }) => error.code,
    ),
  );
  return Promise.all(calls);
}

describe('the calls of a session', () => {
  test('leave without waiting for the answers to those before', async () => {
    const arrived: number[] = [];
    const url = await listening(
      rawServer((index, socket) => {
        arrived.push(index);
        // Answers nothing until twenty are there: one at a time, the first call would wait for ever.
        if (index === 19) socket.write(taken.repeat(20));
        if (index > 19) socket.write(taken);
      }),
    );
    const session = await open(url);
    expect(new Set(await outcomes(session, 30))).toEqual(new Set(['taken']));
    expect(arrived).toEqual(indexes(30));
  });

  test('arrive in order when a server needs a moment for each, and many do not take many moments', async () => {
    const arrived: number[] = [];
    const server = createHttpServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const index = indexOf(Buffer.concat(chunks));
        if (index < 0) return void stream(response);
        arrived.push(index);
        setTimeout(() => response.writeHead(202).end(), 10);
      });
    });
    const session = await open(await listening(server));
    const began = performance.now();
    await outcomes(session, 1000);
    expect(arrived).toEqual(indexes(1000));
    // One after the other they would need at least 10 s.
    expect(performance.now() - began).toBeLessThan(3000);
  });

  test('are rejected when the connection breaks before their answers, and never sent twice', async () => {
    const arrived: number[] = [];
    const url = await listening(
      rawServer((index, socket) => {
        arrived.push(index);
        if (index === 40) {
          socket.write(taken.repeat(10), () => socket.destroy());
          return;
        }
        if (index === 1000) socket.write(taken);
      }),
    );
    const session = await open(url);
    const ends = await outcomes(session, 200);
    expect(ends.slice(0, 10)).toEqual(Array(10).fill('taken'));
    expect(ends.slice(10)).toEqual(Array(190).fill('connection'));
    // The session goes on over a new connection; what was sent before must not come first.
    await session.call(kill(1000));
    expect(arrived.length).toBe(new Set(arrived).size);
    expect(arrived.at(-1)).toBe(1000);
    expect(arrived.slice(0, -1)).toEqual(indexes(arrived.length - 1));
  });

  test('that follow an answer with "Connection: close" are rejected and not sent again', async () => {
    const arrived: number[] = [];
    const url = await listening(
      rawServer((index, socket) => {
        arrived.push(index);
        if (index === 9) socket.write('HTTP/1.1 202 Accepted\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
        if (index === 1000) socket.write(taken);
      }),
    );
    const session = await open(url);
    const ends = await outcomes(session, 20);
    expect(ends).toEqual(['taken', ...Array<string>(19).fill('connection')]);
    await session.call(kill(1000));
    expect(arrived.length).toBe(new Set(arrived).size);
  });

  test('are rejected as closed when the session is over', async () => {
    let reach = () => {};
    const reached = new Promise<void>((resolve) => (reach = resolve));
    const url = await listening(rawServer((index) => index === 5 && reach()));
    const session = await open(url);
    const ends = outcomes(session, 100);
    await reached;
    session.close();
    expect(new Set(await ends)).toEqual(new Set(['closed']));
    await expect(session.call(kill(0))).rejects.toMatchObject({ code: 'closed' });
  });
});

test('the server of a devcluster handles pipelined requests in order, whatever the size of their bodies', async () => {
  const arrived: number[] = [];
  const server = await listen(0, ({ body, response }) => {
    const index = indexOf(body);
    if (index < 0) return void stream(response);
    arrived.push(index);
    response.writeHead(202).end();
  });
  cleanups.push(() => server.close());
  const session = await open(`http://127.0.0.1:${server.port}`);
  const calls = indexes(300).map((index) => {
    const reason = index % 7 === 0 ? 'x'.repeat(300_000) : '';
    const message = { agent_id: { value: reason }, task_id: { value: String(index) } };
    return session.call({ type: 'KILL', kill: message });
  });
  await Promise.all(calls);
  expect(arrived).toEqual(indexes(300));
});
