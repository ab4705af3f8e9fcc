import { execFile } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import { promisify } from 'node:util';
import { Agent, request } from 'undici';
import { delay } from '../lib/delay.ts';
import type { Logger } from '../lib/log.ts';
import { dnsAddress, publishDns } from './cluster-dns.ts';
import { onPath } from './on-path.ts';
import { type Pki, ensurePki, servingHosts, writeKubeconfigs } from './pki/pki.ts';
import { checkPort, freePort, isFree } from './ports.ts';
import type { ProxyMode } from './proxy-mode.ts';
import { type Program, Supervised } from './supervisor.ts';

/** A whole km on this machine, each server a process of its own. Ports: 0 takes a free one. */
export interface ClusterOptions {
  /** Holds data, logs, certificates, kubeconfigs. */
  dir: string;
  apiserverPort: number;
  etcdPort: number;
  mesosPort: number;
  /** Masters of a Mesos that is there already; '' starts a development one. */
  masters: string;
  /** Endpoints of an etcd that is there already; none starts one of our own, as `store` says. */
  etcdServers: readonly string[];
  /** Address the apiserver listens on, and the name or address under which others reach it. */
  bindAddress: string;
  advertise: string;
  /** Command line that starts the executor on an agent; '' runs this very program. */
  executorCommand: string;
  /** auto: etcd where there is one on PATH, else the embedded store. */
  store: 'auto' | 'etcd' | 'embedded';
  runtime: 'process' | 'cri' | 'docker' | 'mesos';
  criSocket: string;
  dockerHost: string;
  /**
   * The address of this machine that pods with a network of their own reach: there the API, the names of the cluster and the nodes are
   * for them. '' where pods share our network, or cannot reach us.
   */
  podsReach: string;
  /** How Services are served; with userspace their addresses should be loopback ones, which anybody may bind. */
  proxy: ProxyMode;
  /** Addresses of Services. */
  serviceCidr: string;
  /** Whether health, figures and pages are at the ports of Kubernetes' own servers, where nobody else has them. */
  knownPorts: boolean;
  logLevel: string;
  /** Milliseconds. */
  readyTimeout: number;
  /** More flags for one server, by its name. */
  flags?: Readonly<Record<string, readonly string[]>>;
  /** More flags for executors started by this very program. */
  executorFlags?: readonly string[];
  /** Environment of every server beside our own. */
  env?: Readonly<Record<string, string | undefined>>;
}

export interface ClusterDeps {
  log: Logger;
  signal: AbortSignal;
  /** What becomes of each server, by name; `ready` has what to call it, and more of it. */
  starting?: (what: string) => void;
  ready?: (what: string, detail: string) => void;
  restarted?: (what: string, how: string) => void;
  stopping?: (what: string) => void;
}

export interface LocalCluster {
  kubeconfig: string;
  server: string;
  masterUrl: string;
  /** Servers by name: etcd, apiserver, dns, devcluster, controller-manager, scheduler, proxy. */
  servers: ReadonlyMap<string, Supervised>;
  /** Stops what was started, the last first. */
  stop(): Promise<void>;
}

/** The program, as source or, once built, as JavaScript. */
const km = join(import.meta.dirname, `km${extname(import.meta.filename)}`);

/** Resolves when kubectl can be used. On failure everything that was started is stopped, and the error says which failed. */
export async function startCluster(o: ClusterOptions, deps: ClusterDeps): Promise<LocalCluster> {
  const launch = new Launch(o, deps);
  try {
    await launch.run(deps.signal);
    return launch;
  } catch (error) {
    await launch.stop();
    throw error;
  }
}

class Launch implements LocalCluster {
  readonly servers = new Map<string, Supervised>();
  kubeconfig: string;
  server = '';
  masterUrl = '';
  readonly #o: ClusterOptions;
  readonly #deps: ClusterDeps;

  constructor(o: ClusterOptions, deps: ClusterDeps) {
    this.#o = o;
    this.#deps = deps;
    this.kubeconfig = join(o.dir, 'kubeconfig');
  }

