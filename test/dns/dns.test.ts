import { createSocket, type Socket } from 'node:dgram';
import { Resolver } from 'node:dns/promises';
import { once } from 'node:events';
import { connect, type AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { decode, encode, streamEncode, type Answer } from 'dns-packet';
import fc from 'fast-check';
import type { Client } from '../../client/client.ts';
import { options, start } from '../../dns/index.ts';
import { silent } from '../../lib/log.ts';
import { defaultsOf } from '../../lib/options.ts';
import { startServer, type TestServer } from '../apiserver/harness.ts';
import { eventually } from '../eventually.ts';
import { overTcp, overUdp, rcodeOf, sendUdp } from './ask.ts';

// https://github.com/kubernetes/dns/blob/master/docs/specification.md

let server: TestServer;
let client: Client;
let upstream: Socket;
let asked: string[];
let dns: Awaited<ReturnType<typeof start>>;
const stopping = new AbortController();
const resolver = new Resolver({ timeout: 2000, tries: 1 });

beforeAll(async () => {
  server = await startServer({ serviceCidr: ['10.96.0.0/12', 'fd00:1::/108'] });
  client = server.client();
  asked = [];
  upstream = await startUpstream();
  dns = await start(
    { ...defaultsOf(options), port: 0, upstream: [`127.0.0.1:${(upstream.address() as AddressInfo).port}`] },
    { client, log: silent, signal: stopping.signal },
  );
  resolver.setServers([`127.0.0.1:${dns.port}`]);
  await fillCluster();
});
afterAll(async () => {
  stopping.abort();
  await dns.closed;
  upstream.close();
  await server.stop();
});

/** Somebody who knows example.com, and nothing else. */
async function startUpstream(): Promise<Socket> {
  const socket = createSocket('udp4');
  socket.on('message', (bytes, from) => {
    const { id = 0, questions = [] } = decode(bytes);
    const { name, type } = questions[0]!;
    asked.push(`${type} ${name}`);
    const answers: Answer[] = ['www.example.com', 'api.example.com'].includes(name)
      ? [{ type: 'A', name, ttl: 60, data: '192.0.2.1' }]
      : [];
    socket.send(encode({ type: 'response', id, flags: answers.length > 0 ? 0 : 3, questions, answers }), from.port);
  });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  return socket;
}

const services = '/api/v1/namespaces/default/services';
const slice = (service: string, endpoints: object[], ports: object[], addressType = 'IPv4') =>
  server.call('POST', '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices', {
    metadata: { name: `${service}-${addressType.toLowerCase()}`, labels: { 'kubernetes.io/service-name': service } },
    addressType,
    endpoints,
    ports,
  });

async function fillCluster(): Promise<void> {
  const ports = [{ name: 'http', port: 80 }];
  await server.call('POST', services, { metadata: { name: 'web' }, spec: { clusterIP: '10.96.0.50', ports } });
  await server.call('POST', services, {
    metadata: { name: 'db' },
    spec: { clusterIP: 'None', ports: [{ name: 'sql', port: 5432 }] },
  });
  await server.call('POST', services, {
    metadata: { name: 'out' },
    spec: { type: 'ExternalName', externalName: 'www.example.com' },
  });
  const aliases = { alias: 'second', second: 'web', outer: 'out', ring: 'ring' };
  for (const [name, of] of Object.entries(aliases))
    await server.call('POST', services, {
      metadata: { name },
      spec: { type: 'ExternalName', externalName: `${of}.default.svc.cluster.local` },
    });
  await server.call('POST', services, { metadata: { name: 'empty' }, spec: { clusterIP: 'None', ports } });
  await slice(
    'db',
    [
      { addresses: ['10.1.0.1'], hostname: 'db-0', conditions: { ready: true } },
      { addresses: ['10.1.0.2'], conditions: { ready: true } },
      { addresses: ['10.1.0.3'], hostname: 'db-2', conditions: { ready: false } },
    ],
    [{ name: 'sql', port: 5432, protocol: 'TCP' }],
  );
  const dual = { ipFamilyPolicy: 'RequireDualStack', ports: [{ name: 'http', port: 80 }] };
  const both = { ...dual, clusterIPs: ['10.96.0.60', 'fd00:1::60'] };
  await server.call('POST', services, { metadata: { name: 'both' }, spec: both });
  await server.call('POST', services, { metadata: { name: 'heads' }, spec: { ...dual, clusterIP: 'None' } });
  const ready = { conditions: { ready: true } };
  const http = [{ name: 'http', port: 80, protocol: 'TCP' }];
  await slice('heads', [{ addresses: ['10.1.0.7'], hostname: 'h-0', ...ready }], http);
  await slice(
    'heads',
    [
      { addresses: ['fd00::7'], hostname: 'h-0', ...ready },
      { addresses: ['fd00::8'], ...ready },
    ],
    http,
    'IPv6',
  );
  await eventually(async () => expect(await resolver.resolve6('heads.default.svc.cluster.local')).toHaveLength(2));
  await eventually(async () => expect(await resolver.resolve4('db.default.svc.cluster.local')).toHaveLength(2));
}

const fails = (asking: Promise<unknown>) =>
  asking.then(
    () => 'answered',
    (error: { code: string }) => error.code,
  );

describe('names of the cluster', () => {
  test('a Service has its address, its ports, and its name back', async () => {
    expect(await resolver.resolve4('web.default.svc.cluster.local', { ttl: true })).toEqual([
      { address: '10.96.0.50', ttl: 5 },
    ]);
    expect(await resolver.resolve4('WEB.default.SVC.cluster.local')).toEqual(['10.96.0.50']);
    expect(await resolver.resolveSrv('_http._tcp.web.default.svc.cluster.local')).toMatchObject([
      { priority: 0, weight: 100, port: 80, name: 'web.default.svc.cluster.local' },
    ]);
    expect(await resolver.reverse('10.96.0.50')).toEqual(['web.default.svc.cluster.local']);
  });

  test('a headless Service has those of its ready endpoints, by their hostnames too', async () => {
    expect((await resolver.resolve4('db.default.svc.cluster.local')).sort()).toEqual(['10.1.0.1', '10.1.0.2']);
    expect(await resolver.resolve4('db-0.db.default.svc.cluster.local')).toEqual(['10.1.0.1']);
    expect(await resolver.resolve4('10-1-0-2.db.default.svc.cluster.local')).toEqual(['10.1.0.2']);
    expect(await fails(resolver.resolve4('db-2.db.default.svc.cluster.local'))).toBe('ENOTFOUND');
    const ports = await resolver.resolveSrv('_sql._tcp.db.default.svc.cluster.local');
    expect(ports.map(({ name, port }) => `${name}:${port}`).sort()).toEqual([
      '10-1-0-2.db.default.svc.cluster.local:5432',
      'db-0.db.default.svc.cluster.local:5432',
    ]);
    expect(await resolver.reverse('10.1.0.1')).toEqual(['db-0.db.default.svc.cluster.local']);
  });

  test('of two families a Service and its endpoints have addresses of both', async () => {
    const both = 'both.default.svc.cluster.local';
    expect([await resolver.resolve4(both), await resolver.resolve6(both)]).toEqual([['10.96.0.60'], ['fd00:1::60']]);
    expect(await resolver.reverse('fd00:1::60')).toEqual([both]);
    const heads = 'heads.default.svc.cluster.local';
    expect(await resolver.resolve4(heads)).toEqual(['10.1.0.7']);
    expect((await resolver.resolve6(heads)).sort()).toEqual(['fd00::7', 'fd00::8']);
    const first = `h-0.${heads}`;
    expect([await resolver.resolve4(first), await resolver.resolve6(first)]).toEqual([['10.1.0.7'], ['fd00::7']]);
    expect(await resolver.resolve6(`fd00--8.${heads}`)).toEqual(['fd00::8']);
    expect(await resolver.reverse('fd00:0::7')).toEqual([first]);
    const ports = await resolver.resolveSrv(`_http._tcp.${heads}`);
    expect(ports.map(({ name }) => name).sort()).toEqual([`fd00--8.${heads}`, first]);
    expect(await resolver.resolve6('fd00--5.default.pod.cluster.local')).toEqual(['fd00::5']);
  });

  test('an external name is a CNAME, a pod its address, the version a text', async () => {
    expect(await resolver.resolveCname('out.default.svc.cluster.local')).toEqual(['www.example.com']);
    expect(await resolver.resolve4('out.default.svc.cluster.local')).toEqual(['192.0.2.1']);
    expect(await resolver.resolve4('alias.default.svc.cluster.local')).toEqual(['10.96.0.50']);
    expect(await resolver.resolve4('outer.default.svc.cluster.local')).toEqual(['192.0.2.1']);
    const { answers = [] } = await overUdp(dns.port, 'ring.default.svc.cluster.local', 'A');
    expect(answers.map(({ type }) => type)).toEqual(['CNAME']);
    expect(await resolver.resolve4('10-1-2-3.default.pod.cluster.local')).toEqual(['10.1.2.3']);
    expect(await resolver.resolveTxt('dns-version.cluster.local')).toEqual([['1.1.0']]);
  });

  const nothing: [string, string, 'A' | 'AAAA' | 'SRV'][] = [
    ['ENOTFOUND', 'absent.default.svc.cluster.local', 'A'],
    ['ENOTFOUND', '_other._tcp.web.default.svc.cluster.local', 'SRV'],
    ['ENOTFOUND', 'x.web.default.svc.cluster.local', 'A'],
    ['ENOTFOUND', 'web.elsewhere.svc.cluster.local', 'A'],
    ['ENOTFOUND', 'nonsense.cluster.local', 'A'],
    ['ENODATA', 'web.default.svc.cluster.local', 'AAAA'],
    ['ENODATA', 'empty.default.svc.cluster.local', 'A'],
    ['ENODATA', 'default.svc.cluster.local', 'A'],
  ];
  test.each(nothing)('%s for %s %s', async (code, name, type) => {
    expect(await fails(resolver.resolve(name, type))).toBe(code);
  });

  test('follows the cluster', async () => {
    await server.call('POST', services, {
      metadata: { name: 'late' },
      spec: { clusterIP: '10.96.0.51', ports: [{ port: 1 }] },
    });
    await eventually(async () =>
      expect(await resolver.resolve4('late.default.svc.cluster.local')).toEqual(['10.96.0.51']),
    );
    await server.call('DELETE', `${services}/late`);
    await eventually(async () =>
      expect(await fails(resolver.resolve4('late.default.svc.cluster.local'))).toBe('ENOTFOUND'),
    );
  });
});

describe('other names', () => {
  test('are asked of the upstream server once, and kept', async () => {
    asked.length = 0;
    const all = await Promise.all(Array.from({ length: 20 }, () => resolver.resolve4('api.example.com')));
    expect(new Set(all.flat())).toEqual(new Set(['192.0.2.1']));
    expect(await resolver.resolve4('api.example.com')).toEqual(['192.0.2.1']);
    expect(asked).toEqual(['A api.example.com']);
    expect(await fails(resolver.resolve4('nobody.example.com'))).toBe('ENOTFOUND');
  });
});

describe('a stub domain', () => {
  test('is asked of its own server, and nothing else is', async () => {
    const { port } = upstream.address() as AddressInfo;
    const stop = new AbortController();
    const stubbed = await start(
      {
        ...defaultsOf(options),
        port: 0,
        upstream: ['127.0.0.1:1'],
        upstreamTimeout: 200,
        stubDomain: ['com=127.0.0.1:1', 'example.com=127.0.0.1:1', `example.com=127.0.0.1:${port}`],
      },
      { client, log: silent, signal: stop.signal },
    );
    const own = new Resolver({ timeout: 2000, tries: 1 });
    own.setServers([`127.0.0.1:${stubbed.port}`]);
    expect(await own.resolve4('www.example.com')).toEqual(['192.0.2.1']);
    expect(await fails(own.resolve4('www.example.org'))).toBe('ESERVFAIL');
    stop.abort();
    await stubbed.closed;
  });

  test('that cannot be read is refused in words', async () => {
    const wrong = start(
      { ...defaultsOf(options), port: 0, stubDomain: ['example.com'] },
      { client, log: silent, signal: stopping.signal },
    );
    await expect(wrong).rejects.toThrow('--stub-domain: "example.com" should read <domain>=<address[:port]>');
  });
});

describe('the wire', () => {
  test('a version of EDNS that nobody speaks yet is told so, with the one that is spoken', async () => {
    const query = { type: 'OPT', name: '.', udpPayloadSize: 1232, ednsVersion: 1, extendedRcode: 0, flags: 0 } as const;
    const additionals = [{ ...query, flag_do: false, options: [] }];
    const questions = [{ name: 'web.default.svc.cluster.local', type: 'A' } as const];
    const answer = decode(await sendUdp(dns.port, encode({ type: 'query', id: 3, questions, additionals })));
    expect([answer.id, rcodeOf(answer), answer.answers]).toEqual([3, 'NOERROR', []]);
    expect(answer.additionals).toMatchObject([{ type: 'OPT', extendedRcode: 1, ednsVersion: 0 }]);
  });

  test('an answer that is too large for a datagram comes whole over TCP', async () => {
    const endpoints = Array.from({ length: 200 }, (_, i) => ({
      addresses: [`10.2.0.${i + 1}`],
      conditions: { ready: true },
    }));
    await server.call('POST', services, {
      metadata: { name: 'many' },
      spec: { clusterIP: 'None', ports: [{ name: 'p', port: 1 }] },
    });
    await slice('many', endpoints, [{ name: 'p', port: 1, protocol: 'TCP' }]);
    const name = 'many.default.svc.cluster.local';
    await eventually(async () => expect((await overTcp(dns.port, name, 'A')).answers).toHaveLength(200));
    const short = await overUdp(dns.port, name, 'A');
    // Owners are pointers: 16 bytes a record, in 512.
    expect([short.flag_tc, short.answers?.length]).toEqual([true, 29]);
    expect(short.answers?.[28]).toMatchObject({ name, type: 'A', ttl: 5 });
    // The resolver comes back over TCP by itself.
    expect(await resolver.resolve4(name)).toHaveLength(200);
  });

  test('several questions over one connection are answered in order', async () => {
    const socket = connect(dns.port, '127.0.0.1');
    for (const [id, name] of [
      [1, 'web'],
      [2, 'db'],
      [3, 'absent'],
    ] as const)
      // prettier-ignore
      socket.write(streamEncode({ type: 'query', id, questions: [{ name: `${name}.default.svc.cluster.local`, type: 'A' }] }));
    let seen = Buffer.alloc(0);
    const ids: number[] = [];
    for await (const chunk of socket) {
      seen = Buffer.concat([seen, chunk as Buffer]);
      while (seen.length > 2 && seen.length >= 2 + seen.readUInt16BE(0)) {
        const end = 2 + seen.readUInt16BE(0);
        ids.push(decode(seen.subarray(2, end)).id!);
        seen = seen.subarray(end);
      }
      if (ids.length === 3) break;
    }
    expect(ids).toEqual([1, 2, 3]);
  });

  test('hostile bytes are answered with an error or not at all, and the server goes on', async () => {
    const socket = createSocket('udp4');
    const garbage = fc.sample(fc.uint8Array({ maxLength: 600 }), { numRuns: 300, seed: 1 });
    for (const bytes of garbage) socket.send(bytes, dns.port, '127.0.0.1');
    const query = encode({ type: 'query', id: 1, questions: [{ name: 'web.default.svc.cluster.local', type: 'A' }] });
    for (let at = 0; at < query.length; at++) {
      const broken = Buffer.from(query);
      broken[at] = broken[at]! ^ 0xff;
      socket.send(broken, dns.port, '127.0.0.1');
    }
    await eventually(async () =>
      expect(await resolver.resolve4('web.default.svc.cluster.local')).toEqual(['10.96.0.50']),
    );
    socket.close();
    const none = decode(await sendUdp(dns.port, encode({ type: 'query', id: 9, questions: [] })));
    expect([none.id, rcodeOf(none)]).toEqual([9, 'FORMERR']);
  });

  test('a taken port is named', async () => {
    const again = start({ ...defaultsOf(options), port: dns.port }, { client, log: silent, signal: stopping.signal });
    await expect(again).rejects.toThrow(`port ${dns.port} on 127.0.0.1 is taken; choose another with --port`);
  });
});
