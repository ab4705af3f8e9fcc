/**
 * kubectl's door: verbs on kinds, kept in a store.
 *
 *   request ─▶ server ─▶ dispatch: who asks, may they, which kind
 *                          ├─ reads  ─▶ cache (bytes) ◀─ feed ◀─ one watch ─┐
 *                          ├─ writes ─▶ registry: defaults, admission, rules ─▶ store (etcd or embedded)
 *                          ├─ watch  ─▶ follows a cache
 *                          └─ log, exec, proxy … ─▶ the kubelet, the pod
 *
 * It must not know controllers, schedulers, Mesos or how pods run. It keeps nothing that a restart cannot rebuild, so
 * any number of them may serve one etcd.
 */
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import type { Kind } from '../api/kind.ts';
import { ComponentStatus } from '../api/kinds/component-status.ts';
import { NodeMetrics, PodMetrics } from '../api/kinds/metrics.ts';
import { builtinKinds, questionKinds } from '../api/kinds/index.ts';
import { aborted } from '../lib/delay.ts';
import type { Logger } from '../lib/log.ts';
import { duration, flag, list, number, port, text, type Values } from '../lib/options.ts';
import { certificateRequestor } from './admission/certificate-requestor.ts';
import { Admission } from './admission/order.ts';
import { admissionOptions, chosenPlugins } from './admission/plugins.ts';
import { rbacEscalation } from './admission/rbac-escalation.ts';
import { podLabelKeys } from './admission/pod-label-keys.ts';
import { restoreAddresses, serviceAddresses } from './admission/service-addresses.ts';
import { onceStoreAnswers } from './await-store.ts';
import { auditOptions, openAudit } from './audit/audit.ts';
import type { Authorizer } from './auth/authorize.ts';
import { authorizerOf, openGate } from './auth/gate.ts';
import { authOptions } from './auth/options.ts';
import { reconcilePolicy } from './auth/policy/reconcile.ts';
import { lookupIn } from './auth/lookup.ts';
import { Rbac } from './auth/rbac.ts';
import type { Token } from './auth/static-tokens.ts';
import { bootstrap } from './bootstrap.ts';
import { Aggregator } from './aggregation/aggregator.ts';
import { componentStatuses, type Probe } from './component-status.ts';
import { chosenBetaKinds } from './beta-kinds.ts';
import { CustomResources } from './crd/custom-resources.ts';
import { Discovery } from './discovery.ts';
import { Dispatcher } from './dispatch.ts';
import { openEmbedded } from './embedded.ts';
import { openEtcd } from './etcd.ts';
import { readEncryption } from './encryption/config.ts';
import { EncryptedStore } from './encryption/encrypted-store.ts';
import { Feed } from './feed.ts';
import { FlowControl, type Doorkeeper } from './flow/flow-control.ts';
import { InFlight } from './flow/in-flight.ts';
import { addFlowMetrics } from './flow/metrics.ts';
import { reconcileFlowControl } from './flow/reconcile.ts';
import { Health } from './health.ts';
import { keepHouse } from './housekeeping.ts';
import { IdentityLease } from './identity-lease.ts';
import { WebhookCaller } from './webhooks/caller.ts';
import { KindTable } from './kinds.ts';
import { MeasuredStore } from './measured-store.ts';
import { ServerMetrics, type Gather } from './metrics.ts';
import { OpenApi } from './openapi.ts';
import { ResourceMetrics } from './resource-metrics/resource-metrics.ts';
import type { Compute } from './verbs/computed.ts';
import { Registry } from './registry.ts';
import { createServer, type Server } from './server.ts';
import type { Store } from './store.ts';
import { ProxiedObjects } from './proxy/objects.ts';
import { Connections } from './subresources/connections.ts';
import { KubeletProxy } from './subresources/kubelet-proxy.ts';

