import { Resolver } from 'node:dns/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { Client } from '../../client/client.ts';
import { options, start } from '../../dns/index.ts';
import { asLabel } from '../../dns/mesos-tasks.ts';
import { silent } from '../../lib/log.ts';
import { defaultsOf } from '../../lib/options.ts';
import type { Resource } from '../../mesos/types.ts';
import { startServer, type TestServer } from '../apiserver/harness.ts';
import { Framework, atEnd, cluster, endAll, some, task } from '../devcluster/builders.ts';
import { eventually } from '../eventually.ts';

// https://mesosphere.github.io/mesos-dns/docs/naming.html

test.each([
  ['search', 'search'],
  ['apiserver.myservice', 'apiserver-myservice'],
  ['Web_Front.End!', 'web-front-end'],
  ['-x-', 'x'],
  ['a'.repeat(80), 'a'.repeat(63)],
])('a task %s is called %s', (name, label) => expect(asLabel(name)).toBe(label));

let server: TestServer;
let client: Client;
beforeAll(async () => {
  server = await startServer();
  client = server.client();
});
afterAll(async () => {
  await server.stop();
});
afterEach(endAll);

async function startDns(mesosMaster: string) {
  const stopping = new AbortController();
  const given = { ...defaultsOf(options), port: 0, upstream: ['127.0.0.1:9'], healthBindAddress: '127.0.0.1:0' };
  const dns = await start({ ...given, mesosMaster }, { client, log: silent, signal: stopping.signal });
  atEnd(async () => {
    stopping.abort();
    await dns.closed;
  });
  const resolver = new Resolver({ timeout: 2000, tries: 1 });
  resolver.setServers([`127.0.0.1:${dns.port}`]);
  const told = async (path: string) => {
    const answer = await fetch(`http://127.0.0.1:${dns.healthPort}${path}`);
    return [answer.status, await answer.text()] as const;
  };
  return { resolver, told };
}

const code = (promise: Promise<unknown>) =>
  promise.then(
    () => 'an answer',
    (error: { code?: string }) => error.code,
  );

