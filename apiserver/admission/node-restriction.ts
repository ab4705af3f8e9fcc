import type { Node } from '../../api/kinds/node.ts';
import type { Pod } from '../../api/kinds/pod.ts';
import { Pod as PodKind } from '../../api/kinds/pod.ts';
import { manifestAnnotations } from '../../api/kinds/names.ts';
import type { OwnerReference } from '../../api/meta.ts';
import { namedObjects } from '../../api/pod-references.ts';
import { forbidden, type StatusError } from '../../api/status.ts';
import { equal } from '../../lib/equal.ts';
import type { User } from '../auth/user.ts';
import type { AdmissionRequest, AdmissionRule } from './order.ts';
import { creates, refusal } from './requests.ts';

/** The node whose kubelet this is; undefined for everybody else. */
export const nodeOf = ({ name, groups }: User): string | undefined =>
  groups.includes('system:nodes') && name.startsWith('system:node:') ? name.slice('system:node:'.length) : undefined;

const ownLabels = new Set([
  ...[
    'kubernetes.io/hostname',
    'kubernetes.io/arch',
    'kubernetes.io/os',
    'beta.kubernetes.io/arch',
    'beta.kubernetes.io/os',
  ],
  ...['beta.kubernetes.io/instance-type', 'node.kubernetes.io/instance-type', 'topology.kubernetes.io/region'],
  ...[
    'topology.kubernetes.io/zone',
    'failure-domain.beta.kubernetes.io/region',
    'failure-domain.beta.kubernetes.io/zone',
  ],
  'node.kubernetes.io/windows-build',
]);
const ownPrefixes = ['kubelet.kubernetes.io', 'node.kubernetes.io'];

/**
 * What a kubelet may write into objects that it may write at all: only of its own node, and no label by which others
 * would trust it with more.
 * https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/#noderestriction
 */
export const nodeRestriction: AdmissionRule = {
  name: 'NodeRestriction',
  // Who may not write a thing is not told what else is wrong with it.
  mutate: (request) => {
    const { kind, object, operation, options } = request;
    if (operation === 'delete') return;
    const node = nodeOf(options.user);
    // The user that executors share is no node by name, but makes pods only as a node may.
    if (options.user.groups.includes('system:nodes') && creates(request, 'pods')) checkMirror(request, node);
    if (node === undefined) return;
    switch (`${kind.group}/${kind.plural}`) {
      case '/pods':
        return checkPod(request, node);
      case '/nodes':
        return checkNode(request, node);
      case 'coordination.k8s.io/leases':
        if (object.metadata.namespace === 'kube-node-lease' && object.metadata.name === node) return;
        throw refusal(request, 'can only access node lease with the same name as the requesting node');
      case 'storage.k8s.io/csinodes':
        if (operation !== 'create' || object.metadata.name === node) return;
        throw refusal(request, `can only access CSINode with the same name as the requesting node`);
      default:
    }
  },
};

/** A mirror shows a pod that runs without the apiserver; one that named other objects would open them to its node. */
function checkMirror(request: AdmissionRequest, node: string | undefined): void {
  const { metadata, spec } = request.object as Pod;
  const who = node === undefined ? 'node' : `node "${node}"`;
  if (metadata.annotations?.[manifestAnnotations.mirror] === undefined)
    throw refusal(
      request,
      `pod does not have "${manifestAnnotations.mirror}" annotation, ${who} can only create mirror pods`,
    );
  if (!spec.nodeName || (node !== undefined && spec.nodeName !== node))
    throw refusal(request, `${who} can only create pods with spec.nodeName set to itself`);
  const owners = metadata.ownerReferences ?? [];
  const isOwn = ({ apiVersion, kind, name }: OwnerReference) =>
    apiVersion === 'v1' && kind === 'Node' && name === spec.nodeName;
  if (owners.length > 1 || !owners.every(isOwn))
    throw refusal(request, `${who} can only create pods with an owner reference set to itself`);
  const named = namedObjects(spec);
  if (named) throw refusal(request, `${who} can not create pods that reference ${named}`);
}

function checkPod(request: AdmissionRequest, node: string): void {
  const { operation, object, old, options } = request;
  const pod = object as Pod;
  if (operation === 'create') return;
  if ((old as Pod).spec.nodeName !== node)
    throw refusal(request, `node "${node}" can only update pod status for pods with spec.nodeName set to itself`);
  if (options.subresource === 'status' && !equal(pod.metadata.labels ?? {}, old!.metadata.labels ?? {}))
    throw refusal(request, `node "${node}" cannot update labels through pod status`);
}

function checkNode(request: AdmissionRequest, node: string): void {
  const { operation, object, old } = request;
  const [now, before] = [object as Node, old as Node | undefined];
  if (operation === 'create' && now.metadata.name !== node)
    throw refusal(request, `node "${node}" is not allowed to modify node "${now.metadata.name}"`);
  if (operation === 'update' && now.metadata.name !== node)
    throw refusal(request, `node "${node}" is not allowed to modify node "${now.metadata.name}"`);
  if (before && !equal(now.spec?.taints ?? [], before.spec?.taints ?? []))
    throw refusal(request, `node "${node}" is not allowed to modify taints`);
  if (before && !equal(now.metadata.ownerReferences ?? [], before.metadata.ownerReferences ?? []))
    throw refusal(request, `node "${node}" is not allowed to modify ownerReferences`);
  const bad = changedLabels(now, before).filter(isOthers).sort();
  if (bad.length > 0)
    throw refusal(request, `is not allowed to ${before ? 'modify' : 'set the following'} labels: ${bad.join(', ')}`);
}

function changedLabels(now: Node, before: Node | undefined): string[] {
  const [a, b] = [now.metadata.labels ?? {}, before?.metadata.labels ?? {}];
  return [...new Set([...Object.keys(a), ...Object.keys(b)])].filter((key) => a[key] !== b[key]);
}

/** Labels of Kubernetes' own domains that are not a kubelet's to set. */
function isOthers(label: string): boolean {
  const domain = label.includes('/') ? label.split('/')[0]! : '';
  const below = (parent: string) => domain === parent || domain.endsWith(`.${parent}`);
  if (below('node-restriction.kubernetes.io')) return true;
  if (!below('kubernetes.io') && !below('k8s.io')) return false;
  return !ownLabels.has(label) && !ownPrefixes.some(below);
}

/** A kubelet gets tokens only for pods that run on its node, bound to them. */
export function checkNodeToken(
  user: User,
  account: string,
  bound: { kind?: string; uid?: string } | undefined,
  pod: Readonly<Pod> | undefined,
): void {
  const node = nodeOf(user);
  if (node === undefined) return;
  const no = (why: string): StatusError => forbidden({ group: '', plural: 'serviceaccounts' }, account, why);
  if (bound?.kind !== PodKind.kind) throw no('node requested token not bound to a pod');
  if (!bound.uid) throw no('node requested token with a pod binding without a uid');
  if (pod && pod.spec.nodeName !== node) throw no('node requested token bound to a pod scheduled on a different node');
}