export const options = {
  bindAddress: text('Address to listen on', '127.0.0.1', '<address>'),
  port: port('Port to listen on; 0 takes a free one', 6443),
  advertiseAddress: text('host:port that clients are told; the bound one unless set', '', '<host:port>'),
  etcdServers: list('etcd endpoints; the embedded store is used where there are none', [], '<url,url>'),
  etcdCaFile: text('CA certificate of etcd (PEM)', '', '<file>'),
  etcdCertFile: text('Client certificate for etcd (PEM)', '', '<file>'),
  etcdKeyFile: text('Key of the client certificate for etcd (PEM)', '', '<file>'),
  etcdUser: text('User name for etcd'),
  etcdPassword: text('Password for etcd; better in a file or in the environment, where others cannot read it'),
  etcdPasswordFile: text('File with that password', '', '<file>'),
  encryptionProviderConfig: text('How objects are encrypted in the store, an EncryptionConfiguration', '', '<file>'),
  embeddedStore: text('File of the embedded store, or :memory:', ':memory:', '<file>'),
  tlsCertFile: text('Serving certificate (PEM)', '', '<file>'),
  tlsKeyFile: text('Key of the serving certificate (PEM)', '', '<file>'),
  ...authOptions,
  ...admissionOptions,
  ...auditOptions,
  kubeletClientCertFile: text('Certificate shown to kubelets (PEM)', '', '<file>'),
  kubeletClientKeyFile: text('Key of the certificate shown to kubelets (PEM)', '', '<file>'),
  kubeletCertificateAuthority: text(
    'CA by which kubelets are known (PEM); by the fingerprint in their Node unless set',
    '',
    '<file>',
  ),
  proxyClientCertFile: text('Certificate shown to servers behind APIServices (PEM)', '', '<file>'),
  proxyClientKeyFile: text('Key of the certificate shown to servers behind APIServices (PEM)', '', '<file>'),
  proxyToLoopback: flag('Proxies pods, services and nodes also at loopback addresses: where all run on this machine'),
  runtimeConfig: list(
    'Versions in beta to serve, too: storagemigration.k8s.io/v1beta1=true',
    [],
    '<group/version=true,…>',
  ),
  serviceCidr: list('Addresses of Services: one range, or one of each family', ['10.96.0.0/12'], '<cidr,cidr>'),
  serviceNodePortRange: text('Ports of every node that Services are given', '30000-32767', '<port-port>'),
  kubernetesServicePort: port('Port of the Service kubernetes', 443),
  maxRequestBytes: number('Largest request body, bytes', 3 * 1024 * 1024, { min: 1024 }),
  enablePriorityAndFairness: flag('Serves requests by FlowSchemas and PriorityLevelConfigurations', true),
  maxRequestsInflight: number(
    'Requests that read and are served at a time; with the next, all seats of priority and fairness',
    400,
  ),
  maxMutatingRequestsInflight: number('Requests that change something and are served at a time', 200),
  profiling: flag('Serves profiles of the server below /debug/pprof/', true),
  watchHistory: number('Changes per kind kept for watches that resume', 4096, { min: 16 }),
  compactionInterval: duration('How often history older than one interval is forgotten; 0 never', 5 * 60_000),
  identityLeaseRenewInterval: duration(
    'How often the Lease is renewed that tells of this server; 0: there is none',
    10_000,
  ),
  drainTimeout: duration('How long a stop waits for requests in flight', 5000),
} as const;

export type Options = Values<typeof options>;

export interface Deps {
  log: Logger;
  /** Aborting it stops the server gracefully. */
  signal: AbortSignal;
  /** Used instead of the one that the options name; the caller closes it. */
  store?: Store;
  /** Bearer tokens beside those of the file. */
  tokens?: readonly Token[];
  authorizer?: Authorizer;
  /** One of several processes on one port: how /metrics shows the figures of all, and what all are known by. */
  sharing?: { gatherMetrics: Gather; instance: string };
}

export interface ApiServer {
  url: string;
  port: number;
  /** Resolves after a graceful stop. */
  closed: Promise<void>;
}

/** The options of one of several processes that serve together: what bounds the load is shared out. */
export const shareOf = (o: Options, processes: number): Options => ({
  ...o,
  maxRequestsInflight: Math.ceil(o.maxRequestsInflight / processes),
  maxMutatingRequestsInflight: Math.ceil(o.maxMutatingRequestsInflight / processes),
});

