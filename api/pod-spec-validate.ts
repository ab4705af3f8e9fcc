import { bad, duplicate, forbiddenField, notSupported, required } from './field-error.ts';
import type { FieldError } from './kind.ts';
import type { Container, PodSpec, Toleration } from './kinds/pod.ts';
import { checkDnsLabel, checkPortName, checkQualifiedName } from './names.ts';
import { validateEnv } from './pod-env-validate.ts';
import { validateHandlers } from './pod-handler-validate.ts';
import { validateMounts } from './pod-mount-validate.ts';
import { validatePodNames } from './pod-names-validate.ts';
import { validatePlacement } from './pod-placement-validate.ts';
import { validateContainerContext, validateEphemeral, validatePodContext } from './pod-security-validate.ts';
import { validateVolumes } from './pod-volume-validate.ts';
import { validateResizePolicy, validateResources } from './pod-resources-validate.ts';
import { validateLabels } from './validate-meta.ts';
import { validatePodClaims } from './pod-claims-validate.ts';
import { validatePodLevelResources } from './pod-level-resources.ts';

type Check = (field: string) => FieldError[];

/** Rules on a pod's spec; `at` is its path, `spec` or `spec.template.spec`. */
export function validatePodSpec(spec: PodSpec, at: string): FieldError[] {
  const names = new Set<string>();
  return [
    ...validateVolumes(spec.volumes ?? [], `${at}.volumes`),
    ...(spec.containers?.length ? [] : [required(`${at}.containers`)]),
    ...each(spec.containers, `${at}.containers`, (c) => (f) => validateContainer(c, spec, names, f)),
    ...each(spec.initContainers, `${at}.initContainers`, (c) => (f) => [
      ...validateContainer(c, spec, names, f),
      ...validateInit(c, f),
    ]),
    ...each(spec.ephemeralContainers, `${at}.ephemeralContainers`, (c) => (f) => [
      ...validateContainer(c, spec, names, f),
      ...validateEphemeral(c, spec, f),
    ]),
    ...validatePodLevelResources(spec, `${at}.resources`),
    ...hostPortConflicts(spec, at),
    ...choice(spec.restartPolicy, ['Always', 'OnFailure', 'Never'], `${at}.restartPolicy`),
    ...choice(spec.dnsPolicy, ['ClusterFirst', 'ClusterFirstWithHostNet', 'Default', 'None'], `${at}.dnsPolicy`),
    ...validateLabels(spec.nodeSelector, `${at}.nodeSelector`),
    ...validatePodNames(spec, at),
    ...validateDeadline(spec, at),
    ...validatePlacement(spec, at),
    ...validatePodClaims(spec, at),
    ...validatePodContext(spec, at),
    ...each(spec.tolerations, `${at}.tolerations`, (t) => (f) => validateToleration(t, f)),
  ];
}

const each = <T>(items: readonly T[] | undefined, at: string, check: (item: T) => Check): FieldError[] =>
  (items ?? []).flatMap((item, i) => check(item)(`${at}[${i}]`));

const choice = (value: string | undefined, choices: readonly string[], field: string): FieldError[] =>
  value === undefined || choices.includes(value) ? [] : [notSupported(field, value, choices)];

function validateDeadline(spec: PodSpec, at: string): FieldError[] {
  const errors: FieldError[] = [];
  const deadline = spec.activeDeadlineSeconds;
  if (deadline !== undefined && (deadline < 1 || deadline > 2147483647))
    errors.push(bad(`${at}.activeDeadlineSeconds`, deadline, 'must be between 1 and 2147483647, inclusive'));
  if ((spec.terminationGracePeriodSeconds ?? 0) < 0)
    errors.push(
      bad(
        `${at}.terminationGracePeriodSeconds`,
        spec.terminationGracePeriodSeconds,
        'must be greater than or equal to 0',
      ),
    );
  return errors;
}

