import type { Container, PodSpec, Volume } from './kinds/pod.ts';
import type { ObjectMeta } from './meta.ts';

/**
 * The Pod Security Standards, each control a function that answers nothing or what is wrong.
 * https://kubernetes.io/docs/concepts/security/pod-security-standards/
 */
export const levels = ['privileged', 'baseline', 'restricted'] as const;
export type Level = (typeof levels)[number];

/** A broken control: `host namespaces` and `hostNetwork=true`. */
interface Fault {
  reason: string;
  detail: string;
}

interface Security {
  privileged?: boolean;
  allowPrivilegeEscalation?: boolean;
  runAsNonRoot?: boolean;
  runAsUser?: number;
  procMount?: string;
  capabilities?: { add?: string[]; drop?: string[] };
  seLinuxOptions?: { type?: string; user?: string; role?: string };
  seccompProfile?: { type?: string };
  appArmorProfile?: { type?: string };
  windowsOptions?: { hostProcess?: boolean };
  sysctls?: { name: string }[];
}

interface Subject {
  metadata: ObjectMeta;
  spec: PodSpec;
  pod: Security;
  containers: { name: string; security: Security | undefined; container: Container }[];
  isWindows: boolean;
}

type Control = (subject: Subject) => Fault | undefined;

/** What a pod breaks at a level, as Kubernetes lists it; '' when nothing. */
export function violations(level: Level, metadata: ObjectMeta, spec: PodSpec): { reasons: string; details: string } {
  const faults = controlsOf[level].flatMap((control) => control(subjectOf(metadata, spec)) ?? []);
  return {
    reasons: faults.map(({ reason }) => reason).join(', '),
    details: faults.map(({ reason, detail }) => (detail ? `${reason} (${detail})` : reason)).join(', '),
  };
}

function subjectOf(metadata: ObjectMeta, spec: PodSpec): Subject {
  const all = [...(spec.initContainers ?? []), ...(spec.containers ?? []), ...(spec.ephemeralContainers ?? [])];
  return {
    metadata,
    spec,
    pod: (spec.securityContext ?? {}) as Security,
    containers: all.map((container) => ({
      name: container.name,
      security: container.securityContext as Security | undefined,
      container,
    })),
    isWindows: (spec as { os?: { name?: string } }).os?.name === 'windows',
  };
}

const quoted = (words: readonly string[]): string => words.map((word) => JSON.stringify(word)).join(', ');
const sorted = (words: readonly (string | undefined)[]): string[] =>
  [...new Set(words.map((word) => word ?? ''))].sort();
const counted = (word: string, names: readonly string[]): string =>
  `${names.length === 1 ? word : `${word}s`} ${quoted(names)}`;

/** The containers that break a rule; undefined when none does. */
function breaking({ containers }: Subject, breaks: (security: Security, container: Container) => boolean) {
  const names = containers.filter((one) => breaks(one.security ?? {}, one.container)).map(({ name }) => name);
  return names.length > 0 ? names : undefined;
}

/** Who sets a bad value, the pod or containers: `pod and container "a"`. */
function setters(subject: Subject, isBad: (security: Security) => boolean): string | undefined {
  const names = breaking(subject, isBad);
  const all = [...(isBad(subject.pod) ? ['pod'] : []), ...(names ? [counted('container', names)] : [])];
  return all.length > 0 ? all.join(' and ') : undefined;
}

const securities = ({ pod, containers }: Subject): Security[] => [pod, ...containers.map((one) => one.security ?? {})];

const appArmor: Control = (subject) => {
  const { metadata } = subject;
  const allowed = (value: string) => value === '' || value === 'runtime/default' || value.startsWith('localhost/');
  const annotations = Object.entries(metadata.annotations ?? {})
    .filter(([key, value]) => key.startsWith('container.apparmor.security.beta.kubernetes.io/') && !allowed(value))
    .map(([key, value]) => `${key}=${JSON.stringify(value)}`);
  const who = setters(subject, ({ appArmorProfile }) => appArmorProfile?.type === 'Unconfined');
  const fields = who ? [`${who} must not set AppArmor profile type to "Unconfined"`] : [];
  const all = [...fields, ...annotations.sort()];
  if (all.length === 0) return undefined;
  return { reason: `forbidden AppArmor profile${all.length === 1 ? '' : 's'}`, detail: all.join(', ') };
};

const standardCapabilities = new Set(
  'AUDIT_WRITE CHOWN DAC_OVERRIDE FOWNER FSETID KILL MKNOD NET_BIND_SERVICE SETFCAP SETGID SETPCAP SETUID SYS_CHROOT'.split(
    ' ',
  ),
);

