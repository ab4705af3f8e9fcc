import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { hostPortOf } from '../api/host-ports.ts';
import type { Container, Pod } from '../api/kinds/pod.ts';
import { podCgroup } from './pod-cgroups.ts';
import { type SandboxSpec, StartError } from './runtime.ts';

export interface SandboxFacts {
  nodeName: string;
  /** Container logs of all pods. */
  logs: string;
  cgroupParent: string;
  clusterDns: readonly string[];
  clusterDomain: string;
  /** Seccomp profiles that pods may name. */
  seccompProfiles: string;
}

/** The kernel keeps no longer one. */
const longestHostname = 64;

/** What the runtime is told of a pod as a whole. Throws StartError for a hostname that cannot be. */
export function sandboxSpec(pod: Pod, attempt: number, facts: SandboxFacts, runtimeHandler = ''): SandboxSpec {
  const dns = dnsOf(pod, facts);
  const full = pod.spec.setHostnameAsFQDN ? fullName(pod, facts) : undefined;
  if (full !== undefined && full.length > longestHostname)
    throw new StartError(
      'FailedCreatePodSandBox',
      `failed to construct FQDN from pod hostname and cluster domain, FQDN ${full} is too long (${longestHostname} characters is the max, ${full.length} characters requested)`,
    );
  return {
    pod,
    attempt,
    hostname: pod.spec.hostNetwork ? facts.nodeName : (full ?? hostnameOf(pod)),
    logDirectory: logDirectory(pod, facts.logs),
    ...(dns ? { dns } : {}),
    portMappings: pod.spec.hostNetwork ? [] : portMappings(pod),
    ...(facts.cgroupParent ? { cgroupParent: podCgroup(pod, facts.cgroupParent) } : {}),
    runtimeHandler,
    seccompProfiles: facts.seccompProfiles,
  };
}

/** A name that is cut must not end in what no name may end in. */
export const hostnameOf = ({ spec, metadata }: Pod): string =>
  (spec.hostname || metadata.name || '').slice(0, 63).replace(/[-.]+$/, '');

/** The name by which DNS knows a pod that has a subdomain. */
export const fullName = (pod: Pod, { clusterDomain }: Pick<SandboxFacts, 'clusterDomain'>): string | undefined =>
  pod.spec.subdomain
    ? `${hostnameOf(pod)}.${pod.spec.subdomain}.${pod.metadata.namespace ?? 'default'}.svc.${clusterDomain}`
    : undefined;

export const logDirectory = ({ metadata: { namespace, name, uid } }: Pod, logs: string): string =>
  join(logs, `${namespace ?? ''}_${name ?? ''}_${uid ?? ''}`);

/** Changes exactly when the container has to be replaced; of a running pod only the image may change. */
export const specHash = ({ name, image }: Container): string =>
  createHash('sha256')
    .update(JSON.stringify([name, image]))
    .digest('hex')
    .slice(0, 16);

/** Only containers have ports that Mesos chose: init containers are long done when somebody asks. */
const portMappings = (pod: Pod): SandboxSpec['portMappings'] => {
  const mapped = portsOf(pod.spec.containers).map((port) => ({ ...port, hostPort: hostPortOf(pod, port) }));
  return [...mapped, ...portsOf(pod.spec.initContainers ?? [])].flatMap(
    ({ containerPort, hostPort, protocol = 'TCP', hostIP = '' }) =>
      hostPort ? [{ containerPort, hostPort, protocol, hostIP }] : [],
  );
};

const portsOf = (containers: readonly Container[]) => containers.flatMap(({ ports = [] }) => ports);

type Dns = NonNullable<SandboxSpec['dns']>;

/** https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/#pod-s-dns-policy */
function dnsOf(pod: Pod, { clusterDns, clusterDomain }: SandboxFacts): Dns | undefined {
  const { dnsPolicy = 'ClusterFirst', hostNetwork, dnsConfig } = pod.spec;
  const own: Dns = {
    nameservers: dnsConfig?.nameservers ?? [],
    searches: dnsConfig?.searches ?? [],
    options: (dnsConfig?.options ?? []).map(({ name, value }) => (value === undefined ? name : `${name}:${value}`)),
  };
  if (dnsPolicy === 'None') return own;
  const cluster = dnsPolicy === 'ClusterFirstWithHostNet' || (dnsPolicy === 'ClusterFirst' && !hostNetwork);
  if (!cluster || clusterDns.length === 0) return dnsConfig ? joined(hostDns(), own) : undefined;
  const { namespace = 'default' } = pod.metadata;
  const searches = [`${namespace}.svc.${clusterDomain}`, `svc.${clusterDomain}`, clusterDomain, ...hostDns().searches];
  return joined({ nameservers: [...clusterDns], searches, options: ['ndots:5'] }, own);
}

const joined = (a: Dns, b: Dns): Dns => ({
  nameservers: [...new Set([...a.nameservers, ...b.nameservers])],
  searches: [...new Set([...a.searches, ...b.searches])],
  options: [...new Map([...a.options, ...b.options].map((option) => [option.split(':')[0]!, option])).values()],
});

function hostDns(path = '/etc/resolv.conf'): Dns {
  const lines = existsSync(path)
    ? readFileSync(path, 'utf8')
        .split('\n')
        .map((line) => line.trim().split(/\s+/))
    : [];
  const of = (word: string) => lines.filter(([first]) => first === word).flatMap(([, ...rest]) => rest);
  return { nameservers: of('nameserver'), searches: of('search'), options: of('options') };
}
