import type { KubeObject, LabelSelector } from '../../api/meta.ts';
import { bad, invalid } from '../../api/field-error.ts';
import { badRequest, modified, notFound } from '../../api/status.ts';
import { formatSelector, fromLabelSelector } from '../../api/selector.ts';
import { decodeBody } from '../body.ts';
import { keyIn, writeOptions, type Answer, type Call } from '../call.ts';
import type { Registry } from '../registry.ts';
import { get } from '../verbs/get.ts';
import { patcher } from '../verbs/patch.ts';
import type { Json } from '../patch/json.ts';

interface Scalable extends KubeObject {
  spec: { replicas?: number; selector?: LabelSelector };
  status?: { replicas?: number };
}

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
    return { code: 200, value: scaleOf(answer.entry.object as Scalable) };
  }
  const wanted = call.method === 'PUT' ? asBody(call) : asPatch(call);
  const entry = await registry.update(kind, keyIn(kind, namespace, name), 'main', writeOptions(call), (current) => {
    const object = current as Scalable;
    const next = wanted(scaleOf(object));
    const replicas = next.spec?.replicas ?? 0;
    if (!Number.isInteger(replicas) || replicas < 0)
      throw invalid(scaleType, name, [bad('spec.replicas', replicas, 'must be greater than or equal to 0')]);
    const { resourceVersion } = next.metadata;
    if (resourceVersion && resourceVersion !== object.metadata.resourceVersion) throw modified(kind, name);
    object.spec.replicas = replicas;
    return object;
  });
  return { code: 200, value: scaleOf(entry.object as Scalable) };
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
  return (before) => apply(before as unknown as Json) as unknown as Scale;
}

function scaleOf({ metadata, spec, status }: Readonly<Scalable>): Scale {
  const { name, namespace, uid, resourceVersion, creationTimestamp } = metadata;
  const selector = formatSelector(fromLabelSelector(spec.selector) ?? []);
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
    spec: { replicas: spec.replicas ?? 0 },
    status: { replicas: status?.replicas ?? 0, ...(selector ? { selector } : {}) },
  };
}
