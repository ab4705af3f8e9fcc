import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Pod } from '../../api/kinds/pod.ts';
import { inOrder } from '../../executor/runtimes/addresses.ts';
import { type Containerd, containerdIsHere, startContainerd } from './containerd.ts';
import { type ExecutorForTests, startExecutorForTests } from './executor-for-tests.ts';
import { busyboxImage } from './images.ts';
import { aPod, eventually } from './pods-for-tests.ts';

// https://kubernetes.io/docs/concepts/services-networking/dual-stack/

test.each<[what: string, found: string[], node: string, expected: object]>([
  ['one', ['10.0.0.5'], '192.0.2.1', { ip: '10.0.0.5' }],
  ['none yet', ['', ''], '192.0.2.1', { ip: '' }],
  ['the family of the node first', ['fd00::5', '10.0.0.5'], '192.0.2.1', { ip: '10.0.0.5', otherIp: 'fd00::5' }],
  ['also where that is IPv6', ['10.0.0.5', 'fd00::5'], '2001:db8::1', { ip: 'fd00::5', otherIp: '10.0.0.5' }],
  ['only the other family', ['fd00::5'], '192.0.2.1', { ip: 'fd00::5' }],
  ['one of each', ['10.0.0.5', '10.0.0.6', 'fd00::5', 'fd00::6'], '192.0.2.1', { ip: '10.0.0.5', otherIp: 'fd00::5' }],
])('of the addresses of a pod: %s', (_, found, node, expected) => {
  expect(inOrder(found, node)).toEqual(expected);
});

/** Gives each pod an address of IPv6, too. */
async function withTwoFamilies({ directory, kill, start }: Containerd): Promise<void> {
  const path = join(directory, 'net.d/10-km.conflist');
  const network = JSON.parse(readFileSync(path, 'utf8')) as { plugins: [{ ipam: Record<string, unknown[]> }] };
  const { ipam } = network.plugins[0];
  ipam['ranges']!.push([{ subnet: 'fd00:89::/112' }]);
  ipam['routes']!.push({ dst: '::/0' });
  writeFileSync(path, JSON.stringify(network));
  await kill();
  await start();
}

const describeHere = containerdIsHere && process.getuid?.() === 0 ? describe : describe.skip;
describeHere('a pod on a network of two families', () => {
  let containerd: Containerd;
  let place: ExecutorForTests;
  beforeAll(async () => {
    containerd = await startContainerd(28);
    await withTwoFamilies(containerd);
    const criSocket = `unix://${containerd.socket}`;
    place = await startExecutorForTests({ runtime: 'cri', criSocket, cgroupParent: containerd.cgroup });
  }, 60_000);
  afterAll(async () => {
    await place?.close();
    await containerd?.stop();
  }, 60_000);

  test('has both in its status, its environment and its hosts file', async () => {
    const fieldRef = { fieldPath: 'status.podIPs' };
    const container = {
      image: busyboxImage,
      command: ['sh', '-c', 'echo "$IPS" > /dev/termination-log; grep -w two /etc/hosts >> /dev/termination-log'],
      env: [{ name: 'IPS', valueFrom: { fieldRef } }],
    };
    await place.place(aPod(container, { restartPolicy: 'Never' }, 'two'));
    const status = await eventually(async () => {
      const now = (await place.client.get(Pod, { namespace: 'default', name: 'two' })).status;
      return now?.phase === 'Succeeded' ? now : undefined;
    }, 'its end');
    const ips = (status.podIPs ?? []).map(({ ip }) => ip);
    expect(ips).toEqual([expect.stringMatching(/^10\.89\.28\./), expect.stringMatching(/^fd00:89::/)]);
    expect(status.podIP).toBe(ips[0]);
    const words = status.containerStatuses?.[0]?.state?.terminated?.message?.trim().split('\n');
    expect(words).toEqual([ips.join(','), ...ips.map((ip) => `${ip}\ttwo`)]);
  }, 60_000);
});
