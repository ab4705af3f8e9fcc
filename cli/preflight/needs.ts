import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Options as ApiserverOptions } from '../../apiserver/index.ts';
import { readKubeconfig } from '../../client/kubeconfig.ts';
import { type Values, defaultsOf } from '../../lib/options.ts';
import { parseLeaderSpec } from '../../mesos/leader.ts';
import { zooKeeperTlsOptions } from '../../mesos/zookeeper-tls.ts';
import type { KernelMode } from '../../proxy/index.ts';
import { chosenProxy, hasOwnNetwork, type ProxyMode } from '../proxy-mode.ts';

type ZooKeeperTlsFiles = Values<typeof zooKeeperTlsOptions>;
type OfMasters = { mesosMaster: string; mesosCaFile: string } & ZooKeeperTlsFiles;

/** A port that a server listens on. */
export interface Listen {
  port: number;
  address: string;
  protocol: 'tcp' | 'udp';
  flag: string;
}

/** What a server talks to: one of the addresses has to answer. */
export interface Peers {
  what: string;
  /** `http://…`, `https://…` or `zk://host:port`. */
  urls: readonly string[];
  flag: string;
  /** Of Mesos masters: how the one that leads is found. */
  masters?: { spec: string; scheme: 'http' | 'https'; caFile: string; zooKeeper: ZooKeeperTlsFiles };
}

export interface Program {
  name: string;
  /** The Debian package that has it. */
  from: string;
  why: string;
  /** False where there is less without it, but something. */
  required: boolean;
}

/** What a server with its options wants of the machine that it is to run on. */
export interface Needs {
  listens?: readonly Listen[];
  peers?: readonly Peers[];
  programs?: readonly Program[];
  /** What takes root, and what would do without. */
  root?: { why: string; instead: string };
  /** Unix sockets that answer. */
  sockets?: readonly { path: string; flag: string }[];
  /** Directories that are written to; made where they are not there. */
  directories?: readonly { path: string; flag: string }[];
  /** Names or addresses of this machine that others are told. */
  told?: readonly { host: string; flag: string }[];
  /** Rules in the kernel, of this kind. */
  rules?: KernelMode;
  /** Containers in cgroups and network namespaces. */
  containers?: boolean;
}

const tcp = (port: number, address: string, flag: string): Listen[] =>
  port === 0 ? [] : [{ port, address, flag, protocol: 'tcp' }];

const etcdPeers = (urls: readonly string[]): Peers[] =>
  urls.length > 0 ? [{ what: 'etcd', urls, flag: '--etcd-servers' }] : [];

const etcdProgram: Program = { name: 'etcd', from: 'etcd-server', why: '--store etcd starts it', required: true };

export interface UpOptions {
  dir: string;
  port: number;
  etcdPort: number;
  mesosPort: number;
  store: string;
  runtime: string;
  criSocket: string;
  dockerHost: string;
  proxy: 'auto' | ProxyMode;
  mesos: string;
  etcdServers: readonly string[];
  bindAddress: string;
  advertise: string;
}

export function needsOfUp(o: UpOptions): Needs {
  const local = '127.0.0.1';
  const ownEtcd = o.store !== 'embedded' && o.etcdServers.length === 0;
  const proxy = chosenProxy(o.proxy, o.runtime);
  const parts: Needs[] = [needsOfRuntime(o), proxy === 'none' ? {} : needsOfProxyMode(proxy, '--proxy userspace')];
  return {
    ...parts[0],
    ...parts[1],
    listens: [
      ...tcp(o.port, o.bindAddress || (hasOwnNetwork(o.runtime) ? '0.0.0.0' : '127.0.0.1'), '--port'),
      ...(ownEtcd ? tcp(o.etcdPort, local, '--etcd-port') : []),
      ...(o.mesos || o.mesosPort === 0 ? [] : [0, 1, 2, 3].flatMap((i) => tcp(o.mesosPort + i, local, '--mesos-port'))),
    ],
    peers: [
      ...parts.flatMap(({ peers = [] }) => peers),
      ...etcdPeers(o.etcdServers),
      ...(o.mesos ? [mastersOf(o.mesos, '--mesos')] : []),
      ...(o.port === 0 ? [] : [{ what: 'apiserver', urls: [`https://${o.advertise}:${o.port}`], flag: '--advertise' }]),
    ],
    programs: [
      ...(ownEtcd && o.store === 'etcd' ? [etcdProgram] : []),
      ...parts.flatMap(({ programs = [] }) => programs),
    ],
    directories: [{ path: o.dir, flag: '--dir' }],
    told: [{ host: o.advertise, flag: '--advertise' }],
  };
}

export function needsOfApiserver(o: ApiserverOptions): Needs {
  const told = o.advertiseAddress.replace(/:\d+$/, '').replace(/^\[|\]$/g, '');
  const keepsFile = o.etcdServers.length === 0 && o.embeddedStore !== ':memory:';
  return {
    listens: tcp(o.port, o.bindAddress, '--port'),
    peers: etcdPeers(o.etcdServers),
    ...(keepsFile ? { directories: [{ path: o.embeddedStore, flag: '--embedded-store' }] } : {}),
    ...(told ? { told: [{ host: told, flag: '--advertise-address' }] } : {}),
  };
}

export const needsOfControllerManager = (o: { kubeconfig: string; port: number; bindAddress: string }): Needs => ({
  listens: tcp(o.port, o.bindAddress, '--port'),
  peers: apiserverOf(o.kubeconfig),
});

