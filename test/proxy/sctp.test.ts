import { execFileSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { iptablesWriter } from '../../proxy/iptables.ts';
import { nftablesWriter } from '../../proxy/nftables.ts';
import { runner } from '../../proxy/writer.ts';
import { servicePort, writerOptions } from './plans.ts';

// Few kernels have sockets of SCTP, but every one with conntrack translates its addresses: the rules are what can be looked at.

const name = `kmsctp${process.pid}`;
const run = runner(['nsenter', `--net=/run/netns/${name}`]);
const sctp = servicePort({
  key: 'default/signals:s/SCTP',
  service: 'default/signals',
  protocol: 'SCTP',
  port: 2905,
  nodePort: 32_905,
  cluster: [{ address: '10.99.0.11', port: 2905 }],
});
/** The same numbers over TCP are another port. */
const tcp = servicePort({ ...sctp, key: 'default/signals:t/TCP', protocol: 'TCP', cluster: [] });
const changes = new Map([sctp, tcp].map((port) => [port.key, port]));

const describeHere = process.getuid?.() === 0 ? describe : describe.skip;

describeHere('SCTP', () => {
  beforeAll(() => void execFileSync('ip', ['netns', 'add', name]));
  afterAll(() => void execFileSync('ip', ['netns', 'del', name]));

  test('nftables: a cluster IP and a node port lead to the endpoint; TCP on the same numbers is refused', async () => {
    const writer = nftablesWriter(writerOptions, run);
    expect(await writer.apply(changes)).toEqual([]);
    const rules = await run('nft', ['list', 'ruleset']);
    expect(rules).toMatch(/meta l4proto sctp dnat to 10\.99\.0\.11:2905/);
    expect(rules).toMatch(/10\.96\.0\.10 \. sctp \. 2905 : goto svc-/);
    expect(rules).toMatch(/[{\s]sctp \. 32905 : goto ext-/);
    expect(rules).toMatch(/10\.96\.0\.10 \. tcp \. 2905 : goto reject-chain/);
    await writer.apply(new Map([[sctp.key, undefined]]));
    expect(await run('nft', ['list', 'ruleset'])).not.toContain('sctp');
    await writer.cleanup();
  });

  test('iptables: likewise', async () => {
    const writer = iptablesWriter(writerOptions, run);
    expect(await writer.apply(changes)).toEqual([]);
    const rules = await run('iptables-save', []);
    expect(rules).toMatch(/-A KUBE-SEP-\w+ -p sctp .*-j DNAT --to-destination 10\.99\.0\.11:2905/);
    expect(rules).toMatch(/-A KUBE-SERVICES -d 10\.96\.0\.10\/32 -p sctp .*--dport 2905 .*-j KUBE-SVC-/);
    expect(rules).toMatch(/-A KUBE-NODEPORTS -p sctp .*--dport 32905 .*-j KUBE-EXT-/);
    await writer.apply(new Map([[sctp.key, undefined]]));
    expect(await run('iptables-save', [])).not.toContain('sctp');
    await writer.cleanup();
  });
});