function validateContainer(c: Container, spec: PodSpec, names: Set<string>, at: string): FieldError[] {
  const errors: FieldError[] = [];
  if (!c.name) errors.push(required(`${at}.name`));
  else {
    errors.push(...checkDnsLabel(c.name).map((detail) => bad(`${at}.name`, c.name, detail)));
    if (names.has(c.name)) errors.push(duplicate(`${at}.name`, c.name));
    names.add(c.name);
  }
  if (!c.image) errors.push(required(`${at}.image`));
  else if (c.image !== c.image.trim())
    errors.push(bad(`${at}.image`, c.image, 'must not have leading or trailing whitespace'));
  errors.push(...choice(c.restartPolicy, ['Always', 'OnFailure', 'Never'], `${at}.restartPolicy`));
  errors.push(...choice(c.imagePullPolicy, ['Always', 'IfNotPresent', 'Never'], `${at}.imagePullPolicy`));
  errors.push(
    ...choice(c.terminationMessagePolicy, ['File', 'FallbackToLogsOnError'], `${at}.terminationMessagePolicy`),
  );
  errors.push(...validatePorts(c, at), ...validateEnv(c, at), ...validateResources(c, at));
  errors.push(...validateMounts(c, spec.volumes ?? [], at), ...validateResizePolicy(c, spec, at));
  errors.push(...validateHandlers(c, at), ...validateContainerContext(c, at));
  return errors;
}

const initOnly = 'may not be set for init containers without restartPolicy=Always';

/** One that ends before the others start is asked nothing; a sidecar is a container as the others are. */
function validateInit(c: Container, at: string): FieldError[] {
  if (c.restartPolicy === 'Always') return [];
  return (['lifecycle', 'livenessProbe', 'readinessProbe', 'startupProbe'] as const)
    .filter((name) => c[name] !== undefined)
    .map((name) => forbiddenField(`${at}.${name}`, initOnly));
}

function validatePorts(c: Container, at: string): FieldError[] {
  const errors: FieldError[] = [];
  const names = new Set<string>();
  for (const [i, port] of (c.ports ?? []).entries()) {
    const field = `${at}.ports[${i}]`;
    if (port.name) {
      errors.push(...checkPortName(port.name).map((detail) => bad(`${field}.name`, port.name, detail)));
      if (names.has(port.name)) errors.push(duplicate(`${field}.name`, port.name));
      names.add(port.name);
    }
    if (!port.containerPort) errors.push(required(`${field}.containerPort`));
    else errors.push(...portRange(port.containerPort, `${field}.containerPort`));
    if (port.hostPort) errors.push(...portRange(port.hostPort, `${field}.hostPort`));
    errors.push(...choice(port.protocol, ['SCTP', 'TCP', 'UDP'], `${field}.protocol`));
  }
  return errors;
}

export const portRange = (port: number, field: string): FieldError[] =>
  port >= 1 && port <= 65535 ? [] : [bad(field, port, 'must be between 1 and 65535, inclusive')];

function hostPortConflicts(spec: PodSpec, at: string): FieldError[] {
  const seen = new Set<string>();
  return (spec.containers ?? []).flatMap((c, i) =>
    (c.ports ?? []).flatMap((port, j) => {
      if (!port.hostPort) return [];
      const field = `${at}.containers[${i}].ports[${j}]`;
      const key = `${port.protocol ?? 'TCP'}/${port.hostIP ?? ''}/${port.hostPort}`;
      const errors: FieldError[] = [];
      if (spec.hostNetwork && port.hostPort !== port.containerPort)
        errors.push(
          bad(`${field}.containerPort`, port.containerPort, 'must match `hostPort` when `hostNetwork` is true'),
        );
      if (seen.has(key)) errors.push(duplicate(`${field}.hostPort`, key));
      seen.add(key);
      return errors;
    }),
  );
}

export function validateToleration(t: Toleration, at: string): FieldError[] {
  const errors: FieldError[] = [];
  if (t.key) errors.push(...checkQualifiedName(t.key).map((d) => bad(`${at}.key`, t.key, d)));
  if (!t.key && t.operator !== 'Exists')
    errors.push(
      bad(
        `${at}.operator`,
        t.operator ?? '',
        'operator must be Exists when `key` is empty, which means "match all values and all keys"',
      ),
    );
  if (t.operator === 'Exists' && t.value)
    errors.push(bad(`${at}.operator`, t, "value must be empty when `operator` is 'Exists'"));
  if (t.operator && !['Equal', 'Exists'].includes(t.operator))
    errors.push(notSupported(`${at}.operator`, t.operator, ['Equal', 'Exists']));
  errors.push(...choice(t.effect || undefined, ['NoSchedule', 'PreferNoSchedule', 'NoExecute'], `${at}.effect`));
  if (t.tolerationSeconds !== undefined && t.effect !== 'NoExecute')
    errors.push(bad(`${at}.effect`, t.effect ?? '', "effect must be 'NoExecute' when `tolerationSeconds` is set"));
  return errors;
}
