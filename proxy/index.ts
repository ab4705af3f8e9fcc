/**
 * Addresses of Services → addresses of their endpoints: kube-proxy's place on a node.
 * https://kubernetes.io/docs/reference/networking/virtual-ips/
 *
 *   informers of Services, EndpointSlices, our Node ─▶ rules (pure) ─▶ sync ─▶ writer: nftables, iptables, userspace
 *                                                                       └─▶ conntrack, health-check node ports
 *
 * It must not know the apiserver but through client/, nor pods: what there is, EndpointSlices say.
 */
import { hostname } from 'node:os';
import { EndpointSlice } from '../api/kinds/endpoint-slice.ts';
import { Node, zoneLabel } from '../api/kinds/node.ts';
import { Service } from '../api/kinds/service.ts';
import { keyOf } from '../api/meta.ts';
import type { Client } from '../client/client.ts';
import { Informers } from '../client/informer.ts';
import { aborted } from '../lib/delay.ts';
import type { Logger } from '../lib/log.ts';
import { defaultsOf, duration, flag, list, number, oneOf, text, type Values } from '../lib/options.ts';
import { forgetStale } from './conntrack.ts';
import { checksOf, HealthChecks } from './health-check.ts';
import { serveHttp, type HttpServer } from '../lib/serve-http.ts';
import { iptablesWriter } from './iptables.ts';
import { writeForCheck } from './kernel-check.ts';
import { ProxyMetrics } from './metrics.ts';
import { nftablesWriter } from './nftables.ts';
import { onlyOne } from './only-one.ts';
import { portsOf } from './rules.ts';
import { Sync } from './sync.ts';
import { UserspaceWriter } from './userspace.ts';
import { runner, type Run, type Writer } from './writer.ts';

export const options = {
  mode: oneOf('How traffic is led', ['nftables', 'iptables', 'userspace'], 'nftables'),
  hostnameOverride: text('Name of our Node; the name of this machine unless set', '', '<name>'),
  allNodesLocal: flag('Every node is on this machine, so every endpoint is local'),
  clusterCidr: list('Addresses of pods; what comes from elsewhere is masqueraded', [], '<cidr,cidr>'),
  masqueradeAll: flag('Masquerade all that comes by cluster IPs'),
  masqueradeBit: number('Bit of the packet mark that asks for masquerading', 14, { min: 0, max: 31 }),
  nodeportAddresses: list('Where node ports answer; every address of the node unless set', [], '<cidr,cidr>'),
  healthzBindAddress: text("Where our own health is told, '' nowhere", '0.0.0.0:10256', '<address:port>'),
  metricsBindAddress: text("Where metrics are told, '' nowhere", '127.0.0.1:10249', '<address:port>'),
  udpIdle: duration('How long a silent UDP client is remembered (userspace)', 60_000),
  retryPeriod: duration('How often ports that could not be served are tried again', 30_000),
  cleanup: flag('Take all rules of ours away, of whatever mode, and end'),
} as const;

export type Options = Values<typeof options>;

/** Modes that write rules into the kernel. */
export type KernelMode = Exclude<Options['mode'], 'userspace'>;
const kernelModes: readonly KernelMode[] = ['nftables', 'iptables'];

export interface Deps {
  client: Client;
  log: Logger;
  signal: AbortSignal;
  /** How nft, iptables-restore and conntrack are run; here unless told. */
  run?: Run;
}

export interface Proxy {
  /** Ports of our own servers; 0 where there is none. */
  healthzPort: number;
  metricsPort: number;
  closed: Promise<void>;
}

/** Resolves when the rules for all that there is are in place; `closed` when the signal has stopped it. */
export async function start(o: Options, { client, log, signal, run: given }: Deps): Promise<Proxy> {
  const own = log.child({ component: 'proxy' });
  const run = given ?? runner();
  // Where others run the programs, they know whose rules there are.
  const claim = o.mode === 'userspace' || given ? undefined : await onlyOne();
  const node = o.hostnameOverride || hostname().toLowerCase();
  const informers = new Informers(client, own);
  const services = informers.of(Service);
  const slices = informers.of(EndpointSlice, { indexes: { service: (slice) => [serviceOf(slice)] } });
  const nodes = informers.of(Node, { fieldSelector: `metadata.name=${node}` });
  const zone = () => nodes.get(node)?.metadata.labels?.[zoneLabel] ?? '';
  const addresses = () => (nodes.get(node)?.status?.addresses ?? []).map(({ address }) => address);
  const metrics = new ProxyMetrics(o.mode);
  const writer = writerOf(o, run, own);
  const sync: Sync = new Sync({
    writer,
    log: own,
    retryMs: o.retryPeriod,
    failed: (count) => metrics.failures.inc(count),
    portsOf: (key) => {
      const service = services.get(key);
      return service
        ? portsOf(service, slices.by('service', key), {
            node,
            zone: zone(),
            everywhere: o.allNodesLocal,
            addresses: addresses(),
          })
        : [];
    },
    written: async (before, changes, now, seconds) => {
      metrics.duration.observe(seconds);
      metrics.last.setToCurrentTime();
      if (o.mode !== 'userspace') await forgetStale(before, changes, run, own);
      await checks.update(checksOf(now));
    },
  });
  const health = new Health(sync, () => isLeaving(nodes.get(node)));
  const checks = new HealthChecks(hostOf(o.healthzBindAddress), () => health.healthy, own);
  await informers.start(signal);
  services.on(({ object }) => {
    metrics.services.inc();
    sync.mark(keyOf(object));
  });
  slices.on(({ object }) => {
    metrics.endpoints.inc();
    sync.mark(serviceOf(object));
  });
  const place = () => [zone(), ...addresses()].join(' ');
  let known = place();
  nodes.on(() => {
    if (place() === known) return;
    known = place();
    for (const service of services.list()) sync.mark(keyOf(service));
  });
  await sync.once();
  if (o.mode !== 'userspace') await cleanupOthers(o, own, run);
  const servers = await serveAll(o, metrics, health);
  const closed = Promise.all([sync.follow(signal), aborted(signal)])
    .then(() => Promise.all([...servers.values(), checks, writer].map((part) => part.close())))
    .then(() => claim?.close())
    .then(() => undefined);
  return {
    healthzPort: servers.get('healthz')?.port ?? 0,
    metricsPort: servers.get('metrics')?.port ?? 0,
    closed,
  };
}