describe('tasks of a Mesos framework', () => {
  test('have the names that Mesos-DNS gives them, from when they run until they end', async () => {
    const { masterUrl, agents } = await cluster();
    const framework = await Framework.open(masterUrl, { name: 'marathon.prod' });
    const { resolver } = await startDns(masterUrl);
    const offer = await framework.offer();
    const free = offer.resources?.find(({ name }) => name === 'ports')?.ranges?.range?.[0];
    const begin = free?.begin ?? 0n;
    const port = Number(begin);
    const ports: Resource = { name: 'ports', type: 'RANGES', ranges: { range: [{ begin, end: begin }] } };
    const command = { value: 'sleep 1000' };
    const web = task('web.1', offer, { name: 'shop.web', command, resources: [...some, ports] });
    await framework.launch(offer, web);
    await framework.reached('web.1', 'TASK_RUNNING');
    const agent = agents.find(({ id }) => id === offer.agent_id.value);
    const host = new URL(agent?.url ?? '').hostname;

    await eventually(async () => expect(await resolver.resolve4('shop-web.marathon.prod.mesos')).toEqual([host]));
    expect(await resolver.resolve4('SHOP-WEB.marathon.prod.slave.mesos')).toEqual([host]);
    const [srv] = await resolver.resolveSrv('_shop-web._tcp.marathon.prod.mesos');
    expect(srv).toMatchObject({
      port,
      name: expect.stringMatching(/^shop-web-[0-9a-f]{5}-s\d+\.marathon\.prod\.mesos$/),
    });
    expect(await resolver.resolve4(srv!.name)).toEqual([host]);
    expect(await resolver.resolveSrv('_shop-web._udp.marathon.prod.slave.mesos')).toMatchObject([{ port }]);
    expect(await resolver.resolve4('leader.mesos')).toEqual([new URL(masterUrl).hostname]);
    expect((await resolver.resolve4('slave.mesos')).length).toBeGreaterThan(0);
    for (const absent of ['web.mesos', 'other.marathon.prod.mesos', '_shop-web._sctp.marathon.prod.mesos'])
      expect(await code(resolver.resolveAny(absent))).toBe('ENOTFOUND');

    await framework.session.call({
      type: 'KILL',
      framework_id: { value: framework.id },
      kill: { task_id: { value: 'web.1' } },
    });
    await eventually(async () =>
      expect(await code(resolver.resolve4('shop-web.marathon.prod.mesos'))).toBe('ENOTFOUND'),
    );
  });

  test('that say what they are discovered by have those names and ports', async () => {
    const { masterUrl } = await cluster();
    const framework = await Framework.open(masterUrl, { name: 'aurora' });
    const { resolver } = await startDns(masterUrl);
    const offer = await framework.offer();
    const discovery = {
      visibility: 'EXTERNAL' as const,
      name: 'front',
      ports: {
        ports: [
          { number: 8080, name: 'http', protocol: 'tcp' },
          { number: 9000, name: 'admin', protocol: 'tcp' },
        ],
      },
    };
    await framework.launch(offer, task('t', offer, { command: { value: 'sleep 1000' }, discovery }));
    await framework.reached('t', 'TASK_RUNNING');
    await eventually(async () =>
      expect((await resolver.resolveSrv('_front._tcp.aurora.mesos')).map(({ port }) => port).sort()).toEqual([
        8080, 9000,
      ]),
    );
    expect(await resolver.resolveSrv('_admin._front._tcp.aurora.mesos')).toMatchObject([{ port: 9000 }]);
    expect(await code(resolver.resolveSrv('_front._udp.aurora.mesos'))).toBe('ENOTFOUND');
  });

  test('have no names that could be kept as absent while no master tells, and the cluster has its own all the same', async () => {
    const { resolver, told } = await startDns('127.0.0.1:9');
    expect(await code(resolver.resolve4('web.marathon.mesos'))).toBe('ESERVFAIL');
    expect(await resolver.resolveTxt('dns-version.cluster.local')).toEqual([['1.1.0']]);
    expect(await told('/ready')).toEqual([200, 'OK']);
    expect(await told('/health')).toEqual([200, 'OK']);
    const [, metrics] = await told('/metrics');
    expect(metrics).toMatch(
      /^coredns_dns_requests_total\{server="dns:[^"]*",zone="cluster.local.",view="",proto="udp",family="1",type="TXT"\} 1$/m,
    );
    expect(metrics).toMatch(/^coredns_dns_responses_total\{[^}]*zone="mesos.",view="",rcode="SERVFAIL",[^}]*\} 1$/m);
    expect(metrics).toMatch(/^coredns_dns_request_duration_seconds_count\{[^}]*zone="cluster.local."[^}]*\} 1$/m);
  });
});

test('the server is not ready before it knows the cluster', async () => {
  const stopping = new AbortController();
  const { createServer } = await import('node:net');
  // An apiserver that takes connections and says nothing.
  const mute = createServer();
  await new Promise<void>((resolve) => mute.listen(0, '127.0.0.1', resolve));
  const address = mute.address();
  const at = typeof address === 'object' && address ? address.port : 0;
  const lost = new Client({ server: `http://127.0.0.1:${at}` });
  const port = 20_000 + Math.floor(Math.random() * 10_000);
  const given = { ...defaultsOf(options), port: 0, upstream: ['127.0.0.1:9'], healthBindAddress: `127.0.0.1:${port}` };
  const starting = start(given, { client: lost, log: silent, signal: stopping.signal }).catch(() => undefined);
  await eventually(async () => expect((await fetch(`http://127.0.0.1:${port}/ready`)).status).toBe(503));
  expect((await fetch(`http://127.0.0.1:${port}/health`)).status).toBe(200);
  stopping.abort();
  await starting;
  await lost.close();
  mute.close();
});
