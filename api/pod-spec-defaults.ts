import type { Container, Pod, PodSpec } from './kinds/pod.ts';
import { defaultPodLevelResources } from './pod-level-resources.ts';

/** A pod template as Deployments and ReplicaSets carry it. */
export interface PodTemplate {
  metadata?: { labels?: Record<string, string>; annotations?: Record<string, string>; [field: string]: unknown };
  spec: PodSpec;
}

/**
 * What only pods get, their templates not: a template that says no more than its author can be changed in parts, as when a
 * limit is lowered.
 */
export function defaultPod({ spec }: Pod): void {
  defaultPodSpec(spec);
  for (const container of [...(spec.containers ?? []), ...(spec.initContainers ?? [])]) {
    const { limits, requests } = container.resources!;
    if (limits) container.resources!.requests = { ...limits, ...requests };
    if (spec.hostNetwork) for (const port of container.ports ?? []) port.hostPort ||= port.containerPort;
  }
  defaultPodLevelResources(spec);
  spec.enableServiceLinks ??= true;
}

/** Fills in what a pod's author left out: https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/ */
function defaultPodSpec(spec: PodSpec): void {
  spec.restartPolicy ??= 'Always';
  spec.terminationGracePeriodSeconds ??= 30;
  spec.dnsPolicy ??= 'ClusterFirst';
  spec.schedulerName ??= 'default-scheduler';
  spec.securityContext ??= {};
  for (const container of spec.containers ?? []) defaultContainer(container);
  for (const container of spec.initContainers ?? []) defaultContainer(container);
  for (const container of spec.ephemeralContainers ?? []) defaultContainer(container);
  for (const volume of spec.volumes ?? []) defaultVolume(volume);
  if (spec.serviceAccountName) (spec as { serviceAccount?: string }).serviceAccount ??= spec.serviceAccountName;
}

function defaultContainer(container: Container): void {
  container.imagePullPolicy ??= pullPolicyOf(container.image ?? '');
  container.terminationMessagePath ??= '/dev/termination-log';
  container.terminationMessagePolicy ??= 'File';
  container.resources ??= {};
  for (const port of container.ports ?? []) port.protocol ??= 'TCP';
  for (const { valueFrom } of container.env ?? []) {
    if (valueFrom?.fieldRef) valueFrom.fieldRef.apiVersion ??= 'v1';
    if (valueFrom?.resourceFieldRef) valueFrom.resourceFieldRef.divisor ??= '0';
  }
  for (const probe of [container.livenessProbe, container.readinessProbe, container.startupProbe]) defaultProbe(probe);
  const hooks = container.lifecycle as Record<string, Handler | undefined> | undefined;
  defaultHttpGet(hooks?.['postStart']);
  defaultHttpGet(hooks?.['preStop']);
}

/** A moving tag is pulled each time. */
export function pullPolicyOf(image: string): 'Always' | 'IfNotPresent' {
  const [name, digest] = image.split('@');
  if (digest) return 'IfNotPresent';
  const last = name!.slice(name!.lastIndexOf('/') + 1);
  const tag = last.includes(':') ? last.slice(last.indexOf(':') + 1) : 'latest';
  return tag === 'latest' ? 'Always' : 'IfNotPresent';
}

interface Handler {
  httpGet?: { path?: string; scheme?: string };
  grpc?: { service?: string };
}

function defaultProbe(given: unknown): void {
  if (!given) return;
  const probe = given as Handler & Record<string, number | undefined>;
  probe['timeoutSeconds'] ||= 1;
  probe['periodSeconds'] ||= 10;
  probe['successThreshold'] ||= 1;
  probe['failureThreshold'] ||= 3;
  defaultHttpGet(probe);
  if (probe.grpc) probe.grpc.service ??= '';
}

function defaultHttpGet(handler: Handler | undefined): void {
  if (!handler?.httpGet) return;
  handler.httpGet.path ||= '/';
  handler.httpGet.scheme ||= 'HTTP';
}

function defaultVolume(volume: NonNullable<PodSpec['volumes']>[number]): void {
  if (Object.keys(volume).length === 1) volume.emptyDir = {};
  if (volume.secret) volume.secret.defaultMode ??= 0o644;
  if (volume.configMap) volume.configMap.defaultMode ??= 0o644;
  if (volume.hostPath) volume.hostPath.type ??= '';
  if (volume.image) volume.image.pullPolicy ??= pullPolicyOf(volume.image.reference ?? '');
  const projected = volume['projected'] as
    | {
        defaultMode?: number;
        sources?: { serviceAccountToken?: { expirationSeconds?: number }; downwardAPI?: Downward }[];
      }
    | undefined;
  if (projected) {
    projected.defaultMode ??= 0o644;
    for (const source of projected.sources ?? []) {
      if (source.serviceAccountToken) source.serviceAccountToken.expirationSeconds ??= 3600;
      defaultDownward(source.downwardAPI);
    }
  }
  const downward = volume['downwardAPI'] as (Downward & { defaultMode?: number }) | undefined;
  if (downward) {
    downward.defaultMode ??= 0o644;
    defaultDownward(downward);
  }
}

interface Downward {
  items?: { fieldRef?: { apiVersion?: string } }[];
}

function defaultDownward(downward: Downward | undefined): void {
  for (const item of downward?.items ?? []) if (item.fieldRef) item.fieldRef.apiVersion ??= 'v1';
}

export function defaultPodTemplate(template: PodTemplate | undefined): void {
  if (template?.spec) defaultPodSpec(template.spec);
}
