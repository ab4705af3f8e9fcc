import { readFileSync } from 'node:fs';
import { isIP, isIPv6 } from 'node:net';
import { firstAddress, formatCidr } from '../api/cidr.ts';
import type { Kind } from '../api/kind.ts';
import { ConfigMap } from '../api/kinds/config-map.ts';
import { EndpointSlice } from '../api/kinds/endpoint-slice.ts';
import { Endpoints } from '../api/kinds/endpoints.ts';
import { Namespace } from '../api/kinds/namespace.ts';
import { PriorityClass, systemPriorities } from '../api/kinds/priority-class.ts';
import { ServiceCIDR } from '../api/kinds/service-cidr.ts';
import { Service } from '../api/kinds/service.ts';
import type { Condition, KubeObject } from '../api/meta.ts';
import { delay } from '../lib/delay.ts';
import { equal } from '../lib/equal.ts';
import { dayOf, tokenTracking } from './auth/token-uses.ts';
import { self } from './auth/user.ts';
import { withCondition } from './conditions.ts';
import { rangesOf } from './admission/service-addresses.ts';
import type { Registry } from './registry.ts';

const options = { dryRun: false, user: self, fieldManager: 'kube-apiserver' };

const descriptions: Readonly<Record<string, string>> = {
  'system-node-critical': 'For pods that must not leave the node they run on.',
  'system-cluster-critical': 'For pods that the cluster cannot do without, wherever they run.',
};

interface Settings extends AuthSettings {
  serviceCidr: readonly string[];
  kubernetesServicePort: number;
  port: number;
}

/**
 * Makes what every cluster has, where it is missing: the system's namespaces and the service by which pods find the API,
 * with the endpoint `advertised` (host:port).
 */
export async function bootstrap(registry: Registry, o: Settings, advertised: string): Promise<void> {
  const { serviceCidr } = o;
  for (const name of ['default', 'kube-system', 'kube-public', 'kube-node-lease'])
    await ensure(registry, Namespace as Kind, { metadata: { name } }, '');
  for (const [name, value] of Object.entries(systemPriorities)) {
    const description = descriptions[name]!;
    await ensure(
      registry,
      PriorityClass as Kind<never> as Kind,
      { metadata: { name }, value, description } as PriorityClass,
      '',
    );
  }
  const ranges = rangesOf(serviceCidr);
  await publishRanges(registry, ranges.map(formatCidr));
  const address = firstAddress(ranges[0]);
  const service: Service = {
    metadata: { name: 'kubernetes', namespace: 'default', labels: { component: 'apiserver', provider: 'kubernetes' } },
    spec: {
      type: 'ClusterIP',
      clusterIP: address,
      clusterIPs: [address],
      ports: [{ name: 'https', port: o.kubernetesServicePort, protocol: 'TCP', targetPort: o.port || 6443 }],
    },
  };
  await ensure(registry, Service as Kind<never> as Kind, service, 'default');
  const { namespace, name } = tokenTracking;
  const tracking = { metadata: { namespace, name }, data: { since: dayOf(Date.now()) } };
  await ensure(registry, ConfigMap as Kind<never> as Kind, tracking, namespace);
  await publishAuthentication(registry, o);
  const at = advertised.lastIndexOf(':');
  const ip = advertised.slice(0, Math.max(0, at)).replace(/^\[|\]$/g, '');
  if (isIP(ip)) await publish(registry, ip, Number(advertised.slice(at + 1)));
}

/** The ranges of Services as an object. One that says something else stays: its addresses may be in use. */
async function publishRanges(registry: Registry, cidrs: string[]): Promise<void> {
  const kind = ServiceCIDR as Kind<never> as Kind;
  const name = 'kubernetes';
  await ensure(registry, kind, { metadata: { name }, spec: { cidrs } } as ServiceCIDR, '');
  const { spec, status, metadata } = ((await registry.read(kind, name))?.object ?? {}) as Partial<ServiceCIDR>;
  if (!metadata || metadata.deletionTimestamp) return;
  // A second family may be added.
  if (spec?.cidrs?.length === 1 && cidrs.length === 2 && spec.cidrs[0] === cidrs[0])
    await registry.update(kind, name, 'main', options, (current) => ({ ...current, spec: { cidrs } }) as ServiceCIDR);
  else if (!equal(spec?.cidrs, cidrs)) return;
  if (status?.conditions?.some(({ type }) => type === 'Ready')) return;
  const message = 'Kubernetes default Service CIDR is ready';
  const ready: Condition = { type: 'Ready', status: 'True', reason: '', message };
  await registry.update(kind, name, 'status', options, (current) => {
    const known = (current as ServiceCIDR).status?.conditions;
    return { ...current, status: { conditions: withCondition(known, ready, Date.now()) } } as ServiceCIDR;
  });
}

