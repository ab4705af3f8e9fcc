import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createHttp } from 'node:http';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { codes } from '../../cli/preflight/findings.ts';
import { freePort } from '../../cli/ports.ts';
import * as devcluster from '../../devcluster/index.ts';
import { silent } from '../../lib/log.ts';
import { defaultsOf } from '../../lib/options.ts';
import { startSecureZooKeeper, startZooKeeper, zooKeeperIsHere } from '../mesos/zookeeper-server.ts';
import { km } from './run-km.ts';

const folder = mkdtempSync(join(tmpdir(), 'km-preflight-'));
const up = ['up', '--port', '0', '--etcd-port', '0', '--mesos-port', '0', '--dir', join(folder, 'km')];
const kubeconfig = join(folder, 'kubeconfig');
const isRoot = process.getuid?.() === 0;
const proxies = ['http_proxy', 'https_proxy', 'all_proxy', 'no_proxy'].flatMap((name) => [name, name.toUpperCase()]);
const noProxies = Object.fromEntries(proxies.map((name) => [name, undefined]));

interface Told {
  servers: string[];
  findings: { code: string; level: string; message: string }[];
  noProxy: string;
  proxied: { url: string; flag: string; proxy: string; variable: string }[];
}
type How = Parameters<typeof km>[1];

async function preflight(args: readonly string[], { env = {}, ...how }: NonNullable<How> = {}) {
  const ended = await km(['preflight', '--output', 'json', '--', ...args], { ...how, env: { ...noProxies, ...env } });
  const told = JSON.parse(ended.stdout) as Told;
  return { ...told, code: ended.code, stderr: ended.stderr, text: ended.stdout };
}

const messages = ({ findings }: Told, code: string): string[] =>
  findings.filter((finding) => finding.code === code).map(({ message }) => message);

/** In mount and host-name namespaces of its own, where a script may change what it likes. */
const within = (script: string): string[] => ['unshare', '-um', 'sh', '-ec', `${script}\nexec "$@"`, 'sh'];

