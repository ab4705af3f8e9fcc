import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, describe, expect, test } from '@jest/globals';
import { silent } from '../../lib/log.ts';
import { addressOf, leadingNode } from '../../mesos/leader-zookeeper.ts';
import { leaders, parseLeaderSpec } from '../../mesos/leader.ts';

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

/** A master that points wherever `to` says; nowhere answers 503. */
async function master(to: () => string | undefined): Promise<string> {
  const server = createServer((request, response) => {
    const leader = to();
    if (request.url !== '/redirect') response.writeHead(404).end();
    else if (leader === undefined) response.writeHead(503).end('No leader elected');
    else response.writeHead(307, { location: leader.replace('http:', '') }).end();
  }).listen(0, '127.0.0.1');
  servers.push(server);
  await once(server, 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe('where the masters are', () => {
  test.each([
    ['h1', { kind: 'masters', urls: ['http://h1:5050'] }],
    ['h1:6050,h2', { kind: 'masters', urls: ['http://h1:6050', 'http://h2:5050'] }],
    ['https://m.example/', { kind: 'masters', urls: ['https://m.example'] }],
    ['zk://a:1,b/mesos', { kind: 'zookeeper', servers: ['a:1', 'b:2181'], path: '/mesos', digest: undefined }],
    ['zk://u:p@a:1/x/y/', { kind: 'zookeeper', servers: ['a:1'], path: '/x/y', digest: 'u:p' }],
    ['zk://a', { kind: 'zookeeper', servers: ['a:2181'], path: '/', digest: undefined }],
    ['zk://[::1]:2181/m', { kind: 'zookeeper', servers: ['[::1]:2181'], path: '/m', digest: undefined }],
    ['file:///etc/mesos/zk', { kind: 'file', path: '/etc/mesos/zk' }],
  ])('reads %s', (text, spec) => {
    expect(parseLeaderSpec(text)).toEqual(spec);
  });

  test('says what would be right, and shows no password', () => {
    expect(() => parseLeaderSpec('')).toThrow('expected host:port');
    expect(() => parseLeaderSpec('a b')).toThrow('expected host:port');
    expect(() => parseLeaderSpec('zk://user:secret@/m')).toThrow('zk://…@/m');
    expect(() => parseLeaderSpec('zk://user@h/m')).toThrow('expected zk://');
  });
});

describe('the leader among plain masters', () => {
  test('is found through any of them, and followed when it changes', async () => {
    let leader: string | undefined;
    const one = await master(() => leader);
    const two = await master(() => leader);
    const stop = new AbortController();
    const dead = 'http://127.0.0.1:1';
    const told = leaders(`${dead},${one}`, { log: silent, signal: stop.signal, interval: 10 });
    expect((await told.next()).value).toBeUndefined();
    leader = two;
    expect((await told.next()).value).toBe(two);
    leader = one;
    expect((await told.next()).value).toBe(one);
    const last = told.next();
    stop.abort();
    expect((await last).done).toBe(true);
  });

  test('can be named by a file', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'km-leader-'));
    try {
      const url: string = await master(() => url);
      writeFileSync(join(dir, 'zk'), `${url}\n`);
      const stop = new AbortController();
      const told = leaders(pathToFileURL(join(dir, 'zk')).href, { log: silent, signal: stop.signal });
      expect((await told.next()).value).toBe(url);
      stop.abort();
      await told.return();
    } finally {
      rmSync(dir, { recursive: true });
    }
  });
});

describe('the election in ZooKeeper', () => {
  test('is won by the lowest number among the masters', () => {
    expect(leadingNode(['log_replicas', 'json.info_0000000012', 'json.info_0000000003', 'info_0000000001'])).toBe(
      'json.info_0000000003',
    );
    expect(leadingNode(['log_replicas'])).toBeUndefined();
  });

  test('tells an address, also of masters that wrote less', () => {
    expect(addressOf(Buffer.from('{"address":{"ip":"::1","port":5050}}'), 'https')).toBe('https://[::1]:5050');
    expect(addressOf(Buffer.from('{"hostname":"h","port":5050}'), 'http')).toBe('http://h:5050');
    expect(() => addressOf(Buffer.from('{}'), 'http')).toThrow(SyntaxError);
  });
});