/** Takes everything away that a proxy of any mode has put into the kernel. */
export async function cleanup(o: Options, log: Logger, run: Run = runner()): Promise<void> {
  const ended = await Promise.allSettled(kernelModes.map((mode) => cleanupOf({ ...o, mode }, log, run)));
  const failed = ended.find(({ status }) => status === 'rejected');
  if (failed) throw (failed as PromiseRejectedResult).reason;
}

/** Where the mode's programs are missing there is nothing of it. */
async function cleanupOf(o: Options, log: Logger, run: Run): Promise<void> {
  try {
    await writerOf(o, run, log).cleanup();
  } catch (error) {
    const { cause } = error as { cause?: NodeJS.ErrnoException };
    if (cause?.code !== 'ENOENT') throw error;
  }
}

/** Two modes lead the same addresses, each its way: those of the other go once ours are in place, so that nobody is without. */
async function cleanupOthers(o: Options, log: Logger, run: Run): Promise<void> {
  for (const mode of kernelModes.filter((one) => one !== o.mode))
    await cleanupOf({ ...o, mode }, log, run).catch((err: unknown) =>
      log.warn({ err, mode }, 'rules that a proxy of another mode may have left could not be taken away'),
    );
}

/** Rejects with a sentence where this kernel does not take the rules of the mode. Takes root; nothing stays. */
export const checkKernel = (mode: KernelMode, log: Logger): Promise<void> =>
  writeForCheck((run) => writerOf({ ...defaultsOf(options), mode }, run, log));

const serviceOf = ({ metadata }: EndpointSlice): string =>
  `${metadata.namespace}/${metadata.labels?.['kubernetes.io/service-name'] ?? ''}`;

const hostOf = (address: string): string =>
  address.slice(0, address.lastIndexOf(':')).replace(/^\[|\]$/g, '') || '0.0.0.0';

/** Load balancers should send nothing more to a node that is being taken away. */
const isLeaving = (node: Node | undefined): boolean =>
  node?.metadata.deletionTimestamp != null ||
  (node?.spec?.taints ?? []).some(({ key }) => key === 'ToBeDeletedByClusterAutoscaler');

function writerOf(o: Options, run: Run, log: Logger): Writer {
  if (o.mode === 'userspace')
    return new UserspaceWriter({ nodePortAddresses: o.nodeportAddresses, udpIdle: o.udpIdle }, log);
  const settings = {
    clusterCidr: o.clusterCidr,
    masqueradeAll: o.masqueradeAll,
    nodePortAddresses: o.nodeportAddresses,
    masqueradeMark: 2 ** o.masqueradeBit,
  };
  return o.mode === 'iptables' ? iptablesWriter(settings, run) : nftablesWriter(settings, run);
}

/** Rules that are not in place after so long mean that we are not well. */
const patienceMs = 120_000;

class Health {
  readonly #sync: Sync;
  readonly #leaving: () => boolean;

  constructor(sync: Sync, leaving: () => boolean) {
    this.#sync = sync;
    this.#leaving = leaving;
  }

  get healthy(): boolean {
    const since = this.#sync.waitingSince;
    return since === undefined || Date.now() - since < patienceMs;
  }

  tell(withNode: boolean) {
    const { healthy } = this;
    const currentTime = new Date().toISOString();
    const lastUpdated = healthy ? currentTime : new Date(this.#sync.waitingSince!).toISOString();
    const eligible = !this.#leaving();
    return {
      code: healthy && (eligible || !withNode) ? 200 : 503,
      body: { lastUpdated, currentTime, ...(withNode ? { nodeEligible: eligible } : {}) },
    };
  }
}

async function serveAll(o: Options, metrics: ProxyMetrics, health: Health): Promise<Map<string, HttpServer>> {
  const servers = new Map<string, HttpServer>();
  if (o.healthzBindAddress)
    servers.set(
      'healthz',
      await serveHttp(o.healthzBindAddress, {
        '/healthz': () => health.tell(true),
        '/livez': () => health.tell(false),
      }),
    );
  if (o.metricsBindAddress)
    servers.set(
      'metrics',
      await serveHttp(o.metricsBindAddress, {
        '/metrics': async () => ({
          headers: { 'content-type': metrics.registry.contentType },
          body: await metrics.registry.metrics(),
        }),
        '/proxyMode': () => ({ body: o.mode }),
        '/healthz': () => ({ body: 'ok' }),
      }),
    );
  return servers;
}
