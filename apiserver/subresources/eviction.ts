import type { Pod } from '../../api/kinds/pod.ts';
import type { KubeObject } from '../../api/meta.ts';
import { badRequest, notFound } from '../../api/status.ts';
import { type BodyType, decodeBody } from '../body.ts';
import { keyIn, type Answer, type Call } from '../call.ts';
import type { Registry } from '../registry.ts';
import { spendDisruption } from './disruption-budget.ts';
import { deleteObject } from '../verbs/delete.ts';
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
  await deleteObject(registry, call.kind, key, {
    ...common,
    dryRun,
    admitted: true,
    gracePeriodSeconds,
    propagation: undefined,
    uid: preconditions?.uid,
    resourceVersion: preconditions?.resourceVersion,
  });
  return { code: 201, value: { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 } };
}