const capabilities: Control = (subject) => {
  const strange = ({ capabilities: c }: Security) => (c?.add ?? []).filter((one) => !standardCapabilities.has(one));
  const names = breaking(subject, (security) => strange(security).length > 0);
  if (!names) return undefined;
  const all = sorted(securities(subject).flatMap(strange));
  return {
    reason: 'non-default capabilities',
    detail: `${counted('container', names)} must not include ${quoted(all)} in securityContext.capabilities.add`,
  };
};

const hostNamespaces: Control = ({ spec }) => {
  const set = (['hostNetwork', 'hostPID', 'hostIPC'] as const).filter((name) => spec[name]);
  if (set.length === 0) return undefined;
  return { reason: 'host namespaces', detail: set.map((name) => `${name}=true`).join(', ') };
};

const hostPaths: Control = ({ spec }) => {
  const names = (spec.volumes ?? []).filter((volume) => volume.hostPath).map(({ name }) => name);
  return names.length > 0 ? { reason: 'hostPath volumes', detail: counted('volume', names) } : undefined;
};

const hostPorts: Control = (subject) => {
  const portsOf = (container: Container) => (container.ports ?? []).flatMap(({ hostPort }) => hostPort || []);
  const names = breaking(subject, (_security, container) => portsOf(container).length > 0);
  if (!names) return undefined;
  const ports = sorted(subject.containers.flatMap(({ container }) => portsOf(container).map(String)));
  const uses = names.length === 1 ? 'uses' : 'use';
  const word = ports.length === 1 ? 'hostPort' : 'hostPorts';
  return { reason: 'hostPort', detail: `${counted('container', names)} ${uses} ${word} ${ports.join(', ')}` };
};

const privileged: Control = (subject) => {
  const names = breaking(subject, (security) => security.privileged === true);
  if (!names) return undefined;
  return {
    reason: 'privileged',
    detail: `${counted('container', names)} must not set securityContext.privileged=true`,
  };
};

const procMount: Control = (subject) => {
  const isBad = ({ procMount: mount }: Security) => mount !== undefined && mount !== 'Default';
  const names = breaking(subject, isBad);
  if (!names) return undefined;
  const mounts = sorted(
    securities(subject)
      .filter(isBad)
      .map((security) => security.procMount),
  );
  return {
    reason: 'procMount',
    detail: `${counted('container', names)} must not set securityContext.procMount to ${quoted(mounts)}`,
  };
};

const linuxTypes = new Set([undefined, '', 'container_t', 'container_init_t', 'container_kvm_t', 'container_engine_t']);

const seLinux: Control = (subject) => {
  const isBad = ({ seLinuxOptions: o }: Security) => Boolean(o && (!linuxTypes.has(o.type) || o.user || o.role));
  const who = setters(subject, isBad);
  if (!who) return undefined;
  const all = securities(subject).flatMap(({ seLinuxOptions }) => seLinuxOptions ?? []);
  const types = sorted(all.map(({ type }) => type).filter((type) => !linuxTypes.has(type)));
  const said = [
    ...(types.length > 0 ? [counted('type', types)] : []),
    ...(all.some(({ user }) => user) ? ['user may not be set'] : []),
    ...(all.some(({ role }) => role) ? ['role may not be set'] : []),
  ];
  return {
    reason: 'seLinuxOptions',
    detail: `${who} set forbidden securityContext.seLinuxOptions: ${said.join('; ')}`,
  };
};

const seccomp: Control = (subject) => {
  const isBad = ({ seccompProfile: profile }: Security) =>
    profile !== undefined && !['RuntimeDefault', 'Localhost'].includes(profile.type ?? '');
  const who = setters(subject, isBad);
  if (!who) return undefined;
  const types = sorted(
    securities(subject)
      .filter(isBad)
      .map(({ seccompProfile }) => seccompProfile?.type),
  );
  return {
    reason: 'seccompProfile',
    detail: `${who} must not set securityContext.seccompProfile.type to ${quoted(types)}`,
  };
};

/** Those that are kept apart from other pods and cannot hurt their node. */
export const safeSysctls: ReadonlySet<string> = new Set([
  'kernel.shm_rmid_forced',
  ...['ip_local_port_range', 'ip_local_reserved_ports', 'ip_unprivileged_port_start', 'ping_group_range'].map(
    (name) => `net.ipv4.${name}`,
  ),
  ...['syncookies', 'keepalive_time', 'fin_timeout', 'keepalive_intvl', 'keepalive_probes', 'rmem', 'wmem'].map(
    (name) => `net.ipv4.tcp_${name}`,
  ),
]);