  async run(signal: AbortSignal): Promise<void> {
    const ready = (what: string, detail: string) => this.#deps.ready?.(what, detail);
    const { dir } = this.#o;
    for (const folder of ['logs', 'pki']) mkdirSync(join(dir, folder), { recursive: true });
    const ports = await this.#choosePorts();
    const pki = await ensurePki(join(dir, 'pki'), servingHosts([this.#o.advertise], this.#o.serviceCidr));
    const ownEtcd = this.#startsEtcd();
    const etcd = ownEtcd ? [`http://127.0.0.1:${ports.etcd}`] : this.#o.etcdServers;
    if (ownEtcd) {
      await this.#start(this.#etcd(ports.etcd, ports.etcdPeer), signal);
      ready('etcd', etcd.join(','));
    }
    this.server = `https://${this.#o.advertise}:${ports.apiserver}`;
    await this.#start(this.#apiserver(ports, pki, etcd), signal);
    ready('apiserver', `${this.server}, objects kept in ${etcd.length > 0 ? 'etcd' : 'the embedded store'}`);
    writeKubeconfigs(join(dir, 'pki'), this.server, pki);
    copyFileSync(join(dir, 'pki/admin.kubeconfig'), this.kubeconfig);
    if (this.#o.podsReach) {
      const port = await freePort(this.#o.podsReach);
      await this.#start(this.#dns(this.#o.podsReach, port), signal);
      await publishDns(this.kubeconfig, dnsAddress(this.#o.serviceCidr), this.#o.podsReach, port);
      ready('dns', `names of Services for pods, at ${dnsAddress(this.#o.serviceCidr)}`);
    }
    this.masterUrl = this.#o.masters || `http://127.0.0.1:${ports.mesos}`;
    if (!this.#o.masters) {
      await this.#start(this.#devcluster(ports), signal);
      ready('development Mesos', `${this.masterUrl}${await agentsOf(this.masterUrl, signal)}`);
    }
    await this.#startAtKnown([controllerManagerPort], () => this.#controllerManager(pki), signal);
    ready('controller-manager', '');
    let page = '';
    const scheduler = async () => {
      page = (await this.#mayHave(schedulerPort)) ? `https://127.0.0.1:${schedulerPort}/ui/` : '';
      return this.#scheduler(pki, page);
    };
    await this.#startAtKnown([schedulerPort], scheduler, signal);
    ready('scheduler', 'subscribed as a Mesos framework; executors start with the first pods');
    if (page) ready('page', `${page} (any name; the password is in ${pki.pageTokenFile})`);
    if (this.#o.proxy === 'none') return;
    await this.#startAtKnown(proxyPorts, () => this.#proxy(), signal);
    ready('proxy', `Services on ${this.#o.serviceCidr}, ${this.#o.proxy}`);
  }

  async stop(): Promise<void> {
    for (const server of [...this.servers.values()].reverse()) {
      this.#deps.stopping?.(server.name);
      await server.stop();
    }
    if (this.servers.has('proxy')) await this.#removeRules();
    this.servers.clear();
  }

  /** Rules outlive the proxy that wrote them, as those of kube-proxy do; this machine is to be as it was. */
  async #removeRules(): Promise<void> {
    const { proxy } = this.#o;
    if (proxy !== 'nftables' && proxy !== 'iptables') return;
    await promisify(execFile)(process.execPath, [km, 'proxy', '--cleanup', '--mode', proxy]).catch((err: unknown) =>
      this.#deps.log.warn({ err }, `rules of Services are left: km proxy --cleanup --mode ${proxy}`),
    );
  }

  /** A server whose known port somebody else took between our look and its start does without it. */
  async #startAtKnown(ports: readonly number[], program: () => Promise<Program>, signal: AbortSignal): Promise<void> {
    const first = await program();
    try {
      await this.#start(first, signal);
    } catch (error) {
      await this.servers.get(first.name)?.stop(); // one that is only slow has the port itself
      const free = await Promise.all(ports.map((port) => isFree(port)));
      if (signal.aborted || !this.#o.knownPorts || !free.includes(false)) throw error;
      await this.#start(await program(), signal);
    }
  }

  async #start(program: Program, signal: AbortSignal): Promise<void> {
    const { log, starting, restarted } = this.#deps;
    const told = (name: string, how: string) => log.warn({ server: name, how }, 'a server ended and is started again');
    const server = new Supervised(program, restarted ?? told);
    this.servers.set(program.name, server);
    starting?.(program.name);
    await server.start(AbortSignal.any([signal, AbortSignal.timeout(this.#o.readyTimeout)]));
    log.debug({ server: program.name, pid: server.pid }, 'started');
  }

  #startsEtcd(): boolean {
    if (this.#o.store === 'embedded' || this.#o.etcdServers.length > 0) return false;
    const found = onPath('etcd');
    if (!found && this.#o.store === 'etcd')
      throw new Error('there is no etcd on PATH; install etcd-server, or use --store embedded');
    return found;
  }

  async #choosePorts() {
    const { apiserverPort, etcdPort, mesosPort, masters } = this.#o;
    const choose = async (port: number, flag: string) => {
      if (port === 0) return freePort();
      await checkPort(port, flag);
      return port;
    };
    const etcd = this.#startsEtcd() ? await choose(etcdPort, '--etcd-port') : 0;
    const mesos = masters ? 0 : await choose(mesosPort, '--mesos-port');
    if (mesosPort !== 0 && !masters) for (let i = 1; i <= 3; i++) await checkPort(mesosPort + i, '--mesos-port');
    return {
      apiserver: await choose(apiserverPort, '--port'),
      etcd,
      etcdPeer: await freePort(),
      mesos,
      agents: mesosPort === 0 ? 0 : mesosPort + 1,
    };
  }

  #etcd(port: number, peerPort: number): Program {
    const url = `http://127.0.0.1:${port}`;
    const peer = `http://127.0.0.1:${peerPort}`;
    return {
      name: 'etcd',
      command: 'etcd',
      args: [
        ...['--name', 'km', '--data-dir', join(this.#o.dir, 'etcd'), '--logger', 'zap', '--log-level', 'warn'],
        ...['--listen-client-urls', url, '--advertise-client-urls', url],
        ...['--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer, '--initial-cluster', `km=${peer}`],
        ...['--auto-compaction-retention', '0', ...(this.#o.flags?.etcd ?? [])],
      ],
      logFile: this.#logFile('etcd'),
      ready: (signal) => until(signal, async () => (await status(`${url}/health`, signal)) === 200),
    };
  }

  #apiserver(ports: { apiserver: number }, pki: Pki, etcd: readonly string[]): Program {
    const serving = pki.files('apiserver');
    const kubelet = pki.files('kubelet-client');
    const vouching = pki.files('front-proxy-client');
    return this.#km('apiserver', [
      ...[
        '--bind-address',
        this.#o.bindAddress,
        '--advertise-address',
        `${this.#o.podsReach || this.#o.advertise}:${ports.apiserver}`,
      ],
      ...['--port', String(ports.apiserver), '--tls-cert-file', serving.cert, '--tls-key-file', serving.key],
      ...['--client-ca-file', pki.caFile, '--token-auth-file', pki.tokenFile],
      ...['--kubelet-client-cert-file', kubelet.cert, '--kubelet-client-key-file', kubelet.key],
      ...['--proxy-client-cert-file', vouching.cert, '--proxy-client-key-file', vouching.key],
      ...[
        '--requestheader-client-ca-file',
        pki.frontProxyCaFile,
        '--requestheader-allowed-names',
        'front-proxy-client',
      ],
      // Processes share this machine's addresses.
      '--proxy-to-loopback',
      ...['--service-account-issuer', 'https://kubernetes.default.svc.cluster.local'],
      ...['--service-account-signing-key-file', pki.tokenKeyFile],
      ...['--service-cidr', this.#o.serviceCidr, '--kubernetes-service-port', String(servicePort(ports.apiserver))],
      ...(etcd.length > 0 ? ['--etcd-servers', etcd.join(',')] : ['--embedded-store', join(this.#o.dir, 'store.db')]),
    ]);
  }

  #devcluster(ports: { mesos: number; agents: number }): Program {
    const workDir = join(this.#o.dir, 'mesos');
    return this.#km('devcluster', [
      '--port',
      String(ports.mesos),
      '--agent-port',
      String(ports.agents),
      '--work-dir',
      workDir,
    ]);
  }

  async #controllerManager(pki: Pki): Promise<Program> {
    return this.#km('controller-manager', [
      ...this.#clientFlags('controller-manager'),
      ...(await this.#doorFlags(controllerManagerPort, pki)),
      ...['--root-ca-file', pki.caFile],
      ...['--cluster-signing-cert-file', pki.caFile, '--cluster-signing-key-file', pki.caKeyFile],
      ...['--service-account-private-key-file', pki.tokenKeyFile],
    ]);
  }

  async #scheduler(pki: Pki, page: string): Promise<Program> {
    const executor = [process.execPath, km, 'executor', '--runtime', this.#o.runtime];
    if (this.#o.runtime === 'cri') executor.push('--cri-socket', this.#o.criSocket);
    if (this.#o.runtime === 'docker') executor.push('--docker-host', this.#o.dockerHost);
    if (this.#o.podsReach)
      executor.push('--cluster-dns', dnsAddress(this.#o.serviceCidr), '--node-ip', this.#o.podsReach);
    executor.push('--log-level', this.#o.logLevel, ...(this.#o.executorFlags ?? []));
    return this.#km('scheduler', [
      ...this.#clientFlags('scheduler'),
      ...(await this.#doorFlags(schedulerPort, pki)),
      ...(page ? ['--framework-webui-url', page] : []),
      ...['--mesos-master', this.masterUrl, '--executor-token-file', pki.executorTokenFile],
      // A role of its own on the development Mesos, so that claims of the class `mesos` get volumes.
      ...(this.#o.masters ? [] : ['--mesos-role', 'kubernetes']),
      ...[
        '--executor-command',
        this.#o.executorCommand || `exec ${executor.map(quoted).join(' ')}`,
        '--executor-env',
        ['PATH', 'NODE_COMPILE_CACHE'].flatMap((name) => shown(name, process.env[name])).join(','),
      ],
    ]);
  }

  #dns(address: string, port: number): Program {
    return this.#km('dns', [
      ...['--kubeconfig', join(this.#o.dir, 'pki/dns.kubeconfig')],
      ...['--bind-address', address, '--port', String(port)],
    ]);
  }

  async #proxy(): Promise<Program> {
    const { proxy } = this.#o;
    // kube-proxy's own ports, where no other proxy of this machine has them.
    const own = await Promise.all(
      proxyPorts.map(async (port) => ((await this.#mayHave(port)) ? `127.0.0.1:${port}` : '')),
    );
    return this.#km('proxy', [
      ...['--kubeconfig', join(this.#o.dir, 'pki/proxy.kubeconfig'), '--mode', proxy, '--all-nodes-local'],
      ...(proxy === 'userspace' ? ['--nodeport-addresses', '127.0.0.1/32'] : []),
      ...['--healthz-bind-address', own[0]!, '--metrics-bind-address', own[1]!],
    ]);
  }

  async #mayHave(port: number): Promise<boolean> {
    return this.#o.knownPorts && isFree(port);
  }

  async #doorFlags(port: number, pki: Pki): Promise<string[]> {
    const at = (await this.#mayHave(port)) ? ['--port', String(port)] : [];
    return [...at, '--bind-address', '127.0.0.1', '--client-ca-file', pki.caFile];
  }

  #clientFlags(user: string): string[] {
    // There is one of each, so a new one need not wait until the lease of a killed one runs out.
    return ['--kubeconfig', join(this.#o.dir, `pki/${user}.kubeconfig`), '--leader-elect=false'];
  }

  #km(name: string, args: readonly string[]): Program {
    const { logLevel, flags, env } = this.#o;
    const all = [km, name, ...args, '--log-level', logLevel, ...(flags?.[name] ?? [])];
    return { name, command: process.execPath, args: all, env: env ?? {}, logFile: this.#logFile(name) };
  }

  #logFile(name: string): string {
    return join(this.#o.dir, 'logs', `${name}.log`);
  }
}

const controllerManagerPort = 10_257;
const schedulerPort = 10_259;
/** Of health, and of metrics. */
const proxyPorts = [10_256, 10_249];

/** 443, where we may listen there; else the apiserver's own, so that pods reach it whoever we are. */
function servicePort(apiserverPort: number): number {
  const file = '/proc/sys/net/ipv4/ip_unprivileged_port_start';
  const firstFree = existsSync(file) ? Number(readFileSync(file, 'utf8')) : 1024;
  return process.getuid?.() === 0 || firstFree <= 443 ? 443 : apiserverPort;
}

const shown = (name: string, value: string | undefined): string[] => (value === undefined ? [] : [`${name}=${value}`]);
const quoted = (word: string): string => (/^[\w./:=@-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);

async function until(signal: AbortSignal, test: () => Promise<boolean>): Promise<void> {
  while (!(await test().catch(() => false))) await delay(50, signal);
}

/** Never through a proxy of the environment. */
const direct = new Agent();

/** How many the development Mesos has, in words; nothing where it was told to answer elsewhere, or asks who we are. */
async function agentsOf(master: string, signal: AbortSignal): Promise<string> {
  try {
    const answer = await request(`${master}/slaves`, { signal, dispatcher: direct });
    const body: unknown = await answer.body.json();
    const agents = typeof body === 'object' && body && 'slaves' in body ? body.slaves : undefined;
    if (!Array.isArray(agents)) return '';
    return agents.length === 1 ? ', one agent' : `, ${agents.length} agents`;
  } catch {
    return '';
  }
}

async function status(url: string, signal: AbortSignal): Promise<number> {
  const answer = await request(url, { signal, dispatcher: direct });
  await answer.body.text();
  return answer.statusCode;
}
