import { execFileSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { machineAddress } from '../../cli/cluster-dns.ts';
import { eventually } from '../eventually.ts';
import { type Place, places } from './places.ts';

// The try-out with containers: pods with networks of their own find each other and the API by name.

const isolating = places.filter(([name]) => name !== 'process');

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

  test('the API is reached by its name', async () => {
    expect(await inPod('nslookup kubernetes.default.svc.cluster.local')).toContain('10.118.0.1');
    expect(await inPod('nc -w 3 kubernetes.default.svc.cluster.local 443 </dev/null && echo open')).toBe('open\n');
  });

  test('after a stop no rule is left', async () => {
    expect(tables()).toContain('km-proxy');
    await place.cluster.kubectl.run('delete', 'pods', '--all', '--grace-period=1', '--timeout=30s');
    await place.cluster.stop();
    expect(tables()).not.toContain('km-proxy');
  }, 60_000);
});

const tables = () => execFileSync('nft', ['list', 'tables'], { encoding: 'utf8' });
