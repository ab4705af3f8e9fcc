import type { KubeObject } from '../../api/meta.ts';
import type { Container, Pod } from '../../api/kinds/pod.ts';
import type { Attributes, Authorizer, Verdict } from './authorize.ts';
import type { User } from './user.ts';

/** What is known of pods, as of a moment ago. */
export interface PodView {
  pod: (namespace: string, name: string) => Readonly<Pod> | undefined;
  podsIn: (namespace: string) => Iterable<Readonly<Pod>>;
  /** Every PersistentVolume. */
  volumes: () => Iterable<Readonly<KubeObject>>;
  /** What else a pod may lead to: a PersistentVolume or a VolumeAttachment by name. */
  named: (group: string, plural: string, name: string) => Readonly<KubeObject> | undefined;
}

const reads = new Set(['get', 'list', 'watch']);
const changes = new Set(['update', 'patch']);
const leaseNamespace = 'kube-node-lease';

/** Decides for kubelets; of everybody else it says nothing. */
export const nodeAuthorizer = (view: PodView): Authorizer => ({
  judge: (user, asked) => (user.groups.includes('system:nodes') ? nodeMay(user, asked, view) : no),
});

const yes: Verdict = { allowed: true };
const no: Verdict = { allowed: false };
const noBecause = (reason: string): Verdict => ({ allowed: false, reason });

/**
 * What a kubelet needs, and no more: its Node and Lease, the pods bound to it, and the Secrets and ConfigMaps these name.
 * `system:node:<name>` is that node; the user that executors share may be any node, but still only what a node may.
 */
export function nodeMay(user: User, a: Attributes, view: PodView): Verdict {
  const self = user.name.startsWith('system:node:') ? user.name.slice('system:node:'.length) : undefined;
  const isOwn = self === undefined || a.name === self;
  const verdict = (allowed: boolean) => (allowed ? yes : no);
  switch (`${a.group}/${a.resource}`) {
    case '/nodes':
      if (a.subresource === '' && (reads.has(a.verb) || a.verb === 'create')) return yes;
      if (!changes.has(a.verb) || !['', 'status'].includes(a.subresource)) return no;
      return isOwn ? yes : noBecause(`node '${self}' cannot update other nodes`);
    case '/pods':
      return podVerdict(self, a, view);
    case '/services':
      return verdict(reads.has(a.verb) && a.subresource === '');
    case '/secrets':
    case '/configmaps':
      return referenceVerdict(self, a, view);
    case '/events':
    case 'events.k8s.io/events':
      return verdict((changes.has(a.verb) || a.verb === 'create') && a.namespace !== '');
    case 'coordination.k8s.io/leases':
      if (a.namespace !== leaseNamespace)
        return noBecause(`can only access leases in the "${leaseNamespace}" system namespace`);
      if (a.verb === 'create') return yes;
      if (!(changes.has(a.verb) || a.verb === 'get' || a.verb === 'delete') || a.name === '') return no;
      return isOwn ? yes : noBecause('can only access node lease with the same name as the requesting node');
    case '/serviceaccounts':
      return accountVerdict(self, a, view);
    case '/persistentvolumeclaims':
    case '/persistentvolumes':
    case 'storage.k8s.io/volumeattachments':
      return storageVerdict(self, a, view);
    case 'storage.k8s.io/csinodes':
      if (a.verb === 'create') return yes;
      if (!(changes.has(a.verb) || a.verb === 'get' || a.verb === 'delete') || a.name === '') return no;
      return isOwn ? yes : noBecause('can only access CSINode with the same name as the requesting node');
    default:
      return verdict(allNodesMay[`${a.group}/${a.resource}`]?.includes(a.verb) === true && a.subresource === '');
  }
}

/** What does not depend on which node asks. */
const allNodesMay: Readonly<Record<string, readonly string[]>> = {
  '/endpoints': ['get'],
  'authentication.k8s.io/tokenreviews': ['create'],
  'authorization.k8s.io/localsubjectaccessreviews': ['create'],
  'authorization.k8s.io/subjectaccessreviews': ['create'],
  'certificates.k8s.io/certificatesigningrequests': ['create', 'get', 'list', 'watch'],
  'node.k8s.io/runtimeclasses': ['get', 'list', 'watch'],
  'storage.k8s.io/csidrivers': ['get', 'list', 'watch'],
};

/** Tokens for the accounts of pods that run there. */
function accountVerdict(self: string | undefined, a: Attributes, view: PodView): Verdict {
  if (a.subresource !== 'token' || a.verb !== 'create') return no;
  for (const pod of view.podsIn(a.namespace))
    if (onNode(pod, self) && (pod.spec.serviceAccountName || 'default') === a.name) return yes;
  return noBecause(noRelation(self));
}

interface Leading extends KubeObject {
  spec?: { nodeName?: string; claimRef?: { namespace?: string; name?: string } };
}

/** Claims that pods on the node name, the volumes that these are bound to, and attachments to the node. */
function storageVerdict(self: string | undefined, a: Attributes, view: PodView): Verdict {
  const { resource, verb, subresource, namespace, name } = a;
  const isClaim = resource === 'persistentvolumeclaims';
  const mayAsk = subresource === '' ? verb === 'get' : isClaim && subresource === 'status' && verb !== 'create';
  if (!mayAsk || name === '') return no;
  const claims = (where: string, claim: string): boolean => {
    for (const pod of view.podsIn(where)) if (onNode(pod, self) && claimsOf(pod).includes(claim)) return true;
    return false;
  };
  const spec = isClaim ? undefined : (view.named(a.group, resource, name) as Leading | undefined)?.spec;
  const related = isClaim
    ? claims(namespace, name)
    : resource === 'volumeattachments'
      ? spec?.nodeName !== undefined && (self === undefined || spec.nodeName === self)
      : claims(spec?.claimRef?.namespace ?? '', spec?.claimRef?.name ?? '');
  return related ? yes : noBecause(noRelation(self));
}

