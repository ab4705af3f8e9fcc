import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { machineAddress } from '../../lib/machine-address.ts';
import { eventually } from '../eventually.ts';
import { type Place, places } from './places.ts';

// The try-out with containers: pods with networks of their own find each other and the API by name.

const isolating = places.filter(([name]) => name !== 'process');

/** Where pods find the program that speaks UDP, by the same path as here. */
const programs = mkdtempSync(join(tmpdir(), 'km-programs-'));
beforeAll(() => void execFileSync('gcc', ['-static', '-o', join(programs, 'udp'), join(import.meta.dirname, 'udp.c')]));
afterAll(() => rmSync(programs, { recursive: true }));

describe.each(isolating)('pods on %s', (_, start) => {
  let place: Place;
  beforeAll(async () => {
    const podsReach = await machineAddress();
    place = await start({ proxy: 'nftables', serviceCidr: '10.118.0.0/16', bindAddress: '0.0.0.0', podsReach });
    const { kubectl } = place.cluster;
    const image = ['--image=k8s.test/busybox:1'];
    await kubectl.run('run', 'web', ...image, '--labels=app=web', '--command', '--', 'httpd', '-f', '-p', '8080');
    await kubectl.run('expose', 'pod', 'web', '--port=80', '--target-port=8080');
    await kubectl.run('run', 'asks', ...image, '--command', '--', 'sleep', '1000');
    await kubectl.run('wait', '--for=condition=Ready', 'pod/web', 'pod/asks', '--timeout=60s');
  }, 90_000);
  afterAll(() => place?.stop(), 90_000);

  const inPod = (script: string) => place.cluster.kubectl.run('exec', 'asks', '--', 'sh', '-c', script);

  test('a Service is found by its short name, and answers', async () => {
    // The rules are written a moment after the endpoints are known. The server has no page, which is an answer too.
    await eventually(
      async () => expect(await inPod('printf "GET / HTTP/1.0\\r\\n\\r\\n" | nc -w 2 web 80 || true')).toMatch(/404/),
      20_000,
    );
    expect(await inPod('nslookup web.default.svc.cluster.local')).toMatch(/Address(?: 1)?: 10\.118\./);
  }, 60_000);

  test('a node port answers pods at the address of its node', async () => {
    const { kubectl } = place.cluster;
    await kubectl.run('expose', 'pod', 'web', '--name=outward', '--type=NodePort', '--port=80', '--target-port=8080');
    const port = await kubectl.run('get', 'service', 'outward', '-o', 'jsonpath={.spec.ports[0].nodePort}');
    const node = await kubectl.run('get', 'pod', 'web', '-o', 'jsonpath={.status.hostIP}');
    await eventually(
      async () =>
        expect(await inPod(`printf "GET / HTTP/1.0\\r\\n\\r\\n" | nc -w 2 ${node} ${port} || true`)).toMatch(/404/),
      20_000,
    );
  }, 60_000);

  test('the API is reached by its name', async () => {
    expect(await inPod('nslookup kubernetes.default.svc.cluster.local')).toContain('10.118.0.1');
    expect(await inPod('nc -w 3 kubernetes.default.svc.cluster.local 443 </dev/null && echo open')).toBe('open\n');
  });

  /** What the name leads to, as the pod's resolver finds it. */
  const found = async (name: string, type = 'a') => {
    const out = await inPod(`nslookup -type=${type} ${name}`);
    return out.slice(out.indexOf('\n\n'));
  };

  test('names of the cluster, of Services, whole and in part, and of what is elsewhere', async () => {
    const { kubectl } = place.cluster;
    const ip = (await kubectl.run('get', 'service', 'web', '-o', 'jsonpath={.spec.clusterIP}')).trim();
    for (const name of ['web', 'web.default', 'web.default.svc', 'web.default.svc.cluster.local'])
      expect(await inPod(`ping -c 1 -W 1 ${name} | head -n 1`)).toContain(`(${ip})`);
    expect(await inPod('ping -c 1 -W 1 kubernetes.default | head -n 1')).toContain('(10.118.0.1)');
    await kubectl.run('create', 'service', 'externalname', 'outside', '--external-name=web.default.svc.cluster.local');
    await eventually(async () =>
      expect(await found('outside.default.svc.cluster.local', 'cname')).toContain('web.default.svc.cluster.local'),
    );
    await kubectl.run(
      'patch',
      'service',
      'outside',
      '-p',
      '{"spec":{"externalName":"kubernetes.default.svc.cluster.local"}}',
    );
    await eventually(async () =>
      expect(await found('outside.default.svc.cluster.local', 'cname')).toContain('kubernetes.default.svc'),
    );
    const clusterIp = { spec: { type: 'ClusterIP', externalName: null, ports: [{ port: 80 }] } };
    await kubectl.run('patch', 'service', 'outside', '-p', JSON.stringify(clusterIp));
    const given = await kubectl.run('get', 'service', 'outside', '-o', 'jsonpath={.spec.clusterIP}');
    await eventually(async () => expect(await found('outside.default.svc.cluster.local')).toContain(given));
  }, 60_000);

  test('a pod with a hostname and a subdomain has a name, which its hosts file knows, too', async () => {
    const { kubectl } = place.cluster;
    const ports = [{ port: 80 }];
    const service = { metadata: { name: 'inner' }, spec: { clusterIP: 'None', selector: { app: 'named' }, ports } };
    const containers = [{ name: 'c', image: 'k8s.test/busybox:1', command: ['sleep', '1000'] }];
    const pod = {
      metadata: { name: 'named', labels: { app: 'named' } },
      spec: { hostname: 'host', subdomain: 'inner', containers },
    };
    for (const [kind, object] of [
      ['Service', service],
      ['Pod', pod],
    ] as const)
      await kubectl.feed(JSON.stringify({ apiVersion: 'v1', kind, ...object }), 'create', '-f', '-');
    await kubectl.run('wait', '--for=condition=Ready', 'pod/named', '--timeout=60s');
    const ip = await kubectl.run('get', 'pod', 'named', '-o', 'jsonpath={.status.podIP}');
    const name = 'host.inner.default.svc.cluster.local';
    await eventually(async () => expect(await found(name)).toContain(ip));
    expect(await found('inner.default.svc.cluster.local')).toContain(ip);
    expect(await kubectl.run('exec', 'named', '--', 'cat', '/etc/hosts')).toContain(`${ip}\t${name}\thost\n`);
  }, 90_000);

  test.each([
    ['http', 'httpd -f -p 8081', (ip: string) => `printf "GET / HTTP/1.0\\r\\n\\r\\n" | nc -w 2 ${ip} 8081`, '404'],
    ['udp', `${programs}/udp 8081`, (ip: string) => `${programs}/udp 8081 ${ip}`, 'heard'],
  ])(
    'a pod is reached by another one and from the node: %s',
    async (protocol, serve, call, answer) => {
      const { kubectl } = place.cluster;
      const [server, asker] = [`serves-${protocol}`, `asks-${protocol}`];
      for (const [name, script] of [
        [server, serve],
        [asker, 'sleep 1000'],
      ] as const) {
        const volumes = [{ name: 'programs', hostPath: { path: programs } }];
        const volumeMounts = [{ name: 'programs', mountPath: programs, readOnly: true }];
        const command = ['sh', '-c', script];
        const containers = [{ name: 'c', image: 'k8s.test/busybox:1', command, volumeMounts }];
        const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name }, spec: { volumes, containers } };
        await kubectl.feed(JSON.stringify(pod), 'create', '-f', '-');
      }
      await kubectl.run('wait', '--for=condition=Ready', `pod/${server}`, `pod/${asker}`, '--timeout=60s');
      const ip = await kubectl.run('get', 'pod', server, '-o', 'jsonpath={.status.podIP}');
      const ask = `${call(ip)} || true`;
      await eventually(
        async () => expect(await kubectl.run('exec', asker, '--', 'sh', '-c', ask)).toContain(answer),
        20_000,
      );
      const fromNode = () => execFileSync('busybox', ['sh', '-c', ask], { encoding: 'utf8' });
      await eventually(() => expect(fromNode()).toContain(answer), 20_000);
    },
    90_000,
  );

  test('after a stop no rule is left', async () => {
    expect(tables()).toContain('km-proxy');
    await place.cluster.kubectl.run('delete', 'pods', '--all', '--grace-period=1', '--timeout=30s');
    await place.cluster.stop();
    expect(tables()).not.toContain('km-proxy');
  }, 60_000);
});

const tables = () => execFileSync('nft', ['list', 'tables'], { encoding: 'utf8' });
