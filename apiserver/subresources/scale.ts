import type { Kind } from '../../api/kind.ts';
import type { KubeObject, LabelSelector } from '../../api/meta.ts';
import { bad, invalid } from '../../api/field-error.ts';
import { badRequest, modified, notFound } from '../../api/status.ts';
import { formatSelector, fromLabelSelector } from '../../api/selector.ts';
import { decodeBody } from '../body.ts';
import { keyIn, type Answer, type Call } from '../call.ts';
import type { Registry } from '../registry.ts';
import { applyToLive, readConfiguration } from '../verbs/apply.ts';
import { get } from '../verbs/get.ts';
import { patcher } from '../verbs/patch.ts';
import { isRecord, setMember, type Json } from '../patch/json.ts';
import { applyType, mediaType, writeOptions } from '../write-options.ts';

/** Where a kind keeps the parts of its scale; custom ones say so themselves. */
const usualPaths = { replicas: ['spec', 'replicas'], current: ['status', 'replicas'], selector: ['spec', 'selector'] };

interface Scale extends KubeObject {
  spec?: { replicas?: number };
  status?: { replicas: number; selector?: string };
}

const scaleType = {
  group: 'autoscaling',
  version: 'v1',
  kind: 'Scale',
  definition: 'io.k8s.api.autoscaling.v1.Scale',
};

/** GET, PUT and PATCH of `<resource>/<name>/scale`: the replicas of a workload, whatever its kind. */
export async function scale(registry: Registry, call: Call): Promise<Answer> {
  const { kind, name, namespace } = call;
  if (call.method === 'GET') {
    const answer = await get(registry, call);
    if (!('entry' in answer)) throw notFound(kind, name);
    return { code: 200, value: scaleOf(answer.entry.object, kind) };
  }
  if (call.method === 'PATCH' && mediaType(call) === applyType) return applyScale(registry, call);
  const wanted = call.method === 'PUT' ? asBody(call) : asPatch(call);
  const entry = await registry.update(kind, keyIn(kind, namespace, name), 'main', writeOptions(call), (current) => {
    const next = wanted(scaleOf(current, kind));
    const { resourceVersion } = next.metadata;
    rescale(current, next, kind);
    if (resourceVersion && resourceVersion !== current.metadata.resourceVersion) throw modified(kind, name);
    return current;
  });
  return { code: 200, value: scaleOf(entry.object, kind) };
}

/** What is applied to a scale is applied to the replicas of its object, and owned there. */
async function applyScale(registry: Registry, call: Call): Promise<Answer> {
  const { kind } = call;
  const applied = readConfiguration(call, scaleType) as Scale;
  const config: KubeObject = { apiVersion: kind.apiVersion, kind: kind.kind, metadata: applied.metadata };
  if (applied.spec?.replicas !== undefined) rescale(config, applied, kind);
  const { object } = await applyToLive(registry, call, config, 'main');
  return { code: 200, value: scaleOf(object, kind) };
}

/** Gives an object the replicas that its scale says. Throws 422. */
export function rescale(object: KubeObject, { spec, metadata }: Scale, kind: Kind): void {
  const replicas = spec?.replicas ?? 0;
  if (!Number.isInteger(replicas) || replicas < 0)
    throw invalid(scaleType, metadata.name ?? '', [
      bad('spec.replicas', replicas, 'must be greater than or equal to 0'),
    ]);
  setAt(object, (kind.scale ?? usualPaths).replicas, replicas);
}

function asBody(call: Call): (before: Scale) => Scale {
  const { object } = decodeBody<Scale>(call.contentType, call.body, scaleType);
  if (object.metadata.name && object.metadata.name !== call.name)
    throw badRequest(
      `the name of the object (${object.metadata.name}) does not match the name on the URL (${call.name})`,
    );
  return () => object;
}

function asPatch(call: Call): (before: Scale) => Scale {
  const apply = patcher({ ...call, kind: { ...call.kind, ...scaleType } });
  return (before) => {
    const patched = Buffer.from(JSON.stringify(apply(before as unknown as Json)));
    return decodeBody<Scale>('application/json', patched, scaleType).object;
  };
}

function valueAt(object: Readonly<object>, path: readonly string[]): unknown {
  return path.reduce<unknown>(
    (value, name) => (isRecord(value) && Object.hasOwn(value, name) ? value[name] : undefined),
    object,
  );
}

function setAt(object: object, path: readonly string[], value: unknown): void {
  let at = object as Json;
  for (const name of path.slice(0, -1)) {
    if (!isRecord(at[name])) setMember(at, name, {});
    at = at[name] as Json;
  }
  setMember(at, path.at(-1)!, value);
}

/** Controllers carry a selector, or (custom resources, replication controllers) what it would say as text or labels. */
function selectorText(value: unknown): string {
  if (typeof value === 'string') return value;
  if (!isRecord(value)) return '';
  const selector = 'matchLabels' in value || 'matchExpressions' in value ? value : { matchLabels: value };
  return formatSelector(fromLabelSelector(selector as LabelSelector) ?? []);
}

export function scaleOf(object: Readonly<KubeObject>, kind: Kind): Scale {
  const { name, namespace, uid, resourceVersion, creationTimestamp } = object.metadata;
  const { replicas, current, selector: selectorPath } = kind.scale ?? usualPaths;
  const selector = selectorPath ? selectorText(valueAt(object, selectorPath)) : '';
  return {
    kind: 'Scale',
    apiVersion: 'autoscaling/v1',
    metadata: {
      name: name!,
      namespace: namespace!,
      uid: uid!,
      resourceVersion: resourceVersion!,
      creationTimestamp: creationTimestamp ?? null,
    },
    spec: { replicas: Number(valueAt(object, replicas) ?? 0) },
    status: { replicas: Number(valueAt(object, current) ?? 0), ...(selector ? { selector } : {}) },
  };
}