const claimsOf = ({ metadata, spec }: Readonly<Pod>): string[] =>
  (spec.volumes ?? []).flatMap(({ name, persistentVolumeClaim, ephemeral }) => {
    if (ephemeral) return [`${metadata.name}-${name}`];
    const claim = (persistentVolumeClaim as { claimName?: string } | undefined)?.claimName;
    return claim ? [claim] : [];
  });

const onNode = (pod: Readonly<Pod>, self: string | undefined): boolean =>
  Boolean(pod.spec.nodeName) && (self === undefined || pod.spec.nodeName === self);

function podVerdict(self: string | undefined, a: Attributes, view: PodView): Verdict {
  const { verb, subresource, name, namespace, fieldSelector } = a;
  if (reads.has(verb) && verb !== 'get' && subresource === '') {
    const asked = /(?:^|,)spec\.nodeName==?([^,]+)(?:,|$)/.exec(fieldSelector)?.[1];
    if (asked !== undefined && (self === undefined || asked === self)) return yes;
    return noBecause('can only list/watch pods with spec.nodeName field selector');
  }
  // Only mirrors of its static pods: NodeRestriction sees to it.
  if (verb === 'create' && subresource === '') return yes;
  const isStatus = changes.has(verb) && subresource === 'status';
  const isPlain = ['get', 'delete'].includes(verb) && subresource === '';
  if (!isStatus && !isPlain) return no;
  const pod = view.pod(namespace, name);
  // What is not there is answered with 404, which tells nothing.
  if (!pod || onNode(pod, self)) return yes;
  if (verb === 'get') return noBecause(noRelation(self));
  return noBecause(
    `node ${self === undefined ? 'without a name' : `"${self}"`} can only ${isStatus ? 'update pod status for' : 'delete'} pods with spec.nodeName set to itself`,
  );
}

const noRelation = (self: string | undefined): string =>
  `no relationship found between ${self === undefined ? 'any node' : `node '${self}'`} and this object`;

/** By which a kubelet goes on knowing us when our CA is replaced. */
const isRootCa = ({ resource, namespace, name }: Attributes): boolean =>
  resource === 'configmaps' && namespace === 'kube-system' && name === 'kube-root-ca.crt';

/** Only by name, and only what a pod on the node names. */
function referenceVerdict(self: string | undefined, a: Attributes, view: PodView): Verdict {
  if (!reads.has(a.verb) || a.subresource !== '') return noBecause('can only read resources of this type');
  if (a.name === '') return noBecause('No Object name found');
  if (isRootCa(a)) return yes;
  for (const pod of view.podsIn(a.namespace)) if (onNode(pod, self) && references(pod, a.resource, a.name)) return yes;
  if (a.resource === 'secrets' && ofVolume(self, a, view)) return yes;
  return noBecause(noRelation(self));
}

/** The login of a volume that a pod on the node claims. */
function ofVolume(self: string | undefined, { namespace, name }: Attributes, view: PodView): boolean {
  for (const volume of view.volumes()) {
    const { csi = {}, claimRef } = (volume as LoggedIn).spec ?? {};
    const names = Object.values(csi).some((ref) => (ref as Ref)?.name === name && (ref as Ref).namespace === namespace);
    if (!names || !claimRef?.name) continue;
    for (const pod of view.podsIn(claimRef.namespace ?? ''))
      if (onNode(pod, self) && claimsOf(pod).includes(claimRef.name)) return true;
  }
  return false;
}

interface Ref {
  name?: string;
  namespace?: string;
}

interface LoggedIn extends KubeObject {
  spec?: { csi?: Record<string, unknown>; claimRef?: Ref };
}

interface ProjectedSource {
  secret?: { name?: string };
  configMap?: { name?: string };
}

function references({ spec }: Readonly<Pod>, resource: string, name: string): boolean {
  const isSecret = resource === 'secrets';
  if (isSecret && spec.imagePullSecrets?.some((secret) => secret.name === name)) return true;
  for (const { secret, configMap, projected, csi } of spec.volumes ?? []) {
    if ((isSecret ? secret?.secretName : configMap?.name) === name) return true;
    const { nodePublishSecretRef: login } = (csi ?? {}) as { nodePublishSecretRef?: Ref };
    if (isSecret && login?.name === name) return true;
    const { sources = [] } = (projected ?? {}) as { sources?: ProjectedSource[] };
    if (sources.some((source) => (isSecret ? source.secret : source.configMap)?.name === name)) return true;
  }
  const inContainer = ({ env, envFrom }: Container) =>
    env?.some(({ valueFrom: from }) => (isSecret ? from?.secretKeyRef : from?.configMapKeyRef)?.name === name) ||
    envFrom?.some((from) => (isSecret ? from.secretRef : from.configMapRef)?.name === name);
  return [...(spec.initContainers ?? []), ...spec.containers, ...(spec.ephemeralContainers ?? [])].some(inContainer);
}