const sysctls: Control = ({ pod }) => {
  const names = (pod.sysctls ?? []).map(({ name }) => name).filter((name) => !safeSysctls.has(name));
  return names.length > 0 ? { reason: 'forbidden sysctls', detail: names.join(', ') } : undefined;
};

const hostProcess: Control = (subject) => {
  const who = setters(subject, ({ windowsOptions }) => windowsOptions?.hostProcess === true);
  return who
    ? { reason: 'hostProcess', detail: `${who} must not set securityContext.windowsOptions.hostProcess=true` }
    : undefined;
};

const escalation: Control = (subject) => {
  const names = breaking(subject, (security) => security.allowPrivilegeEscalation !== false);
  if (!names || subject.isWindows) return undefined;
  return {
    reason: 'allowPrivilegeEscalation != false',
    detail: `${counted('container', names)} must set securityContext.allowPrivilegeEscalation=false`,
  };
};

const fewCapabilities: Control = (subject) => {
  if (subject.isWindows) return undefined;
  const added = ({ capabilities: c }: Security) => (c?.add ?? []).filter((one) => one !== 'NET_BIND_SERVICE');
  const keeping = breaking(subject, ({ capabilities: c }) => !c?.drop?.includes('ALL'));
  const adding = breaking(subject, (security) => added(security).length > 0);
  const all = sorted(securities(subject).flatMap(added));
  const said = [
    ...(keeping ? [`${counted('container', keeping)} must set securityContext.capabilities.drop=["ALL"]`] : []),
    ...(adding
      ? [`${counted('container', adding)} must not include ${quoted(all)} in securityContext.capabilities.add`]
      : []),
  ];
  return said.length > 0 ? { reason: 'unrestricted capabilities', detail: said.join('; ') } : undefined;
};

const plainVolumes = new Set(
  'configMap csi downwardAPI emptyDir ephemeral image persistentVolumeClaim projected secret'.split(' '),
);

const volumeTypes: Control = ({ spec }) => {
  const typeOf = (volume: Volume) => Object.keys(volume).find((key) => key !== 'name') ?? 'emptyDir';
  const bad = (spec.volumes ?? []).filter((volume) => !plainVolumes.has(typeOf(volume)));
  if (bad.length === 0) return undefined;
  const types = sorted(bad.map(typeOf));
  const word = types.length === 1 ? 'restricted volume type' : 'restricted volume types';
  const names = bad.map(({ name }) => name);
  return {
    reason: 'restricted volume types',
    detail: `${counted('volume', names)} ${names.length === 1 ? 'uses' : 'use'} ${word} ${quoted(types)}`,
  };
};

const nonRoot: Control = (subject) => {
  const reason = 'runAsNonRoot != true';
  const who = setters(subject, ({ runAsNonRoot }) => runAsNonRoot === false);
  if (who) return { reason, detail: `${who} must not set securityContext.runAsNonRoot=false` };
  const silent = breaking(subject, ({ runAsNonRoot }) => runAsNonRoot === undefined);
  if (!silent || subject.pod.runAsNonRoot) return undefined;
  return { reason, detail: `pod or ${counted('container', silent)} must set securityContext.runAsNonRoot=true` };
};

const notUserZero: Control = (subject) => {
  const who = setters(subject, ({ runAsUser }) => runAsUser === 0);
  return who ? { reason: 'runAsUser=0', detail: `${who} must not set runAsUser=0` } : undefined;
};

const someSeccomp: Control = (subject) => {
  if (subject.isWindows) return undefined;
  const explicit = seccomp(subject);
  if (explicit) return explicit;
  const silent = breaking(subject, ({ seccompProfile }) => seccompProfile === undefined);
  if (!silent || subject.pod.seccompProfile) return undefined;
  return {
    reason: 'seccompProfile',
    detail: `pod or ${counted('container', silent)} must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"`,
  };
};

/** Baseline controls that restricted ones of the same name do not replace. */
const kept = [appArmor, hostNamespaces, hostPorts, privileged, procMount, seLinux, sysctls, hostProcess];

const controlsOf: Readonly<Record<Level, readonly Control[]>> = {
  privileged: [],
  baseline: [
    appArmor,
    capabilities,
    hostNamespaces,
    hostPaths,
    hostPorts,
    privileged,
    procMount,
    seLinux,
    seccomp,
    sysctls,
    hostProcess,
  ],
  restricted: [...kept, escalation, fewCapabilities, volumeTypes, nonRoot, notUserZero, someSeccomp],
};