beforeAll(() => {
  writeFileSync(
    kubeconfig,
    JSON.stringify({
      contexts: [{ name: 'c', context: { cluster: 'c', user: 'u' } }],
      clusters: [{ name: 'c', cluster: { server: 'https://127.0.0.1:1' } }],
      'current-context': 'c',
    }),
  );
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('km preflight', () => {
  test('finds no error where everything is in order, and says so to eyes, too', async () => {
    const told = await preflight([...up, '--log-level', 'debug']);
    expect(told.findings.filter(({ level }) => level === 'error')).toEqual([]);
    expect(told).toMatchObject({ code: 0, servers: ['up'], noProxy: '', proxied: [] });
    const { code, stdout } = await km(['preflight', '--', ...up], { env: noProxies });
    expect(code).toBe(0);
    expect(stdout).toMatch(/km preflight: up\n[^]*\nNO_PROXY=\n/);
  });

  test('finds ports that somebody has, over TCP and UDP, and ports that two want', async () => {
    // The system might give a port of its own choice to a connection of somebody else over TCP.
    const [freeUdp, free] = [await freePort(), await freePort()];
    const tcp = createServer().listen(0, '127.0.0.1');
    const udp = createSocket('udp4').bind(freeUdp, '127.0.0.1');
    await Promise.all([once(tcp, 'listening'), once(udp, 'listening')]);
    const [taken, takenUdp] = [(tcp.address() as AddressInfo).port, udp.address().port];
    try {
      const told = await preflight([
        ...['apiserver', '--port', String(taken), '--', 'dns', '--kubeconfig', kubeconfig, '--port', String(takenUdp)],
        ...['--', ...up, '--port', String(free), '--bind-address', '0.0.0.0', '--etcd-port', String(free)],
      ]);
      expect(messages(told, 'port-taken')).toEqual([
        `port ${taken} (tcp) on 127.0.0.1 is already in use: stop what has it, or choose another with --port`,
        `port ${takenUdp} (udp) on 127.0.0.1 is already in use: stop what has it, or choose another with --port`,
      ]);
      expect(messages(told, 'port-twice')).toEqual([
        `port ${free} (tcp) is asked for twice, by km up --port and by km up --etcd-port: give one of them another`,
      ]);
      expect(told.code).toBe(1);
      expect(told.stderr).toMatch(/^km: \d+ of \d+ findings would keep apiserver, dns, up from working$/m);
    } finally {
      tcp.close();
      udp.close();
    }
  });

  test('an address of another machine cannot be listened on', async () => {
    const told = await preflight(['apiserver', '--bind-address', '192.0.2.1', '--port', '6443']);
    expect(messages(told, 'port-unusable')[0]).toContain('192.0.2.1:6443 (EADDRNOTAVAIL)');
  });

  test('command lines that would not start are told as km would tell them', async () => {
    const told = await preflight(['fly', '--', 'apiserver', '--prot', '1', '--', 'proxy', '--mode', 'userspace']);
    expect(messages(told, 'command-line')).toEqual([
      'km fly cannot be started so: there is no server of that name',
      expect.stringContaining('km apiserver cannot be started so: unknown option --prot'),
      'km proxy cannot be started so: --kubeconfig is missing',
    ]);
    expect(told.code).toBe(1);
  });

  test('files that cannot be read, and secrets that everybody can', async () => {
    const key = join(folder, 'apiserver.key');
    writeFileSync(key, '-----BEGIN PRIVATE KEY-----\n');
    const flags = ['apiserver', '--port', '0', '--tls-key-file', key, '--client-ca-file', '/nowhere/ca.crt'];
    const told = await preflight(flags);
    expect(messages(told, 'file-unreadable')[0]).toContain('--client-ca-file names /nowhere/ca.crt');
    expect(messages(told, 'file-exposed')[0]).toContain(`chmod 600 ${key}`);
    chmodSync(key, 0o600);
    expect(messages(await preflight(flags), 'file-exposed')).toEqual([]);
  });

  test('addresses that other programs would look for behind a proxy, and the NO_PROXY that keeps them from it', async () => {
    const env = {
      HTTP_PROXY: 'http://me:secret@127.0.0.1:9',
      HTTPS_PROXY: 'http://127.0.0.1:9',
      NO_PROXY: '127.0.0.0/8,.corp',
    };
    const told = await preflight(
      [
        ...['apiserver', '--port', '0', '--etcd-servers', 'http://etcd-1.corp:2379,http://192.0.2.7:2379', '--'],
        ...['scheduler', '--kubeconfig', kubeconfig, '--mesos-master', 'zk://127.0.0.1:1/mesos'],
      ],
      { env },
    );
    expect(told.proxied).toEqual([
      { url: 'http://192.0.2.7:2379', flag: '--etcd-servers', proxy: 'http://…@127.0.0.1:9', variable: 'HTTP_PROXY' },
    ]);
    expect(told.noProxy).toBe('127.0.0.0/8,.corp,192.0.2.7');
    expect(told.text).not.toContain('secret');
    // What it says to set is what it takes.
    const { proxied } = await preflight(['apiserver', '--port', '0', '--etcd-servers', 'http://192.0.2.7:2379'], {
      env: { ...env, NO_PROXY: told.noProxy },
    });
    expect(proxied).toEqual([]);
  });

  test('peers that are silent, or one of them, or unknown by name', async () => {
    const answering = createHttp((_, answer) => answer.end()).listen(0, '127.0.0.1');
    await once(answering, 'listening');
    const url = `http://127.0.0.1:${(answering.address() as AddressInfo).port}`;
    try {
      const told = await preflight([
        ...['apiserver', '--port', '0', '--etcd-servers', `${url},http://127.0.0.1:1`, '--'],
        ...['scheduler', '--kubeconfig', kubeconfig, '--mesos-master', 'nowhere.invalid:5050'],
      ]);
      expect(messages(told, 'peer-down')[0]).toContain('one etcd of several does not answer, http://127.0.0.1:1');
      expect(messages(told, 'peer-silent')[0]).toContain('no apiserver answers at https://127.0.0.1:1 (ECONNREFUSED)');
      expect(messages(told, 'name-unknown')[0]).toContain('the name nowhere.invalid of --mesos-master');
    } finally {
      answering.close();
    }
  });

  (zooKeeperIsHere ? test : test.skip)(
    'the master that leads is found in ZooKeeper, and other programs’ way to it is looked at',
    async () => {
      const [zooKeeper, port] = [await startZooKeeper(1), await freePort()];
      const spec = `zk://me:secret@${zooKeeper.addresses[0]}/mesos`;
      const look = (env: Record<string, string> = {}) =>
        preflight(['scheduler', '--kubeconfig', kubeconfig, '--mesos-master', spec], { env });
      const stop = new AbortController();
      try {
        const without = await look();
        expect(messages(without, 'no-leader')[0]).toContain('no Mesos master leads at zk://…@127.0.0.1');
        expect(without.text).not.toContain('secret');
        const zk = spec.replace('me:secret@', '');
        await devcluster.start(
          { ...defaultsOf(devcluster.options), port, agentPort: 0, zk },
          { log: silent, signal: stop.signal, agents: [] },
        );
        const { proxied, noProxy } = await look({ HTTP_PROXY: 'http://127.0.0.1:9' });
        expect(proxied.map(({ url }) => url)).toEqual([`http://127.0.0.1:${port}`]);
        expect(noProxy).toBe('127.0.0.1');
      } finally {
        stop.abort();
        await zooKeeper.stop();
      }
    },
  );

  (zooKeeperIsHere ? test : test.skip)('a ZooKeeper that serves TLS is talked to as it wants it', async () => {
    const zooKeeper = await startSecureZooKeeper();
    const { authority, client } = zooKeeper;
    const flags = Object.entries({ ca: authority.cert, cert: client.cert, key: client.key }).map(([name, pem]) => {
      writeFileSync(join(folder, `zk-${name}.pem`), pem);
      return [`--mesos-zk-${name}-file`, join(folder, `zk-${name}.pem`)];
    });
    const look = (...more: string[]) => {
      const mesos = ['--mesos-master', `zk://${zooKeeper.addresses[0]}/mesos`];
      return preflight(['scheduler', '--kubeconfig', kubeconfig, ...mesos, ...more]);
    };
    try {
      expect(messages(await look(...flags.flat()), 'no-leader')[0]).toContain(
        'no Mesos master leads at zk://127.0.0.1',
      );
      const silentOnes = messages(await look(...flags[0]!), 'peer-silent');
      expect(silentOnes).toContainEqual(expect.stringContaining('no ZooKeeper answers at zk://127.0.0.1'));
    } finally {
      await zooKeeper.stop();
    }
  });

  test('an apiserver that is to be started here is not missed', async () => {
    const port = await freePort();
    const own = join(folder, 'own');
    writeFileSync(own, readFileSync(kubeconfig, 'utf8').replace('127.0.0.1:1', `127.0.0.1:${port}`));
    const told = await preflight([
      ...['apiserver', '--port', String(port), '--', 'controller-manager', '--kubeconfig', own],
    ]);
    expect(messages(told, 'peer-silent')).toEqual([]);
  });

  test.each([
    [60_000, 'clock-skew', /differs by 6\d s/],
    [3_600_000, 'clock-wrong', /differs by 360\d s/],
  ])('a clock that is off by %d ms is %s', async (off, code, words) => {
    const server = createHttp((_, answer) => {
      answer.setHeader('date', new Date(Date.now() - off).toUTCString());
      answer.end();
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    try {
      const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
      const told = await preflight(['apiserver', '--port', '0', '--etcd-servers', url]);
      expect(messages(told, code)[0]).toMatch(words);
    } finally {
      server.close();
    }
  });

  test('programs that are missing, with the package that has them', async () => {
    const flags = [...up, '--store', 'etcd', '--proxy', 'iptables'];
    const told = await preflight(flags, { env: { PATH: folder } });
    expect(messages(told, 'program-missing')).toEqual([
      expect.stringContaining('there is no etcd on PATH (--store etcd starts it)'),
      expect.stringContaining('apt-get install iptables'),
    ]);
    expect(messages(told, 'program-useful')[0]).toContain('there is no conntrack on PATH');
    expect(messages(await preflight([...up, '--store', 'embedded']), 'program-missing')).toEqual([]);
  });

  test.each([
    ['cri', '--cri-socket'],
    ['docker', '--docker-host'],
  ])('a container runtime that does not answer: %s', async (runtime, flag) => {
    const socket = join(folder, `${runtime}.sock`);
    const flags = ['executor', '--runtime', runtime, flag, `unix://${socket}`, '--root-dir', folder];
    expect(messages(await preflight(flags), 'socket-silent')[0]).toContain(`${socket} (ENOENT)`);
    const server = createServer().listen(socket);
    await once(server, 'listening');
    expect(messages(await preflight(flags), 'socket-silent')).toEqual([]);
    server.close();
  });

  test('root is asked for where it is needed, and only there', async () => {
    // In a user namespace without users, root is nobody.
    const user = isRoot ? { by: ['unshare', '--user'] } : {};
    const flags = ['proxy', '--kubeconfig', kubeconfig, '--healthz-bind-address', '', '--metrics-bind-address', ''];
    const told = await preflight([...flags, '--', 'apiserver', '--port', '80'], user);
    expect(messages(told, 'root-missing')[0]).toContain('takes root: run as root, or use --mode userspace');
    const lowest = Number(readFileSync('/proc/sys/net/ipv4/ip_unprivileged_port_start', 'utf8'));
    expect(messages(told, 'port-needs-root')).toHaveLength(lowest > 80 ? 1 : 0);
    const without = await preflight([...flags, '--mode', 'userspace', '--', 'apiserver', '--port', '0'], user);
    expect(without.findings.filter(({ code }) => code.includes('root'))).toEqual([]);
  });
});

// Namespaces, mounts and rules of the kernel take root.
(isRoot ? describe : describe.skip)('km preflight, of machines in other states', () => {
  test.each([
    ['127.0.1.1 kmhost', 'hostname-loopback', 'resolves to 127.0.1.1'],
    ['192.0.2.1 other', 'hostname-unknown', 'kmhost, cannot be resolved'],
  ])('/etc/hosts with %s: %s', async (line, code, words) => {
    const hosts = join(folder, 'hosts');
    writeFileSync(hosts, `127.0.0.1 localhost\n${line}\n`);
    const by = within(`hostname kmhost; mount --bind ${hosts} /etc/hosts`);
    const told = await preflight([...up, '--advertise', 'kmhost'], { by });
    expect(messages(told, code)[0]).toContain(words);
    const advertised = code === 'hostname-loopback' ? 'told-loopback' : 'name-unknown';
    expect(messages(told, advertised)[0]).toContain('kmhost of --advertise');
    expect(told.code).toBe(1);
  });

  test.each([
    ['size=50m', 'disk-full'],
    ['size=500m', 'disk-low'],
    ['size=50m,ro', 'directory-readonly'],
  ])('a disk with %s: %s', async (options, code) => {
    const told = await preflight([...up, '--dir', '/mnt/km'], { by: within(`mount -t tmpfs -o ${options} km /mnt`) });
    expect(messages(told, code)).toEqual([expect.stringMatching(/\/mnt.*--dir/)]);
  });

  test('cgroups that are not mounted', async () => {
    const flags = ['executor', '--runtime', 'cri', '--root-dir', folder];
    const told = await preflight(flags, { by: within('mount -t tmpfs km /sys/fs/cgroup') });
    expect(messages(told, 'cgroup-missing')[0]).toContain('for cpu, memory, pids');
    expect(messages(await preflight(flags), 'cgroup-missing')).toEqual([]);
  });

  test('packets that are not forwarded, and bridges that pass rules by', async () => {
    const off = join(folder, 'off');
    writeFileSync(off, '0\n');
    const files = ['/proc/sys/net/ipv4/ip_forward', '/proc/sys/net/bridge/bridge-nf-call-iptables'];
    const by = within(files.map((file) => `[ ! -e ${file} ] || mount --bind ${off} ${file}`).join('\n'));
    const told = await preflight([...up, '--runtime', 'cri'], { by });
    expect(messages(told, 'forwarding-off')).toHaveLength(1);
    expect(messages(told, 'bridge-unfiltered')).toHaveLength(1);
  });

  test.each(['nftables', 'iptables'])('a kernel that takes the rules of %s, and one that does not', async (mode) => {
    const flags = ['proxy', '--kubeconfig', kubeconfig, '--mode', mode];
    expect(messages(await preflight(flags), 'kernel-rules')).toEqual([]);
    const by = ['setpriv', '--inh-caps=-net_admin', '--bounding-set=-net_admin'];
    expect(messages(await preflight(flags, { by }), 'kernel-rules')[0]).toContain(`the ${mode} proxy`);
  });
});

test('docs/troubleshooting.md says more of each finding', () => {
  const headings = [...readFileSync('docs/troubleshooting.md', 'utf8').matchAll(/^\*\*([a-z-]+)\*\*/gm)];
  expect(headings.map(([, code]) => code).sort()).toEqual([...codes].sort());
});