/** Waits for as long as etcd cannot be reached or does not let us in, saying so in the log. */
export async function start(o: Options, deps: Deps): Promise<ApiServer> {
  const { log, signal } = deps;
  const measured = new MeasuredStore(deps.store ?? openStore(o, log));
  const keys = o.encryptionProviderConfig ? readEncryption(o.encryptionProviderConfig) : [];
  const store = keys.length > 0 ? new EncryptedStore(measured, keys) : measured;
  const stopping = new AbortController();
  try {
    const kinds = new KindTable([...builtinKinds, ...chosenBetaKinds(o.runtimeConfig)], questionKinds);
    const feed = new Feed(store, kinds.kinds, o.watchHistory, log);
    const webhooks = new WebhookCaller(feed);
    const rbac = new Rbac(feed);
    const authorizer = deps.authorizer ?? authorizerOf(o, feed, rbac, log);
    const lookup = lookupIn(feed, store);
    const around = {
      feed,
      store,
      table: kinds,
      webhooks,
      authorizer,
      lookup,
      registry: () => registry,
    };
    const rules = [
      ...chosenPlugins(o, { ...around, mountsTokens: o.serviceAccountSigningKeyFile !== '' }),
      serviceAddresses(store, feed, o.serviceCidr, o.serviceNodePortRange),
      podLabelKeys(),
      certificateRequestor,
      rbacEscalation(rbac, authorizer),
    ];
    const registry: Registry = new Registry(store, feed, new Admission(rules));
    const gate = openGate(o, lookup, authorizer, deps.tokens ?? [], log);
    await onceStoreAnswers(() => feed.start(stopping.signal), log, signal);
    const audit = openAudit(o, log);
    const kubelets = new KubeletProxy(registry, {
      cert: fileOf(o.kubeletClientCertFile),
      key: fileOf(o.kubeletClientKeyFile),
      ca: fileOf(o.kubeletCertificateAuthority),
    });
    const proxied = new ProxiedObjects(registry, kubelets, o.proxyToLoopback);
    const usage = new ResourceMetrics(feed, kubelets, log);
    const computed = new Map<Kind, Compute>([
      [NodeMetrics as Kind<never> as Kind, () => usage.nodes()],
      [PodMetrics as Kind<never> as Kind, () => usage.pods()],
      [ComponentStatus as Kind<never> as Kind, () => componentStatuses(feed, storeProbes(o, store, log), Date.now())],
    ]);
    const aggregator = new Aggregator(
      registry,
      kinds,
      { cert: fileOf(o.proxyClientCertFile), key: fileOf(o.proxyClientKeyFile) },
      log,
    );
    const metrics = new ServerMetrics(feed, deps.sharing?.gatherMetrics);
    for (const metric of measured.metrics) metrics.registry.registerMetric(metric);
    const doorkeeper = doorkeeperOf(o, feed, metrics);
    let address = '';
    const server = createServer(
      {
        dispatcher: new Dispatcher(kinds, registry, gate, computed),
        doorkeeper,
        audit,
        documents: gate.documents,
        discovery: new Discovery(kinds, aggregator),
        aggregator,
        openapi: new OpenApi(kinds, aggregator),
        health: new Health(checks(store, signal)),
        metrics,
        profiling: o.profiling,
        connections: new Connections(registry, kubelets, proxied),
        log,
        signal: stopping.signal,
        address: () => address,
      },
      tlsFiles(o),
      o.maxRequestBytes,
    );
    await onceStoreAnswers(
      () => new CustomResources(registry, kinds, webhooks, log).start(stopping.signal),
      log,
      signal,
    );
    await onceStoreAnswers(() => restoreAddresses(store, feed), log, signal);
    const restore = async () => {
      await bootstrap(registry, o, advertised(o));
      await reconcileFlowControl(registry);
    };
    await onceStoreAnswers(restore, log, signal);
    await onceStoreAnswers(() => reconcilePolicy(registry), log, signal);
    aggregator.start(stopping.signal);
    const port = await listen(server, o, deps.sharing !== undefined);
    server.reload([o.tlsCertFile, o.tlsKeyFile, ...clientCaFiles(o)], () => tlsFiles(o));
    address = o.advertiseAddress || `${o.bindAddress}:${port}`;
    const { tokenUses } = gate;
    const instance = { host: hostname(), port, id: deps.sharing?.instance ?? randomUUID() };
    const identity = new IdentityLease(registry, instance, o.identityLeaseRenewInterval);
    const { compactionInterval: compactionMs, identityLeaseRenewInterval: identityMs } = o;
    keepHouse({ registry, kinds, tokenUses, restore, compactionMs, identity, identityMs, log }, stopping.signal);
    const closed = aborted(signal)
      .then(() => stop(server, stopping, deps.store ? undefined : store, o.drainTimeout))
      .finally(() => Promise.all([webhooks.close(), kubelets.close(), proxied.close(), audit?.close()]))
      .then(() => undefined);
    return { url: `https://${address}`, port, closed };
  } catch (error) {
    stopping.abort();
    if (!deps.store) await store.close();
    throw error;
  }
}

