import type { Kind } from '../../api/kind.ts';
import type { Pod } from '../../api/kinds/pod.ts';
import type { Condition, KubeObject } from '../../api/meta.ts';
import { badRequest, notFound } from '../../api/status.ts';
import { type BodyType, decodeBody } from '../body.ts';
import { keyIn, type Answer, type Call } from '../call.ts';
import { withCondition } from '../conditions.ts';
import type { Registry } from '../registry.ts';
import { spendDisruption } from './disruption-budget.ts';
import { checkPreconditions, deleteObject, type DeleteOptions } from '../verbs/delete.ts';
import { readDryRun, writeOptions } from '../write-options.ts';

interface Eviction extends KubeObject {
  deleteOptions?: {
    gracePeriodSeconds?: number;
    dryRun?: string[];
    preconditions?: { uid?: string; resourceVersion?: string };
  };
}

const evictionType: BodyType = {
  ...{ group: 'policy', version: 'v1', kind: 'Eviction', definition: 'io.k8s.api.policy.v1.Eviction' },
  // kubectl before 1.22 drains with it; kube-apiserver takes it still, though the version is served no more.
  otherVersions: ['policy/v1beta1'],
};

/** POST to `pods/<name>/eviction`: a deletion that a disruption budget may refuse. */
export async function evict(registry: Registry, call: Call): Promise<Answer> {
  const { object } = decodeBody<Eviction>(call.contentType, call.body, evictionType);
  const { metadata } = object;
  if (metadata.name && metadata.name !== call.name)
    throw badRequest('name in URL does not match name in Eviction object');
  const common = writeOptions(call);
  const dryRun = common.dryRun || readDryRun(object.deleteOptions?.dryRun ?? []);
  const key = keyIn(call.kind, call.namespace, call.name);
  const entry = await registry.read(call.kind, key);
  if (!entry) throw notFound(call.kind, call.name);
  await registry.admit('delete', call.kind, entry.copy(), { ...common, dryRun, body: object });
  const { gracePeriodSeconds, preconditions } = object.deleteOptions ?? {};
  await spendDisruption(registry, entry.object as Readonly<Pod>, { ...common, dryRun });
  const options: DeleteOptions = {
    ...common,
    dryRun,
    admitted: true,
    gracePeriodSeconds,
    propagation: undefined,
    uid: preconditions?.uid,
    resourceVersion: preconditions?.resourceVersion,
  };
  await deleteObject(registry, call.kind, key, dryRun ? options : await announce(registry, call.kind, key, options));
  return { code: 201, value: { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 } };
}

const evicted: Condition = {
  type: 'DisruptionTarget',
  status: 'True',
  reason: 'EvictionByEvictionAPI',
  message: 'Eviction API: evicting',
};

/** Says in the pod's conditions why it ends, for the policies of Jobs; the options are those for the pod as it is then. */
async function announce(registry: Registry, kind: Kind, key: string, options: DeleteOptions): Promise<DeleteOptions> {
  const { object } = await registry.update(kind, key, 'status', options, (current) => {
    checkPreconditions(kind, current, options);
    const { status = {} } = current as Pod;
    status.conditions = withCondition(status.conditions, evicted, Date.now());
    return { ...current, status } as KubeObject;
  });
  const { resourceVersion } = object.metadata;
  return options.resourceVersion !== undefined && resourceVersion ? { ...options, resourceVersion } : options;
}