export const needsOfScheduler = (
  o: {
    kubeconfig: string;
    port: number;
    bindAddress: string;
  } & OfMasters,
): Needs => ({
  listens: tcp(o.port, o.bindAddress, '--port'),
  peers: [...apiserverOf(o.kubeconfig), ...mesosOf(o)],
});

export const needsOfExecutor = (o: {
  runtime: string;
  criSocket: string;
  dockerHost: string;
  rootDir: string;
  port: number;
  bindAddress: string;
}): Needs => ({
  ...needsOfRuntime(o),
  listens: tcp(o.port, o.bindAddress || '0.0.0.0', '--port'),
  directories: [{ path: o.rootDir || '.', flag: '--root-dir' }],
});

export const needsOfDns = (
  o: {
    kubeconfig: string;
    port: number;
    bindAddress: string;
    healthBindAddress: string;
  } & OfMasters,
): Needs => ({
  listens: [
    ...tcp(o.port, o.bindAddress, '--port').flatMap((listen) => [listen, { ...listen, protocol: 'udp' as const }]),
    ...boundAt(o.healthBindAddress, '--health-bind-address'),
  ],
  peers: [...apiserverOf(o.kubeconfig), ...mesosOf(o)],
});

export const needsOfProxy = (o: {
  kubeconfig: string;
  mode: 'userspace' | KernelMode;
  healthzBindAddress: string;
  metricsBindAddress: string;
}): Needs => ({
  ...needsOfProxyMode(o.mode, '--mode userspace'),
  listens: [
    ...boundAt(o.healthzBindAddress, '--healthz-bind-address'),
    ...boundAt(o.metricsBindAddress, '--metrics-bind-address'),
  ],
  peers: apiserverOf(o.kubeconfig),
});

export const needsOfDevcluster = (o: {
  port: number;
  agentPort: number;
  masters: number;
  workDir: string;
  zk: string;
}): Needs => ({
  listens: [
    ...Array.from({ length: o.port === 0 ? 0 : o.masters }, (_, i) => tcp(o.port + i, '127.0.0.1', '--port')).flat(),
    ...tcp(o.agentPort, '127.0.0.1', '--agent-port'),
  ],
  peers: o.zk ? [withoutMasters(mastersOf(o.zk, '--zk'))] : [],
  ...(o.workDir ? { directories: [{ path: o.workDir, flag: '--work-dir' }] } : {}),
});

/** Masters that are to be started here are not looked for. */
const withoutMasters = ({ what, urls, flag }: Peers): Peers => ({ what, urls, flag });

function needsOfRuntime(o: { runtime: string; criSocket: string; dockerHost: string }): Needs {
  if (o.runtime === 'cri') return { sockets: [{ path: pathOf(o.criSocket), flag: '--cri-socket' }], containers: true };
  if (o.runtime !== 'docker') return {};
  if (o.dockerHost.startsWith('unix://'))
    return { sockets: [{ path: pathOf(o.dockerHost), flag: '--docker-host' }], containers: true };
  return {
    peers: [{ what: 'Docker', urls: [o.dockerHost.replace('tcp:', 'http:')], flag: '--docker-host' }],
    containers: true,
  };
}

const pathOf = (socket: string): string =>
  socket.startsWith('unix://') ? fileURLToPath(socket.replace('unix:', 'file:')) : socket;

function needsOfProxyMode(mode: 'userspace' | KernelMode, instead: string): Needs {
  if (mode === 'userspace') return {};
  const why = `the ${mode} proxy writes rules into the kernel`;
  const writer =
    mode === 'nftables' ? { name: 'nft', from: 'nftables' } : { name: 'iptables-restore', from: 'iptables' };
  return {
    root: { why, instead },
    rules: mode,
    programs: [
      { ...writer, why, required: true },
      { name: 'conntrack', from: 'conntrack', why: 'the proxy ends stale UDP flows with it', required: false },
    ],
  };
}

function boundAt(address: string, flag: string): Listen[] {
  const at = address.lastIndexOf(':');
  return at < 0
    ? []
    : tcp(Number(address.slice(at + 1)), address.slice(0, at).replace(/^\[|\]$/g, '') || '0.0.0.0', flag);
}

/** None where the kubeconfig cannot be read: that is told of the file. */
function apiserverOf(kubeconfig: string): Peers[] {
  try {
    return [{ what: 'apiserver', urls: [readKubeconfig(kubeconfig).server], flag: '--kubeconfig' }];
  } catch {
    return [];
  }
}

/** None where no masters are named. */
const mesosOf = (o: OfMasters): Peers[] =>
  o.mesosMaster ? [mastersOf(o.mesosMaster, '--mesos-master', o.mesosCaFile, o)] : [];

function mastersOf(
  spec: string,
  flag: string,
  caFile = '',
  zooKeeper: ZooKeeperTlsFiles = defaultsOf(zooKeeperTlsOptions),
): Peers {
  const scheme = caFile === '' ? 'http' : 'https';
  const masters = { spec, scheme, caFile, zooKeeper } as const;
  let parsed = parseLeaderSpec(spec, scheme);
  if (parsed.kind === 'file') parsed = parseLeaderSpec(readFileSync(parsed.path, 'utf8'), scheme);
  if (parsed.kind === 'zookeeper')
    return { what: 'ZooKeeper', urls: parsed.servers.map((server) => `zk://${server}`), flag, masters };
  return { what: 'Mesos master', urls: parsed.kind === 'masters' ? parsed.urls : [], flag, masters };
}