function doorkeeperOf(o: Options, feed: Feed, { registry }: ServerMetrics): Doorkeeper {
  const { maxRequestsInflight: reading, maxMutatingRequestsInflight: changing } = o;
  if (!o.enablePriorityAndFairness) return new InFlight(reading, changing);
  const control = new FlowControl(feed, reading + changing);
  addFlowMetrics(control, registry);
  return control;
}

/** Where pods find us, as an address; '' where only a name or nothing is known. */
const advertised = (o: Options): string =>
  o.advertiseAddress || (o.port && !['0.0.0.0', '::'].includes(o.bindAddress) ? `${o.bindAddress}:${o.port}` : '');

const fileOf = (path: string): Buffer | undefined => (path ? readFileSync(path) : undefined);

const openStore = (o: Options, log: Logger): Store =>
  o.etcdServers.length === 0 ? openEmbedded(o.embeddedStore) : etcdAt(o.etcdServers, o, log);

/** One question for each etcd; with a single store it is asked itself. */
function storeProbes(o: Options, store: Store, log: Logger): Probe[] {
  if (o.etcdServers.length < 2) return [() => store.ping()];
  return o.etcdServers.map((endpoint) => async () => {
    const one = etcdAt([endpoint], o, log);
    await one.ping().finally(() => one.close());
  });
}

function etcdAt(endpoints: readonly string[], o: Options, log: Logger): Store {
  return openEtcd({
    endpoints,
    ca: fileOf(o.etcdCaFile),
    cert: fileOf(o.etcdCertFile),
    key: fileOf(o.etcdKeyFile),
    user: o.etcdUser,
    password: fileOf(o.etcdPasswordFile)?.toString('utf8').trim() ?? o.etcdPassword,
    log,
  });
}

const clientCaFiles = (o: Options): string[] => [o.clientCaFile, o.requestheaderClientCaFile].filter(Boolean);

function tlsFiles(o: Options) {
  if (!o.tlsCertFile || !o.tlsKeyFile)
    throw new Error('the apiserver needs a certificate: set --tls-cert-file and --tls-key-file');
  const clientCas = clientCaFiles(o);
  return {
    cert: readFileSync(o.tlsCertFile),
    key: readFileSync(o.tlsKeyFile),
    ...(clientCas.length > 0 ? { ca: clientCas.map((file) => readFileSync(file)) } : {}),
  };
}

async function listen(server: Server, o: Options, sharesPort: boolean): Promise<number> {
  try {
    return await server.listen(o.bindAddress, o.port, sharesPort);
  } catch (error) {
    if ((error as { code?: string }).code !== 'EADDRINUSE') throw error;
    throw new Error(`port ${o.port} on ${o.bindAddress} is taken; choose another with --port`, { cause: error });
  }
}

function checks(store: Store, signal: AbortSignal) {
  return [
    { name: 'ping', check: () => undefined },
    { name: 'etcd', check: () => store.ping() },
    {
      name: 'shutdown',
      readyOnly: true,
      check: () => {
        if (signal.aborted) throw new Error('the server is stopping');
      },
    },
  ];
}

/** Watches and streams end, requests in flight finish, then the connections are closed. */
async function stop(
  server: Server,
  stopping: AbortController,
  store: Store | undefined,
  drainMs: number,
): Promise<void> {
  stopping.abort();
  try {
    await server.stop(drainMs);
  } finally {
    await store?.close();
  }
}
