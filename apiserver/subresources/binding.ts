import type { KubeObject } from '../../api/meta.ts';
import { timestamp } from '../../api/meta.ts';
import type { Pod } from '../../api/kinds/pod.ts';
import { invalid, required, notSupported } from '../../api/field-error.ts';
import { badRequest, conflict } from '../../api/status.ts';
import { decodeBody } from '../body.ts';
import { keyIn, type Answer, type Call } from '../call.ts';
import type { Registry } from '../registry.ts';
import { writeOptions } from '../write-options.ts';

interface Binding extends KubeObject {
  target?: { kind?: string; name?: string };
}

const bindingType = { group: '', version: 'v1', kind: 'Binding', definition: 'io.k8s.api.core.v1.Binding' };

/** POST to `pods/<name>/binding` (or `bindings`): gives a pod its node, once. Annotations of the binding go onto the pod. */
export async function bind(registry: Registry, call: Call): Promise<Answer> {
  const { kind, namespace } = call;
  const { object: binding } = decodeBody<Binding>(call.contentType, call.body, bindingType);
  const name = call.name || binding.metadata.name || '';
  if (binding.metadata.name && call.name && binding.metadata.name !== call.name)
    throw badRequest('name in URL does not match name in Binding object');
  const node = checkTarget(binding);
  await registry.update(
    kind,
    keyIn(kind, namespace, name),
    'server',
    { ...writeOptions(call), body: binding },
    (current) => {
      const pod = current as Pod;
      const { uid, resourceVersion } = binding.metadata;
      if (uid && uid !== pod.metadata.uid)
        throw conflict(
          kind,
          name,
          `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${pod.metadata.uid}`,
        );
      if (resourceVersion && resourceVersion !== pod.metadata.resourceVersion)
        throw conflict(
          kind,
          name,
          `Precondition failed: ResourceVersion in precondition: ${resourceVersion}, ResourceVersion in object meta: ${pod.metadata.resourceVersion}`,
        );
      if (pod.metadata.deletionTimestamp)
        throw conflict(
          { group: '', plural: 'pods/binding' },
          name,
          `pod ${name} is being deleted, cannot be assigned to a host`,
        );
      if (pod.spec.nodeName)
        throw conflict(
          { group: '', plural: 'pods/binding' },
          name,
          `pod ${name} is already assigned to node "${pod.spec.nodeName}"`,
        );
      if (pod.spec.schedulingGates?.length)
        throw conflict({ group: '', plural: 'pods/binding' }, name, `pod ${name} has non-empty .spec.schedulingGates`);
      return bound(pod, node, binding);
    },
  );
  return { code: 201, value: { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 } };
}

function checkTarget({ metadata, target }: Binding): string {
  const errors = [];
  if (target?.kind && target.kind !== 'Node')
    errors.push(notSupported('target.kind', target.kind, ['Node', '<empty>']));
  if (!target?.name) errors.push(required('target.name'));
  if (errors.length > 0) throw invalid(bindingType, metadata.name ?? '', errors);
  return target!.name!;
}

function bound(pod: Pod, node: string, { metadata }: Binding): Pod {
  pod.spec.nodeName = node;
  if (metadata.annotations) pod.metadata.annotations = { ...pod.metadata.annotations, ...metadata.annotations };
  if (metadata.labels) pod.metadata.labels = { ...pod.metadata.labels, ...metadata.labels };
  pod.status ??= {};
  const others = (pod.status.conditions ?? []).filter((condition) => condition.type !== 'PodScheduled');
  pod.status.conditions = [
    ...others,
    { type: 'PodScheduled', status: 'True', lastProbeTime: null, lastTransitionTime: timestamp(Date.now()) },
  ];
  return pod;
}
