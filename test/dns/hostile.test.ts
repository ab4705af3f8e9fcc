import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { decode, encode } from 'dns-packet';
import { freePort } from '../../cli/ports.ts';
import { startServer, type TestServer } from '../apiserver/harness.ts';
import { program } from '../cli/run-km.ts';
import { eventually } from '../eventually.ts';
import { overTcp, overUdp, rcodeOf } from './ask.ts';

// A process of its own: what nobody catches ends it, as it would a server.

const name = 'web.default.svc.cluster.local';
let server: TestServer;
let upstream: Socket;
let port: number;
let dns: ChildProcess;

beforeAll(async () => {
  server = await startServer();
  upstream = await startUpstream();
  port = await freePort();
  const servers = ['--upstream', `127.0.0.1:${upstream.address().port}`, '--stub-domain', 'far.test=255.255.255.255'];
  dns = spawn(process.execPath, [
    ...[program, 'dns', '--kubeconfig', server.kubeconfig, '--port', String(port), '--upstream-timeout', '500ms'],
    ...servers,
  ]);
  const ports = [{ name: 'http', port: 80 }];
  await service('web', { clusterIP: '10.96.0.50', ports });
  await eventually(async () => expect((await overTcp(port, name, 'A')).answers).toHaveLength(1), 20_000);
}, 30_000);
afterEach(async () => {
  expect((await overUdp(port, name, 'A')).answers).toMatchObject([{ data: '10.96.0.50' }]);
  expect(dns.exitCode).toBeNull();
});
afterAll(async () => {
  if (dns.exitCode === null) {
    dns.kill();
    await once(dns, 'exit');
  }
  upstream.close();
  await server.stop();
});

const service = (called: string, spec: object) =>
  server.call('POST', '/api/v1/namespaces/default/services', { metadata: { name: called }, spec });

/** Answers what can be read, but not be written again. */
async function startUpstream(): Promise<Socket> {
  const socket = createSocket('udp4');
  socket.on('message', (bytes, from) => {
    const { id = 0, questions = [] } = decode(bytes);
    const owner = { name: questions[0]!.name, ttl: 60 };
    const head = { type: 'response', id, questions } as const;
    if (questions[0]!.type === 'SSHFP') {
      const data = { algorithm: 1, hash: 1, fingerprint: '00'.repeat(20) };
      const whole = encode({ ...head, answers: [{ ...owner, type: 'SSHFP', data }] });
      socket.send(whole.subarray(0, -10), from.port);
    } else {
      const record = encode({ ...head, answers: [{ ...owner, type: 'A', data: '0.0.0.0' }] });
      // The type of the record, 14 bytes before its end, becomes OPT.
      record.writeUInt16BE(41, record.length - 14);
      socket.send(record, from.port);
    }
  });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  return socket;
}

describe('the server goes on after', () => {
  test('a query from port 0, where nobody can be answered', async () => {
    const query = encode({ type: 'query', id: 1, questions: [{ name, type: 'A' }] });
    const header = Buffer.alloc(8);
    header.writeUInt16BE(port, 2);
    header.writeUInt16BE(header.length + query.length, 4);
    // Node has no raw sockets.
    const send = [
      'import socket, sys',
      'raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP)',
      'raw.sendto(bytes.fromhex(sys.argv[1]), ("127.0.0.1", 0))',
    ];
    execFileSync('python3', ['-c', send.join('\n'), Buffer.concat([header, query]).toString('hex')]);
  });

  test('an answer of another server that cannot be handed on', async () => {
    expect(rcodeOf(await overUdp(port, 'short.example.com', 'SSHFP'))).toBe('SERVFAIL');
    expect(rcodeOf(await overTcp(port, 'short.example.com', 'SSHFP'))).toBe('SERVFAIL');
  });

  test('an OPT among the answers of another server, which is not handed on', async () => {
    expect(await overUdp(port, 'opt.example.com', 'A')).toMatchObject({ rcode: 'NOERROR', answers: [] });
  });

  test('an upstream server that has no way to it', async () => {
    expect(rcodeOf(await overUdp(port, 'www.far.test', 'A'))).toBe('SERVFAIL');
  });

  test('more endpoints than a message over TCP holds', async () => {
    const ports = [{ name: 'sql', port: 5432, protocol: 'TCP' }];
    await service('many', { clusterIP: 'None', ports });
    for (const [block, count] of [
      ['10.2', 1000],
      ['10.3', 500],
    ] as const)
      await server.call('POST', '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices', {
        metadata: { name: `many-${block}`, labels: { 'kubernetes.io/service-name': 'many' } },
        addressType: 'IPv4',
        endpoints: Array.from({ length: count }, (_, i) => ({ addresses: [`${block}.${i >> 8}.${i & 255}`] })),
        ports,
      });
    await eventually(async () => {
      const cut = await overTcp(port, '_sql._tcp.many.default.svc.cluster.local', 'SRV');
      expect(cut.flag_tc).toBe(true);
      expect(cut.answers?.length).toBeGreaterThan(1000);
    });
  });
});