interface AuthSettings {
  clientCaFile: string;
  requestheaderClientCaFile: string;
  requestheaderAllowedNames: readonly string[];
  requestheaderUsernameHeaders: readonly string[];
  requestheaderUidHeaders: readonly string[];
  requestheaderGroupHeaders: readonly string[];
  requestheaderExtraHeadersPrefix: readonly string[];
}

/** What servers behind APIServices need to know callers by: https://kubernetes.io/docs/tasks/extend-kubernetes/configure-aggregation-layer/ */
async function publishAuthentication(registry: Registry, o: AuthSettings): Promise<void> {
  const front = o.requestheaderClientCaFile;
  const data: Record<string, string> = {
    ...(o.clientCaFile ? { 'client-ca-file': readFileSync(o.clientCaFile, 'utf8') } : {}),
    ...(front
      ? {
          'requestheader-client-ca-file': readFileSync(front, 'utf8'),
          'requestheader-allowed-names': JSON.stringify(o.requestheaderAllowedNames),
          'requestheader-username-headers': JSON.stringify(o.requestheaderUsernameHeaders),
          'requestheader-uid-headers': JSON.stringify(o.requestheaderUidHeaders),
          'requestheader-group-headers': JSON.stringify(o.requestheaderGroupHeaders),
          'requestheader-extra-headers-prefix': JSON.stringify(o.requestheaderExtraHeadersPrefix),
        }
      : {}),
  };
  const metadata = { name: 'extension-apiserver-authentication', namespace: 'kube-system' };
  await ensure(registry, ConfigMap as Kind, { metadata, data } as ConfigMap, 'kube-system', ['data']);
}

/** Servers that stand behind one address all tell the same one; the last to start with another has the word. */
async function publish(registry: Registry, ip: string, port: number): Promise<void> {
  const ports = [{ name: 'https', port, protocol: 'TCP' }];
  const metadata = (labels: Record<string, string>) => ({ name: 'kubernetes', namespace: 'default', labels });
  const endpoints: Endpoints = {
    metadata: metadata({ 'endpointslice.kubernetes.io/skip-mirror': 'true' }),
    subsets: [{ addresses: [{ ip }], ports }],
  };
  const slice: EndpointSlice = {
    metadata: metadata({ 'kubernetes.io/service-name': 'kubernetes' }),
    addressType: isIPv6(ip) ? 'IPv6' : 'IPv4',
    endpoints: [{ addresses: [ip], conditions: { ready: true } }],
    ports,
  };
  await ensure(registry, Endpoints as Kind<never> as Kind, endpoints, 'default', ['subsets']);
  await ensure(registry, EndpointSlice as Kind<never> as Kind, slice, 'default', ['endpoints', 'ports']);
}

/**
 * What is there already stays, unless `parts` says which of it must be as told. Several servers may start at once: one
 * takes the service's address a moment before the service is there, so a refusal counts only when it lasts.
 */
async function ensure(
  registry: Registry,
  kind: Kind,
  object: KubeObject,
  namespace: string,
  parts: readonly string[] = [],
  patience = 20,
): Promise<void> {
  const key = namespace ? `${namespace}/${object.metadata.name}` : object.metadata.name!;
  const there = registry.feed.cache(kind).get(key) ?? (await registry.read(kind, key));
  if (there) {
    const wanted = partsOf(object, parts);
    if (equal(partsOf(there.object, parts), wanted)) return;
    await registry.update(kind, key, 'main', options, (current) => ({ ...current, ...wanted }));
    return;
  }
  try {
    await registry.create(kind, object, namespace, options);
  } catch (error) {
    if (patience === 0) throw error;
    await delay(50);
    await ensure(registry, kind, object, namespace, parts, patience - 1);
  }
}

const partsOf = (object: object, parts: readonly string[]): object =>
  Object.fromEntries(Object.entries(object).filter(([part]) => parts.includes(part)));
