import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Server as GrpcServer, ServerCredentials, Server } from '@grpc/grpc-js';
import { type IncomingMessage, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Probe } from '../../api/kinds/pod.ts';
import { check } from '../../executor/probes/check.ts';
import { runHook } from '../../executor/probes/hook.ts';
import { type Result, type Tally, tallied } from '../../executor/probes/tally.ts';
import type { Runtime } from '../../executor/runtime.ts';

describe('the tally of a probe', () => {
  const cases: [
    string,
    Result | undefined,
    string,
    { failureThreshold?: number; successThreshold?: number },
    string,
  ][] = [
    ['turns at once for a first success', 'failure', '+', {}, '+'],
    ['waits for three failures', 'success', '---', {}, '++-'],
    ['starts counting anew after a success', 'success', '--+--', {}, '+++++'],
    [
      'waits for as many successes as asked',
      'failure',
      '++-+++',
      { successThreshold: 3, failureThreshold: 1 },
      '-----+',
    ],
    ['says nothing before a startup probe has', undefined, '--+', { failureThreshold: 3 }, '??+'],
  ];
  test.each(cases)('%s', (_words, initial, answers, thresholds, expected) => {
    let tally: Tally = { result: initial, last: initial, run: 0 };
    const results = [...answers].map((answer) => {
      tally = tallied(tally, answer === '+' ? 'success' : 'failure', thresholds);
      return tally.result === undefined ? '?' : tally.result === 'success' ? '+' : '-';
    });
    expect(results.join('')).toBe(expected);
  });
});

describe('a check', () => {
  const seen: IncomingMessage[] = [];
  const web = createServer((request, response) => {
    seen.push(request);
    const { pathname } = new URL(request.url!, 'http://x');
    if (pathname === '/slow') return;
    if (pathname === '/here') response.writeHead(302, { location: '/ok' }).end();
    else if (pathname === '/away') response.writeHead(302, { location: 'http://127.0.0.9/x' }).end();
    else if (pathname === '/loop') response.writeHead(302, { location: '/loop' }).end();
    else if (pathname === '/big') response.writeHead(200).end('x'.repeat(1 << 20));
    else response.writeHead(pathname === '/ok' ? 200 : 503).end('hello');
  });
  let grpc: GrpcServer;
  let grpcPort: number;
  let port: number;
  beforeAll(async () => {
    await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', resolve));
    ({ port } = web.address() as AddressInfo);
    grpc = new Server();
    const bytes = {
      requestStream: false,
      responseStream: false,
      requestSerialize: Buffer.from,
      responseSerialize: Buffer.from,
    };
    const Check = {
      ...bytes,
      path: '/grpc.health.v1.Health/Check',
      requestDeserialize: (request: Buffer) => request,
      responseDeserialize: (answer: Buffer) => answer,
    };
    grpc.addService(
      { Check },
      {
        Check: ({ request }: { request: Buffer }, reply: (error: null, answer: Buffer) => void) =>
          reply(null, Buffer.from([8, request.subarray(2).toString() === 'ill' ? 2 : 1])),
      },
    );
    grpcPort = await new Promise((resolve, reject) =>
      grpc.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
        error ? reject(error) : resolve(bound),
      ),
    );
  });
  afterAll(() => {
    web.closeAllConnections();
    web.close();
    grpc.forceShutdown();
  });

  const runtime = { run: () => Promise.resolve('late') } as Partial<Runtime> as Runtime;
  const ask = (probe: Probe) => {
    const container = { name: 'c', ports: [{ name: 'http', containerPort: port }] };
    return check(probe, { container, containerId: 'id', podIp: '127.0.0.1' }, runtime, AbortSignal.timeout(5_000));
  };
  const get = (path: string, more: object = {}) => ask({ httpGet: { path, port, ...more } });

  test('by HTTP takes 200 to 399 for well, and says what else it got', async () => {
    expect(await get('/ok')).toEqual({ result: 'success', output: 'hello' });
    expect(await get('/ill')).toEqual({ result: 'failure', output: 'HTTP probe failed with statuscode: 503' });
    expect((await get('/big')).output).toHaveLength(10 * 1024);
  });

  test('by HTTP finds a named port, sends the headers it is told, and knows itself as a kubelet', async () => {
    const httpHeaders = ['one', 'two'].map((value) => ({ name: 'X-Seen', value }));
    const named = {
      port: 'http',
      httpHeaders: [...httpHeaders, { name: 'Host', value: 'example.com' }, { name: 'Accept', value: '' }],
    };
    expect((await get('/ok', named)).result).toBe('success');
    const { headers } = seen.at(-1)!;
    expect(headers).toMatchObject({ 'x-seen': 'one, two', host: 'example.com', 'user-agent': 'kube-probe/1.36' });
    expect(headers.accept).toBeUndefined();
    expect(await get('/ok', { port: 'nope' })).toEqual({ result: 'failure', output: 'container c has no port "nope"' });
  });

  test('by HTTP follows redirects on its own host only', async () => {
    expect(await get('/here')).toEqual({ result: 'success', output: 'hello' });
    expect(await get('/away')).toMatchObject({ result: 'success', warning: true });
    expect(await get('/loop')).toMatchObject({ result: 'failure', output: expect.stringContaining('10 redirects') });
  });

  test('fails when there is no answer in time, or nobody to answer', async () => {
    expect(await ask({ httpGet: { path: '/slow', port }, timeoutSeconds: 0.1 })).toEqual({
      result: 'failure',
      output: 'no answer within 0.1s',
    });
    expect(await ask({ tcpSocket: { port: 1 } })).toMatchObject({
      result: 'failure',
      output: expect.stringMatching(/^dial tcp 127\.0\.0\.1:1: .*ECONNREFUSED/),
    });
    expect(await ask({ exec: { command: ['x'] } })).toEqual({
      result: 'failure',
      output: 'command timed out: x timed out after 1s',
    });
  });

  test('by TCP and by gRPC', async () => {
    expect(await ask({ tcpSocket: { port } })).toEqual({ result: 'success', output: '' });
    expect(await ask({ grpc: { port: grpcPort } })).toEqual({ result: 'success', output: 'service healthy' });
    expect(await ask({ grpc: { port: grpcPort, service: 'ill' } })).toEqual({
      result: 'failure',
      output: 'service unhealthy (responded with "NOT_SERVING")',
    });
    expect(await ask({ grpc: { port: 1 } })).toMatchObject({ result: 'failure' });
  });

  test('a hook takes any answer for done, and refuses what it cannot be', async () => {
    const place = { container: { name: 'c' }, containerId: 'id', podIp: '127.0.0.1' };
    await runHook({ httpGet: { path: '/ill', port } }, place, runtime, AbortSignal.timeout(5_000));
    expect(seen.at(-1)!.headers['user-agent']).toBe('kube-lifecycle/1.36');
    const refused = runHook({ tcpSocket: { port } }, place, runtime, AbortSignal.timeout(5_000));
    await expect(refused).rejects.toThrow('tcpSocket is not supported');
  });
});
