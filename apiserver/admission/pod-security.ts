import { Namespace } from '../../api/kinds/namespace.ts';
import { Pod as PodKind, type Container, type Pod, type PodSpec } from '../../api/kinds/pod.ts';
import type { KubeObject, ObjectMeta } from '../../api/meta.ts';
import { bad, invalid } from '../../api/field-error.ts';
import { levels, violations, type Level } from '../../api/pod-security.ts';
import type { Feed } from '../feed.ts';
import type { AdmissionRequest, AdmissionRule } from './order.ts';
import { namespaceOf, refusal, writes } from './requests.ts';

const prefix = 'pod-security.kubernetes.io/';
const modes = ['enforce', 'audit', 'warn'] as const;

interface Policy {
  level: Level;
  version: string;
}

const shown = ({ level, version }: Policy): string => JSON.stringify(`${level}:${version}`);

/**
 * A namespace's labels say which Pod Security Standard its pods keep: what breaks `enforce` is refused, `warn` is said to
 * the caller, `audit` is noted in the audit log.
 * https://kubernetes.io/docs/concepts/security/pod-security-admission/
 */
export const podSecurity = (feed: Feed): AdmissionRule => ({
  name: 'PodSecurity',
  validate: (request) => {
    const { kind, object } = request;
    if (writes(request, 'namespaces')) return checkNamespace(feed, request);
    const isPod = writes(request, 'pods') || isEphemeral(request);
    const found = isPod ? { metadata: object.metadata, spec: (object as Pod).spec } : templateOf(kind.plural, request);
    if (!found || (isPod && request.old && !changes(object as Pod, request.old as Pod))) return;
    const labels = namespaceOf(feed, object.metadata.namespace ?? '')?.metadata.labels ?? {};
    if (modes.every((mode) => labels[prefix + mode] === undefined)) return;
    if (isPod) enforce(request, policyOf(labels, 'enforce'), found);
    advise(request, labels, found);
  },
});

interface Found {
  metadata: ObjectMeta;
  spec: PodSpec;
}

const isEphemeral = ({ kind, options }: AdmissionRequest): boolean =>
  kind.plural === 'pods' && kind.group === '' && options.subresource === 'ephemeralcontainers';

function policyOf(labels: Readonly<Record<string, string>>, mode: (typeof modes)[number]): Policy {
  const text = labels[prefix + mode] ?? 'privileged';
  const version = labels[`${prefix}${mode}-version`] ?? 'latest';
  // A label that nobody understands is taken for the strictest, as Kubernetes does.
  return { level: (levels as readonly string[]).includes(text) ? (text as Level) : 'restricted', version };
}

function enforce(request: AdmissionRequest, policy: Policy, { metadata, spec }: Found): void {
  const { details } = violations(policy.level, metadata, spec);
  request.options.annotate?.(`${prefix}enforce-policy`, `${policy.level}:${policy.version}`);
  if (details) throw refusal(request, `violates PodSecurity ${shown(policy)}: ${details}`);
}

function advise(
  { options }: AdmissionRequest,
  labels: Readonly<Record<string, string>>,
  { metadata, spec }: Found,
): void {
  for (const mode of ['audit', 'warn'] as const) {
    const policy = policyOf(labels, mode);
    const { details } = violations(policy.level, metadata, spec);
    if (!details) continue;
    const sentence = `would violate PodSecurity ${shown(policy)}: ${details}`;
    if (mode === 'warn') options.warn?.(sentence);
    else options.annotate?.(`${prefix}audit-violations`, sentence);
  }
}

/** The pod template that a workload will make pods of. */
function templateOf(plural: string, request: AdmissionRequest): Found | undefined {
  const { kind, object } = request;
  if (!['apps', 'batch', ''].includes(kind.group) || !writes(request, plural, kind.group)) return undefined;
  const holder = object as KubeObject & { spec?: Record<string, unknown>; template?: unknown };
  const job = (holder.spec?.['jobTemplate'] as { spec?: Record<string, unknown> } | undefined)?.spec;
  const template = (job ?? holder.spec)?.['template'] ?? (plural === 'podtemplates' ? holder.template : undefined);
  const { metadata = {}, spec } = (template ?? {}) as { metadata?: ObjectMeta; spec?: PodSpec };
  return spec ? { metadata, spec } : undefined;
}

/** Of a pod's spec only images and what was added can change. */
function changes(pod: Pod, old: Pod): boolean {
  const images = ({ spec }: Pod) =>
    [spec.initContainers, spec.containers, spec.ephemeralContainers].map((all) =>
      (all ?? []).map((c: Container) => c.image),
    );
  return JSON.stringify(images(pod)) !== JSON.stringify(images(old));
}

function checkNamespace(feed: Feed, request: AdmissionRequest): void {
  const { object, old, options } = request;
  const labels = object.metadata.labels ?? {};
  const wrong = modes.flatMap((mode) => [
    ...(labels[prefix + mode] === undefined || (levels as readonly string[]).includes(labels[prefix + mode]!)
      ? []
      : [bad(`metadata.labels[${prefix}${mode}]`, labels[prefix + mode], `must be one of ${levels.join(', ')}`)]),
    ...(/^(latest|v1\.\d+)$/.test(labels[`${prefix}${mode}-version`] ?? 'latest')
      ? []
      : [
          bad(
            `metadata.labels[${prefix}${mode}-version]`,
            labels[`${prefix}${mode}-version`],
            'must be "latest" or "v1.x"',
          ),
        ]),
  ]);
  if (wrong.length > 0) throw invalid(Namespace, object.metadata.name ?? '', wrong);
  const [now, before] = [policyOf(labels, 'enforce'), policyOf(old?.metadata.labels ?? {}, 'enforce')];
  if (!old || levels.indexOf(now.level) <= levels.indexOf(before.level)) return;
  for (const sentence of existing(feed, object.metadata.name ?? '', now)) options.warn?.(sentence);
}

/** What pods that are there already would break. */
function existing(feed: Feed, namespace: string, policy: Policy): string[] {
  const byReason = new Map<string, string[]>();
  for (const { object } of feed.cache(PodKind).list(namespace).slice(0, 3000)) {
    const { reasons } = violations(policy.level, object.metadata, (object as Pod).spec);
    if (reasons) byReason.set(reasons, [...(byReason.get(reasons) ?? []), object.metadata.name!]);
  }
  if (byReason.size === 0) return [];
  const lines = [...byReason].map(([reasons, [first, ...others]]) => {
    const more = others.length === 0 ? '' : ` (and ${others.length} other pod${others.length === 1 ? '' : 's'})`;
    return `${first}${more}: ${reasons}`;
  });
  return [
    `existing pods in namespace ${JSON.stringify(namespace)} violate the new PodSecurity enforce level ${shown(policy)}`,
    ...lines.sort(),
  ];
}
