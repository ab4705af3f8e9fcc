import { spawn, execFileSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { Service } from '../../api/kinds/service.ts';
import { delay } from '../../lib/delay.ts';
import { silent } from '../../lib/log.ts';
import { defaultsOf } from '../../lib/options.ts';
import { iptablesWriter } from '../../proxy/iptables.ts';
import { forgetStale } from '../../proxy/conntrack.ts';
import { cleanup, options, start as startProxy } from '../../proxy/index.ts';
import { nftablesWriter } from '../../proxy/nftables.ts';
import { portsOf, type Changes, type Place, type Plan, type ServicePort } from '../../proxy/rules.ts';
import { runner, type Refusal, type Run, type Writer, type WriterOptions } from '../../proxy/writer.ts';
import { startServer, type TestServer } from '../apiserver/harness.ts';
import { eventually } from '../eventually.ts';
import { servicePort, withoutNumbers, writerOptions } from './plans.ts';

/**
 *   client 10.99.1.2 ── node (10.99.1.1, 10.99.0.1, our rules) ── bridge ── pods 10.99.0.11, .12, .13
 */
const prefix = `kmp${process.pid}`;
const node = `${prefix}n`;
const client = `${prefix}c`;
const pods = [1, 2, 3].map((i) => `${prefix}p${i}`);
const inside = (name: string) => ['nsenter', `--net=/run/netns/${name}`];
const ip = (...args: string[]) => execFileSync('ip', args, { stdio: 'pipe' });
const servers: ChildProcess[] = [];

/** `10.99.0.11/24` → `fd99:0::11/64`. */
const address6 = (address: string): string => address.replace(/^10\.99\.(\d+)\.(\d+)\/24$/, 'fd99:$1::$2/64');

function link(name: string, from: string, address: string): void {
  ip('link', 'add', name, 'netns', node, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', from);
  ip('-n', from, 'addr', 'add', address, 'dev', 'eth0');
  ip('-n', from, 'addr', 'add', address6(address), 'dev', 'eth0', 'nodad');
  for (const [at, dev] of [
    [node, name],
    [from, 'eth0'],
    [from, 'lo'],
  ] as const)
    ip('-n', at, 'link', 'set', dev, 'up');
}

/** Says its name and who asks: over TCP and UDP on 8080. */
const echo = `
const say = (from) => process.argv[1] + ' ' + from.replace('::ffff:', '');
require('net').createServer((s) => { s.on('error', () => 0); s.end(say(s.remoteAddress)); }).listen(8080, '::', () => console.log('up'));
const u = require('dgram').createSocket('udp4'); u.on('message', (_, f) => u.send(say(f.address), f.port, f.address)); u.bind(8080);
`;
/** Asks each line of its input, and answers a line: what it was told, or the error. */
const asker = `
const net = require('net'), dgram = require('dgram');
require('readline').createInterface({ input: process.stdin }).on('line', (line) => {
  const [protocol, host, port, local] = line.split(' ');
  let done = (answer) => { done = () => 0; console.log(answer); };
  const timer = setTimeout(() => done('timeout'), 700);
  const end = (answer) => { clearTimeout(timer); done(answer); };
  if (protocol === 'udp') {
    const s = dgram.createSocket('udp4'); s.bind(Number(local) || 0);
    s.on('error', (e) => end(e.code)); s.on('message', (m) => { end(String(m)); s.close(); });
    s.connect(Number(port), host, () => s.send('x')); setTimeout(() => { try { s.close(); } catch (e) { void e; } }, 800);
  } else {
    let text = ''; const s = net.connect({ host, port: Number(port) });
    s.on('error', (e) => end(e.code)); s.on('data', (d) => (text += d)); s.on('end', () => end(text));
    setTimeout(() => s.destroy(), 800);
  }
});
`;
const askers = new Map<string, ChildProcess>();

async function start(name: string, script: string, ...args: string[]): Promise<ChildProcess> {
  const [command, ...rest] = [...inside(name), process.execPath, '-e', script, ...args];
  const child = spawn(command!, rest, { stdio: ['pipe', 'pipe', 'inherit'] });
  servers.push(child);
  return child;
}

/** `be1 10.99.1.2`: which pod answered, and whom it saw. */
async function ask(from: string, what: string): Promise<string> {
  const child = askers.get(from)!;
  child.stdin!.write(`${what}\n`);
  const [line] = (await once(child.stdout!, 'data')) as [Buffer];
  return line.toString().trim();
}

const askMany = async (from: string, what: string, times: number) => {
  const answers: string[] = [];
  for (let i = 0; i < times; i++) answers.push(await ask(from, what));
  return answers;
};

beforeAll(async () => {
  for (const name of [node, client, ...pods]) ip('netns', 'add', name);
  ip('-n', node, 'link', 'set', 'lo', 'up');
  ip('-n', node, 'link', 'add', 'br0', 'type', 'bridge');
  ip('-n', node, 'addr', 'add', '10.99.0.1/24', 'dev', 'br0');
  ip('-n', node, 'addr', 'add', 'fd99:0::1/64', 'dev', 'br0', 'nodad');
  ip('-n', node, 'link', 'set', 'br0', 'up');
  link('c', client, '10.99.1.2/24');
  ip('-n', node, 'addr', 'add', '10.99.1.1/24', 'dev', 'c');
  ip('-n', node, 'addr', 'add', 'fd99:1::1/64', 'dev', 'c', 'nodad');
  ip('-n', client, 'route', 'add', 'default', 'via', '10.99.1.1');
  ip('-n', client, 'route', 'add', 'default', 'via', 'fd99:1::1');
  for (const [i, pod] of pods.entries()) {
    link(`p${i}`, pod, `10.99.0.1${i + 1}/24`);
    ip('-n', node, 'link', 'set', `p${i}`, 'master', 'br0');
    ip('-n', node, 'link', 'set', 'dev', `p${i}`, 'type', 'bridge_slave', 'hairpin', 'on');
    ip('-n', pod, 'route', 'add', 'default', 'via', '10.99.0.1');
    ip('-n', pod, 'route', 'add', 'default', 'via', 'fd99:0::1');
  }
  // The node has a way to everywhere, though nobody is there.
  ip('-n', node, 'link', 'add', 'nowhere', 'type', 'bridge');
  ip('-n', node, 'link', 'set', 'nowhere', 'up');
  ip('-n', node, 'route', 'add', 'default', 'dev', 'nowhere');
  ip('-n', node, '-6', 'route', 'add', 'default', 'dev', 'nowhere');
  const run = runner(inside(node));
  await run('sysctl', ['-qw', 'net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1']);
  for (const [i, pod] of pods.entries()) await once((await start(pod, echo, `be${i + 1}`)).stdout!, 'data');
  for (const name of [node, client, pods[0]!]) askers.set(name, await start(name, asker));
}, 30_000);

afterAll(() => {
  for (const server of servers) server.kill('SIGKILL');
  for (const name of [node, client, ...pods]) execFileSync('ip', ['netns', 'del', name]);
});

const endpoints = (...numbers: number[]) => numbers.map((i) => ({ address: `10.99.0.1${i}`, port: 8080 }));
const web = (more: Partial<ServicePort> = {}) => servicePort({ cluster: endpoints(1, 2, 3), ...more });
/** The ports of the Service web as the proxy of this node plans them; its load balancer is at 203.0.113.9. */
const planned = (
  spec: Partial<Service['spec']>,
  numbers: readonly number[],
  place: Partial<Place>,
  conditions: Readonly<Record<number, object>> = {},
): ServicePort[] =>
  portsOf(
    {
      metadata: { name: 'web', namespace: 'default' },
      spec: { type: 'ClusterIP', clusterIP: '10.96.0.10', ports: [{ port: 80, protocol: 'TCP' }], ...spec },
      status: { loadBalancer: { ingress: [{ ip: '203.0.113.9' }] } },
    },
    [
      {
        metadata: { name: 'web-1', namespace: 'default' },
        addressType: 'IPv4',
        ports: [{ name: '', port: 8080, protocol: 'TCP' }],
        endpoints: numbers.map((i) => ({
          addresses: [`10.99.0.1${i}`],
          hints: { forZones: [{ name: `zone-${i}` }] },
          ...(conditions[i] ? { conditions: conditions[i] } : {}),
        })),
      },
    ],
    { node: 'here', zone: '', ...place },
  );
const names = (answers: readonly string[]) => [...new Set(answers.map((answer) => answer.split(' ')[0]))].sort();

interface Mode {
  name: 'nftables' | 'iptables' | 'userspace';
  open: (o: WriterOptions, run?: Run) => Writer;
  /** What whoever may not come, or finds no endpoint of this node, is told. */
  silence: string;
  barred: string;
  /** Whom an endpoint sees where the kernel would leave the caller's address alone. */
  seen: (caller: string) => string;
}

const inNode = runner(inside(node));
const modes: Mode[] = [
  ...(['nftables', 'iptables'] as const).map((name) => ({
    name,
    open: (o: WriterOptions, run = inNode) => (name === 'nftables' ? nftablesWriter : iptablesWriter)(o, run),
    silence: 'timeout',
    barred: 'timeout',
    seen: (caller: string) => caller,
  })),
  // Sockets: nobody is kept waiting, and an endpoint sees the node.
  {
    name: 'userspace',
    open: () => userspace(),
    silence: 'ECONNREFUSED',
    barred: 'ECONNRESET',
    seen: () => '10.99.0.1',
  },
];

function userspace(): Writer {
  const [command, ...rest] = [...inside(node), process.execPath, 'test/proxy/userspace-process.ts'];
  const child = spawn(command!, rest, { stdio: ['pipe', 'pipe', 'inherit'] });
  servers.push(child);
  const end = async () => {
    if (child.exitCode !== null) return;
    child.stdin.end();
    await once(child, 'exit');
  };
  return {
    async apply(changes) {
      child.stdin.write(`${JSON.stringify([...changes].map(([key, port]) => [key, port ?? null]))}\n`);
      const [line] = (await once(child.stdout, 'data')) as [Buffer];
      return JSON.parse(line.toString()) as Refusal[];
    },
    close: end,
    cleanup: end,
  };
}

describe.each(modes)('Services by $name', ({ name: mode, open, silence, barred, seen }) => {
  const kernel = mode === 'userspace' ? test.skip : test;
  let writer: Writer;
  let plan: Plan;
  const put = async (...ports: ServicePort[]): Promise<Refusal[]> => {
    const changes: Changes = new Map([
      ...[...plan.keys()].map((key) => [key, undefined] as const),
      ...ports.map((port) => [port.key, port] as const),
    ]);
    const refused = await writer.apply(changes);
    if (mode !== 'userspace') await forgetStale(plan, changes, inNode, silent);
    plan = new Map(ports.map((port) => [port.key, port]));
    return refused;
  };
  const rules = () => (mode === 'nftables' ? inNode('nft', ['list', 'ruleset']) : inNode('iptables-save', []));

  /** Sockets can be bound to addresses that the machine takes for its own. */
  const ownAddresses = (verb: 'add' | 'del') => {
    if (mode !== 'userspace') return;
    for (const range of ['10.96.0.0/16', '203.0.113.0/24']) ip('-n', node, 'route', verb, 'local', range, 'dev', 'lo');
    ip('-n', node, 'addr', verb, 'fd96::10/128', 'dev', 'lo');
  };
  beforeAll(() => ownAddresses('add'));
  afterAll(() => ownAddresses('del'));

  beforeEach(() => {
    writer = open(writerOptions);
    plan = new Map();
  });
  afterEach(() => writer.cleanup());

  test('a cluster IP leads to every endpoint, for others and for the node itself', async () => {
    expect(await put(web())).toEqual([]);
    expect(names(await askMany(client, 'tcp 10.96.0.10 80', 30))).toEqual(['be1', 'be2', 'be3']);
    expect(await ask(node, 'tcp 10.96.0.10 80')).toMatch(/^be\d 10\.99\./);
    expect(await ask(client, 'tcp 10.96.0.10 80')).toMatch(/^be\d 10\.99\.0\.1$/);
  });

  test('many endpoints are as good as few, and those of another Service are its own', async () => {
    const other = web({ key: 'default/other:/TCP', clusterIP: '10.96.0.11', cluster: endpoints(2, 3, 3) });
    await put(web({ cluster: Array.from({ length: 18 }, (_, i) => endpoints((i % 3) + 1)[0]!) }), other);
    expect(names(await askMany(client, 'tcp 10.96.0.10 80', 30))).toEqual(['be1', 'be2', 'be3']);
    await put(web(), other);
    expect(names(await askMany(client, 'tcp 10.96.0.11 80', 30))).toEqual(['be2', 'be3']);
  });

  test('a pod reaches itself through its Service, and others see its own address', async () => {
    await put(web());
    const answers = new Set(await askMany(pods[0]!, 'tcp 10.96.0.10 80', 30));
    const pod = seen('10.99.0.11');
    expect([...answers].sort()).toEqual(['be1 10.99.0.1', `be2 ${pod}`, `be3 ${pod}`]);
  });

  test('node ports, external addresses', async () => {
    await put(web({ nodePort: 30080, externalIPs: ['203.0.113.7'] }));
    expect(await ask(client, 'tcp 10.99.1.1 30080')).toMatch(/^be\d 10\.99\.0\.1$/);
    expect(await ask(client, 'tcp 203.0.113.7 80')).toMatch(/^be\d/);
    expect(await ask(client, 'tcp 10.99.1.1 30081')).toBe('ECONNREFUSED');
  });

  test('a Service without endpoints refuses, and again has some', async () => {
    await put(web({ cluster: [], nodePort: 30080 }));
    expect(await ask(client, 'tcp 10.96.0.10 80')).toBe('ECONNREFUSED');
    expect(await ask(client, 'tcp 10.99.1.1 30080')).toBe('ECONNREFUSED');
    expect(await ask(node, 'tcp 10.96.0.10 80')).toBe('ECONNREFUSED');
    await put(web({ cluster: endpoints(2), nodePort: 30080 }));
    expect(await ask(client, 'tcp 10.96.0.10 80')).toMatch(/^be2/);
    expect(await ask(client, 'tcp 10.99.1.1 30080')).toMatch(/^be2/);
  });

  test.each(['10.96.0.10 80', '10.99.1.1 30080'])(
    'with affinity a client of %s stays, without it does not',
    async (at) => {
      const nodePort = 30080;
      await put(web({ nodePort }));
      expect(names(await askMany(client, `tcp ${at}`, 30))).toHaveLength(3);
      await put(web({ nodePort, affinitySeconds: 60 }));
      expect(names(await askMany(client, `tcp ${at}`, 10))).toHaveLength(1);
      await put(web({ nodePort }));
      expect(names(await askMany(client, `tcp ${at}`, 30))).toHaveLength(3);
    },
  );

  test('Local from outside: only our endpoints, which see the client; the node reaches all; without any, silence', async () => {
    const outside = { externalLocal: true, nodePort: 30080 };
    await put(web({ ...outside, local: endpoints(2) }));
    expect([...new Set(await askMany(client, 'tcp 10.99.1.1 30080', 8))]).toEqual([`be2 ${seen('10.99.1.2')}`]);
    // Sockets cannot tell the node's own calls from others.
    expect(names(await askMany(node, 'tcp 10.99.1.1 30080', 30))).toHaveLength(mode === 'userspace' ? 1 : 3);
    await put(web({ ...outside, local: [] }));
    expect(await ask(client, 'tcp 10.99.1.1 30080')).toBe(silence);
    if (mode !== 'userspace') expect(await ask(node, 'tcp 10.99.1.1 30080')).toMatch(/^be/);
  });

  test('Local inside: only our endpoints; without any, silence', async () => {
    await put(web({ internalLocal: true, local: endpoints(3) }));
    expect(names(await askMany(pods[0]!, 'tcp 10.96.0.10 80', 8))).toEqual(['be3']);
    await put(web({ internalLocal: true, local: [] }));
    expect(await ask(pods[0]!, 'tcp 10.96.0.10 80')).toBe(silence);
  });

  test('source ranges keep others away from the load balancer address, and from nothing else', async () => {
    await put(web({ loadBalancerIPs: ['203.0.113.9'], sourceRanges: ['192.0.2.0/24'] }));
    expect(await ask(client, 'tcp 203.0.113.9 80')).toBe(barred);
    expect(await ask(client, 'tcp 10.96.0.10 80')).toMatch(/^be/);
    await put(web({ loadBalancerIPs: ['203.0.113.9'], sourceRanges: ['192.0.2.0/24', '10.99.1.0/24'] }));
    expect(await ask(client, 'tcp 203.0.113.9 80')).toMatch(/^be/);
  });

  test('a node that the ranges let in reaches the address of the load balancer, though it is its own', async () => {
    ip('-n', node, 'addr', 'add', '203.0.113.9/32', 'dev', 'lo');
    try {
      const spec = { type: 'LoadBalancer' as const, loadBalancerSourceRanges: ['10.99.1.0/24'] };
      await put(...planned(spec, [1], { addresses: ['10.99.1.1'] }));
      expect(await ask(node, 'tcp 203.0.113.9 80')).toMatch(/^be1/);
      expect(await ask(client, 'tcp 203.0.113.9 80')).toMatch(/^be1/);
      await put(...planned({ ...spec, loadBalancerSourceRanges: ['192.0.2.0/24'] }, [1], { addresses: ['10.99.1.1'] }));
      expect(await ask(node, 'tcp 203.0.113.9 80')).toBe(barred);
    } finally {
      ip('-n', node, 'addr', 'del', '203.0.113.9/32', 'dev', 'lo');
    }
  });

  test.each(['10.96.0.10 80', '10.99.1.1 30080'])(
    'affinity to %s ends when a client has been away for its time',
    async (at) => {
      await put(web({ affinitySeconds: 1, nodePort: 30080 }));
      const first = names([await ask(client, `tcp ${at}`)]);
      // By chance it may be the same again.
      await eventually(async () => {
        await delay(1300);
        expect(names([await ask(client, `tcp ${at}`)])).not.toEqual(first);
      }, 30_000);
    },
    60_000,
  );

  test('an endpoint that ends serves while there is no other; hints keep a zone to its own', async () => {
    const ending = { ready: false, serving: true, terminating: true };
    await put(...planned({}, [1, 2], {}, { 1: ending, 2: { ...ending, serving: false } }));
    expect(names(await askMany(client, 'tcp 10.96.0.10 80', 8))).toEqual(['be1']);
    await put(...planned({}, [1, 2, 3], {}, { 1: ending }));
    expect(names(await askMany(client, 'tcp 10.96.0.10 80', 20))).toEqual(['be2', 'be3']);
    await put(...planned({}, [1, 2, 3], { zone: 'zone-2' }));
    expect(names(await askMany(client, 'tcp 10.96.0.10 80', 8))).toEqual(['be2']);
  });

  test('IPv6: a cluster IP and a node port', async () => {
    const six = { family: 6 as const, key: 'default/web:/TCP/6', clusterIP: 'fd96::10' };
    const all = [1, 2, 3].map((i) => ({ address: `fd99:0::1${i}`, port: 8080 }));
    expect(await put(web({ ...six, cluster: all }))).toEqual([]);
    expect(names(await askMany(client, 'tcp fd96::10 80', 30))).toEqual(['be1', 'be2', 'be3']);
    expect(await ask(node, 'tcp fd96::10 80')).toMatch(/^be\d fd99:/);
    await put(web({ ...six, cluster: all, nodePort: 30086 }));
    expect(await ask(client, 'tcp fd99:1::1 30086')).toMatch(/^be\d/);
  });

  kernel('where IPv6 cannot be had its ports are refused, and those of IPv4 served', async () => {
    writer = open(writerOptions, (program, args, input = '') =>
      /^ip6tables|table ip6 /.test(`${program} ${input}`)
        ? Promise.reject(new Error('no IPv6 here'))
        : inNode(program, args, input),
    );
    const six = web({ family: 6, key: 'default/web:/TCP/6', clusterIP: 'fd96::10' });
    expect(await put(web(), six)).toEqual([{ key: six.key, reason: 'no IPv6 here' }]);
    expect(await ask(client, 'tcp 10.96.0.10 80')).toMatch(/^be/);
    expect(await put()).toEqual([]);
    writer = open(writerOptions);
  });

  kernel('of several ranges of pods each is known as such, and only others are masqueraded', async () => {
    writer = open({ ...writerOptions, clusterCidr: ['10.98.0.0/24', '10.99.0.0/24', 'fd98::/64'] });
    await put(web({ cluster: endpoints(2) }));
    expect(await ask(pods[0]!, 'tcp 10.96.0.10 80')).toBe('be2 10.99.0.11');
    expect(await ask(client, 'tcp 10.96.0.10 80')).toBe('be2 10.99.0.1');
    await put(web({ cluster: endpoints(3) }));
    expect(await ask(pods[0]!, 'tcp 10.96.0.10 80')).toBe('be3 10.99.0.11');
    await put();
    expect(await rules()).not.toMatch(/KUBE-OUT-/);
    await put(web({ cluster: endpoints(3) }));
    writer = open(writerOptions);
    await writer.cleanup();
    expect(await rules()).not.toMatch(/km-proxy|KUBE/);
  });

  test('what is taken away is refused, and its port is free for others', async () => {
    await put(web({ nodePort: 30080, externalIPs: ['203.0.113.7'] }));
    expect(await ask(client, 'tcp 203.0.113.7 80')).toMatch(/^be/);
    await put();
    expect(await ask(client, 'tcp 10.99.1.1 30080')).toBe('ECONNREFUSED');
    expect(await ask(client, 'tcp 203.0.113.7 80')).toMatch(/timeout|ECONNREFUSED|EHOSTUNREACH/);
    const other = { key: 'default/other:/TCP', service: 'default/other', clusterIP: '10.96.0.11' };
    expect(await put(web({ ...other, nodePort: 30080, cluster: endpoints(2) }))).toEqual([]);
    expect(await ask(client, 'tcp 10.99.1.1 30080')).toMatch(/^be2/);
  });

  test('UDP, which follows when its endpoint goes', async () => {
    const udp = (...own: number[]) => web({ key: 'default/web:/UDP', protocol: 'UDP', cluster: endpoints(...own) });
    await put(udp(1));
    expect(await ask(client, 'udp 10.96.0.10 80 5555')).toMatch(/^be1/);
    await put(udp(2));
    expect(await ask(client, 'udp 10.96.0.10 80 5555')).toMatch(/^be2/);
  });

  kernel('UDP flows outlive a proxy that starts anew, where their endpoints are still there', async () => {
    const udp = web({ key: 'default/web:/UDP', protocol: 'UDP' });
    const askAll = async () => {
      const answers: string[] = [];
      for (let port = 5600; port < 5608; port++)
        answers.push((await ask(client, `udp 10.96.0.10 80 ${port}`)).split(' ')[0]!);
      return answers;
    };
    await put(udp);
    const before = await askAll();
    writer = open(writerOptions);
    plan = new Map();
    await put(udp);
    expect(await askAll()).toEqual(before);
    writer = open(writerOptions);
    plan = new Map();
    await put({ ...udp, cluster: endpoints(2) });
    expect(names(await askAll())).toEqual(['be2']);
  });

  test('a datagram from port 0, which nobody can answer, ends nothing', async () => {
    await put(web({ key: 'default/web:/UDP', protocol: 'UDP' }));
    const inClient = runner(inside(client));
    const mangle =
      'add chain ip zero out { type filter hook output priority 300; }; add rule ip zero out udp sport set 0';
    await inClient('nft', [`add table ip zero; ${mangle}`]);
    expect(await ask(client, 'udp 10.96.0.10 80')).toBe('timeout');
    await inClient('nft', ['delete table ip zero']);
    expect(await ask(client, 'udp 10.96.0.10 80')).toMatch(/^be/);
  });

  kernel('what is taken away is gone, and a proxy that starts anew leaves nothing old behind', async () => {
    await put(web({ affinitySeconds: 60, nodePort: 30080 }));
    writer = open(writerOptions);
    plan = new Map();
    await put(servicePort({ key: 'default/other:/TCP', service: 'default/other', clusterIP: '10.96.0.11' }));
    expect(await rules()).not.toMatch(/30080|10\.99\.0\.1\d/);
    await put();
    expect(await rules()).not.toMatch(/10\.96\.0\.1/);
    await writer.cleanup();
    expect(await rules()).not.toMatch(/km-proxy|KUBE/);
  });

  kernel('a proxy that starts anew is noticed by nobody: who comes meanwhile is served, clients stay', async () => {
    const faithful = Array.from({ length: 8 }, (_, i) =>
      web({ key: `default/web-${i}:/TCP`, clusterIP: `10.96.0.2${i}`, affinitySeconds: 60 }),
    );
    const askAll = async () => {
      const answers: string[] = [];
      for (const { clusterIP } of faithful) answers.push((await ask(client, `tcp ${clusterIP} 80`)).split(' ')[0]!);
      return answers;
    };
    const leaves = web({ key: 'default/leaves:/TCP', clusterIP: '10.96.0.30', affinitySeconds: 60 });
    await put(web(), leaves, ...faithful);
    const before = await askAll();
    const meanwhile: string[] = [];
    writer = open(writerOptions, async (program, args, input) => {
      const said = await inNode(program, args, input);
      meanwhile.push(await ask(client, 'tcp 10.96.0.10 80'));
      return said;
    });
    plan = new Map();
    await put(web(), ...faithful);
    expect(meanwhile).toEqual(meanwhile.map(() => expect.stringMatching(/^be/)));
    expect(await askAll()).toEqual(before);
    expect(await rules()).not.toMatch(/10\.96\.0\.30/);
    const again = normal(await rules()).filter((line) => !/ expires /.test(line));
    await writer.cleanup();
    writer = open(writerOptions);
    await writer.apply(plan);
    expect(again).toEqual(normal(await rules()));
  });

  const iptables = mode === 'iptables' ? test : test.skip;
  iptables(
    'a node port is served where nothing is forwarded; packets that belong to no connection are not forwarded',
    async () => {
      await inNode('iptables', ['-P', 'FORWARD', 'DROP']);
      await inNode('iptables', ['-A', 'FORWARD', '-j', 'REJECT']);
      const inPod = runner(inside(pods[0]!));
      try {
        await put(web({ nodePort: 30080, cluster: endpoints(1) }));
        expect(await ask(client, 'tcp 10.99.1.1 30080')).toMatch(/^be1/);
        expect(await ask(client, 'tcp 10.99.0.11 8080')).toBe('ECONNREFUSED');
        await inNode('iptables', ['-R', 'FORWARD', '3', '-j', 'ACCEPT']);
        expect(await ask(client, 'tcp 10.99.0.11 8080')).toMatch(/^be1/);
        const counted =
          'add chain ip odd in { type filter hook input priority 0; }; add rule ip odd in tcp dport 8080 counter';
        await inPod('nft', [`add table ip odd; ${counted}`]);
        const sent =
          'add chain ip odd out { type filter hook output priority 300; }; add rule ip odd out tcp flags set 0';
        await runner(inside(client))('nft', [`add table ip odd; ${sent}`]);
        expect(await ask(client, 'tcp 10.99.0.11 8080')).toBe('timeout');
        expect(await inPod('nft', ['list', 'table', 'ip', 'odd'])).toMatch(/packets 0 bytes 0/);
      } finally {
        await inNode('iptables', ['-P', 'FORWARD', 'ACCEPT']);
        await inNode('iptables', ['-D', 'FORWARD', '-j', 'REJECT']).catch(() =>
          inNode('iptables', ['-D', 'FORWARD', '-j', 'ACCEPT']),
        );
        for (const name of [client, pods[0]!])
          await runner(inside(name))('nft', ['add table ip odd; delete table ip odd']);
      }
    },
  );

  kernel('a port whose rules are refused is named; the others are served, and its old rules stay', async () => {
    await put(web());
    const wrong = web({ loadBalancerIPs: ['203.0.113.9'], sourceRanges: ['300.0.0.0/8'], cluster: endpoints(1) });
    const other = servicePort({
      key: 'default/other:/TCP',
      service: 'default/other',
      clusterIP: '10.96.0.11',
      cluster: endpoints(3),
    });
    const refused = await writer.apply(new Map([wrong, other].map((port) => [port.key, port])));
    expect(refused).toEqual([{ key: 'default/web:/TCP', reason: expect.stringMatching(/nft|iptables-restore/) }]);
    expect(await ask(client, 'tcp 10.96.0.11 80')).toMatch(/^be3/);
    expect(names(await askMany(client, 'tcp 10.96.0.10 80', 30))).toHaveLength(3);
  });

  kernel('a change touches only its own: what comes to the same by steps is the same as written at once', async () => {
    const other = servicePort({
      key: 'default/other:/TCP',
      service: 'default/other',
      clusterIP: '10.96.0.11',
      cluster: endpoints(1, 3),
      nodePort: 30081,
    });
    const plain = web({ key: 'default/plain:/TCP', service: 'default/plain', clusterIP: '10.96.0.12' });
    const last = web({ cluster: endpoints(2, 3), affinitySeconds: 30, nodePort: 30080 });
    await put(web(), plain, other);
    await writer.apply(new Map([[last.key, last]]));
    await writer.apply(new Map([[last.key, web({ cluster: [] })]]));
    await writer.apply(new Map([[last.key, last]]));
    const bySteps = normal(await rules());
    writer = open(writerOptions);
    plan = new Map();
    await put(last, plain, other);
    expect(bySteps).toEqual(normal(await rules()));
  });
});

describe.each([
  ['nftables', 'iptables', 'nft'],
  ['iptables', 'nftables', 'iptables-save'],
] as const)('a change from %s to %s', (from, to, programOfOld) => {
  const writerOf = (name: string) => modes.find((mode) => mode.name === name)!.open(writerOptions);
  const everything = async () => (await inNode('nft', ['list', 'ruleset'])) + (await inNode('iptables-save', []));
  const ours = { nftables: /km-proxy/, iptables: /KUBE/ };
  const optionsOf = (mode: Mode['name']) => ({
    ...defaultsOf(options),
    mode,
    healthzBindAddress: '',
    metricsBindAddress: '',
  });
  const dual = () => {
    const six = web({ family: 6, key: 'default/web:/TCP/6', clusterIP: 'fd96::10', cluster: [] });
    return new Map([web(), six].map((port) => [port.key, port]));
  };
  let server: TestServer;
  beforeAll(async () => void (server = await startServer()));
  afterAll(() => server.stop());
  afterEach(() => cleanup(optionsOf(to), silent, inNode));

  async function runFor(run: Run): Promise<void> {
    const stopping = new AbortController();
    const proxy = await startProxy(optionsOf(to), {
      client: server.client(),
      log: silent,
      signal: stopping.signal,
      run,
    });
    stopping.abort();
    await proxy.closed;
  }

  test('takes away what the first has left, once the other has its rules; cleanup takes all', async () => {
    await writerOf(from).apply(dual());
    await runFor(inNode);
    expect(await everything()).not.toMatch(ours[from]);
    expect(await everything()).toMatch(ours[to]);
    await writerOf(from).apply(dual());
    await cleanup(optionsOf(to), silent, inNode);
    expect(await everything()).not.toMatch(/km-proxy|KUBE/);
    expect(await inNode('ip6tables-save', [])).not.toMatch(/KUBE/);
  });

  test('where there are no programs for the first there is nothing to take away', async () => {
    const missing = runner();
    const run: Run = (program, args, input) =>
      program === programOfOld ? missing(`no-${program}`, args, input) : inNode(program, args, input);
    await runFor(run);
    await cleanup(optionsOf(to), silent, run);
    expect(await everything()).not.toMatch(/km-proxy|KUBE/);
  });
});

/** Order within a set or between Services means nothing. */
const normal = (rules: string): string[] =>
  rules
    .replace(/\[\d+:\d+\]|# .*/g, '')
    .replace(/,\s*/g, ',\n')
    .split(/\n/)
    .map((line) => withoutNumbers(line.replace(/elements = \{|[},]$/g, '').trim()))
    .filter(Boolean)
    .sort();
