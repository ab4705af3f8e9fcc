import type { ConfigMap } from '../api/kinds/config-map.ts';
import type { Container, EnvVar, Pod } from '../api/kinds/pod.ts';
import type { Secret } from '../api/kinds/secret.ts';
import type { Service } from '../api/kinds/service.ts';
import { milli, parseNano, quantity } from '../api/quantity.ts';

/** Thrown when a container's environment cannot be had; its message is what the user reads. */
export class ConfigError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'CreateContainerConfigError';
  }
}

/** What the environment of a container is made of, beside the pod itself. */
export interface EnvFacts {
  nodeName: string;
  hostIps: readonly [string, ...string[]];
  /** The first is the pod's own. */
  podIps: readonly string[];
  /** What the node gives a container that has no limit. `cpu` in thousandths, the others in bytes. */
  allocatable: { cpu: number; memory: number; disk: number };
  /** Services of the pod's namespace, and `kubernetes` of the namespace default. */
  services: readonly Service[];
  configMap(name: string): Promise<ConfigMap | undefined>;
  secret(name: string): Promise<Secret | undefined>;
}

/**
 * The variables of a container in Kubernetes' order: services, then envFrom, then env, each able to refer to those before
 * it. Throws ConfigError when a reference that is not optional is missing.
 */
export async function containerEnv(pod: Pod, container: Container, facts: EnvFacts): Promise<Map<string, string>> {
  const services = serviceEnv(pod, facts.services);
  const env = new Map<string, string>();
  for (const from of container.envFrom ?? []) await addAll(env, from, facts);
  for (const variable of container.env ?? []) {
    const value = await valueOf(variable, pod, container, facts, (name) => env.get(name) ?? services.get(name));
    if (value !== undefined) env.set(variable.name, value);
  }
  return new Map([...[...services].filter(([name]) => !env.has(name)), ...env]);
}

/** `$(NAME)` becomes the variable's value, `$$` a dollar; a name that is not known stays as it is written. */
export function expand(text: string, lookup: (name: string) => string | undefined): string {
  return text.replace(/\$(\$|\(([^()]*)\))/g, (whole, what: string, name: string | undefined) =>
    what === '$' ? '$' : (lookup(name!) ?? whole),
  );
}

async function addAll(
  env: Map<string, string>,
  { prefix = '', configMapRef, secretRef }: NonNullable<Container['envFrom']>[number],
  facts: EnvFacts,
): Promise<void> {
  if (configMapRef) {
    const map = await facts.configMap(configMapRef.name);
    if (!map && !configMapRef.optional) throw new ConfigError(`configmap "${configMapRef.name}" not found`);
    for (const [key, value] of Object.entries(map?.data ?? {})) env.set(prefix + key, value);
  } else if (secretRef) {
    const secret = await facts.secret(secretRef.name);
    if (!secret && !secretRef.optional) throw new ConfigError(`secret "${secretRef.name}" not found`);
    for (const [key, value] of Object.entries(secret?.data ?? {}))
      env.set(prefix + key, Buffer.from(value, 'base64').toString('utf8'));
  }
}

async function valueOf(
  { name: variable, value, valueFrom }: EnvVar,
  pod: Pod,
  container: Container,
  facts: EnvFacts,
  lookup: (name: string) => string | undefined,
): Promise<string | undefined> {
  if (!valueFrom) return expand(value ?? '', lookup);
  if (valueFrom.fieldRef) return podField(pod, valueFrom.fieldRef.fieldPath, facts);
  if (valueFrom.resourceFieldRef) return resourceField(pod, container, valueFrom.resourceFieldRef, facts.allocatable);
  if (valueFrom.configMapKeyRef) {
    const { name, key, optional } = valueFrom.configMapKeyRef;
    const map = await facts.configMap(name);
    const found = map?.data?.[key];
    if (found === undefined && !optional)
      throw new ConfigError(
        map
          ? `couldn't find key ${key} in ConfigMap ${pod.metadata.namespace!}/${name}`
          : `configmap "${name}" not found`,
      );
    return found;
  }
  if (valueFrom.secretKeyRef) {
    const { name, key, optional } = valueFrom.secretKeyRef;
    const secret = await facts.secret(name);
    const found = secret?.data?.[key];
    if (found === undefined && !optional)
      throw new ConfigError(
        secret ? `couldn't find key ${key} in Secret ${pod.metadata.namespace!}/${name}` : `secret "${name}" not found`,
      );
    return found === undefined ? undefined : Buffer.from(found, 'base64').toString('utf8');
  }
  const [source = 'nothing'] = Object.keys(valueFrom);
  throw new ConfigError(
    `environment variable "${variable}" has its value from ${source}, which this node cannot provide yet`,
  );
}

type FieldFacts = Pick<EnvFacts, 'nodeName' | 'hostIps' | 'podIps'>;

/** The downward API: `metadata.name`, `metadata.labels['app']`, `status.podIP` … */
export function podField(pod: Pod, path: string, { nodeName, hostIps, podIps }: FieldFacts): string {
  const entry = /^metadata\.(labels|annotations)\['(.*)'\]$/.exec(path);
  if (entry) return pod.metadata[entry[1] as 'labels' | 'annotations']?.[entry[2]!] ?? '';
  const fields: Record<string, () => string> = {
    'metadata.name': () => pod.metadata.name ?? '',
    'metadata.namespace': () => pod.metadata.namespace ?? '',
    'metadata.uid': () => pod.metadata.uid ?? '',
    'metadata.labels': () => formatMap(pod.metadata.labels),
    'metadata.annotations': () => formatMap(pod.metadata.annotations),
    'spec.nodeName': () => pod.spec.nodeName ?? nodeName,
    'spec.serviceAccountName': () => pod.spec.serviceAccountName ?? '',
    'status.hostIP': () => hostIps[0],
    'status.hostIPs': () => hostIps.join(','),
    'status.podIP': () => podIps[0] ?? '',
    'status.podIPs': () => podIps.join(','),
  };
  const field = Object.hasOwn(fields, path) ? fields[path] : undefined;
  if (!field) throw new ConfigError(`unsupported fieldPath: ${path}`);
  return field();
}

const formatMap = (map: Record<string, string> = {}): string =>
  Object.entries(map)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `${key}=${JSON.stringify(value)}`)
    .join('\n');

/** `limits.cpu` and the like, in units of the divisor, rounded up; a limit that is not set, or none, is what the node has. */
export function resourceField(
  pod: Pod,
  container: Container,
  ref: { containerName?: string; resource: string; divisor?: string },
  allocatable: EnvFacts['allocatable'],
): string {
  const name = ref.containerName || container.name;
  const of = [...pod.spec.containers, ...(pod.spec.initContainers ?? [])].find((c) => c.name === name);
  if (!of) throw new ConfigError(`container ${name} not found`);
  const [kind, ...rest] = ref.resource.split('.');
  const resource = rest.join('.');
  if (kind !== 'limits' && kind !== 'requests')
    throw new ConfigError(`unsupported container resource: ${ref.resource}`);
  const { cpu, memory, disk } = allocatable;
  const ofNode = { cpu: `${cpu}m`, memory: String(memory), 'ephemeral-storage': String(disk) }[resource];
  const own = of.resources?.[kind]?.[resource] ?? '0';
  const text = kind === 'limits' && parseNano(own) === 0n ? (ofNode ?? '0') : own;
  const divisor = ref.divisor && quantity(ref.divisor) !== 0 ? ref.divisor : '1';
  const [amount, unit] =
    resource === 'cpu' ? [BigInt(milli(text)), BigInt(milli(divisor))] : [parseNano(text), parseNano(divisor)];
  return String((amount + unit - 1n) / unit);
}

/** FOO_SERVICE_HOST and the like, as Docker links had them, for services that have an address. */
function serviceEnv(pod: Pod, services: readonly Service[]): Map<string, string> {
  const env = new Map<string, string>();
  const linked = pod.spec.enableServiceLinks ?? true;
  for (const service of services) {
    const { name, namespace } = service.metadata;
    const ip = service.spec.clusterIP;
    if (!ip || ip === 'None') continue;
    const isMaster = name === 'kubernetes' && namespace === 'default';
    if (isMaster || (linked && namespace === pod.metadata.namespace)) addService(env, name!, ip, service);
  }
  return env;
}

function addService(env: Map<string, string>, service: string, ip: string, { spec }: Service): void {
  const prefix = envNameOf(service);
  const ports = spec.ports ?? [];
  const [first] = ports;
  env.set(`${prefix}_SERVICE_HOST`, ip);
  if (!first) return;
  env.set(`${prefix}_SERVICE_PORT`, String(first.port));
  for (const { name, port } of ports) if (name) env.set(`${prefix}_SERVICE_PORT_${envNameOf(name)}`, String(port));
  env.set(`${prefix}_PORT`, `${(first.protocol ?? 'TCP').toLowerCase()}://${ip}:${first.port}`);
  for (const { port, protocol = 'TCP' } of ports) {
    const base = `${prefix}_PORT_${port}_${protocol}`;
    env.set(base, `${protocol.toLowerCase()}://${ip}:${port}`);
    env.set(`${base}_PROTO`, protocol.toLowerCase());
    env.set(`${base}_PORT`, String(port));
    env.set(`${base}_ADDR`, ip);
  }
}

const envNameOf = (name: string): string => name.replaceAll('-', '_').toUpperCase();
