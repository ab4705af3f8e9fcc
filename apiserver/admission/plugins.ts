import { list, number, text, type Values } from '../../lib/options.ts';
import type { Authorizer } from '../auth/authorize.ts';
import type { Lookup } from '../auth/lookup.ts';
import type { Feed } from '../feed.ts';
import type { Registry } from '../registry.ts';
import type { Store } from '../store.ts';
import { alwaysPullImages } from './always-pull-images.ts';
import { certificateApproval, certificateSigning, certificateSubjectRestriction } from './certificates.ts';
import { defaultIngressClass } from './default-ingress-class.ts';
import { defaultStorageClass } from './default-storage-class.ts';
import { defaultTolerationSeconds } from './default-toleration-seconds.ts';
import { denyServiceExternalIps } from './deny-service-external-ips.ts';
import { extendedResourceToleration } from './extended-resource-toleration.ts';
import { limitRanger } from './limit-ranger.ts';
import { namespaceLifecycle } from './namespace-lifecycle.ts';
import { nodeRestriction } from './node-restriction.ts';
import type { AdmissionRule } from './order.ts';
import { ownerReferencesPermission } from './owner-references-permission.ts';
import { persistentVolumeClaimResize } from './persistent-volume-claim-resize.ts';
import { podNodeSelector } from './pod-node-selector.ts';
import { podSecurity } from './pod-security.ts';
import { podTolerationRestriction } from './pod-toleration-restriction.ts';
import { podTopologyLabels } from './pod-topology-labels.ts';
import { priority } from './priority.ts';
import { resourceDefaults } from './resource-defaults.ts';
import { resourceQuota } from './resource-quota.ts';
import { runtimeClass } from './runtime-class.ts';
import { serviceAccount } from './service-account.ts';
import { storageObjectInUseProtection } from './storage-object-in-use-protection.ts';
import { mutatingWebhooks, validatingWebhooks } from '../webhooks/admission-webhooks.ts';
import type { WebhookCaller } from '../webhooks/caller.ts';
import type { World } from '../webhooks/matching.ts';
import { mutatingPolicies } from '../webhooks/mutating-policies.ts';
import { validatingPolicies } from '../webhooks/validating-policies.ts';
import type { KindTable } from '../kinds.ts';
import { taintNodesByCondition } from './taint-nodes-by-condition.ts';

export const admissionOptions = {
  enableAdmissionPlugins: list('Admission plugins beside those that are on by default', [], '<name,name>'),
  disableAdmissionPlugins: list('Admission plugins that are not wanted', [], '<name,name>'),
  defaultNotReadyTolerationSeconds: number('Seconds that pods stay on a node that is not ready', 300),
  defaultUnreachableTolerationSeconds: number('Seconds that pods stay on a node that cannot be reached', 300),
  defaultContainerCpuLimit: text('Cpu of containers that ask for none, with MesosResourceDefaults', '250m', '<amount>'),
  defaultContainerMemLimit: text('Memory of containers that ask for none, likewise', '64Mi', '<amount>'),
} as const;

export type AdmissionOptions = Values<typeof admissionOptions>;

/** What plugins may look at. */
export interface Surroundings {
  feed: Feed;
  store: Store;
  /** The kinds that are served at the moment. */
  table: KindTable;
  webhooks: WebhookCaller;
  authorizer: Authorizer;
  lookup: Lookup;
  /** There only when the first request comes. */
  registry: () => Registry;
  /** False where the server has no key to sign service-account tokens with. */
  mountsTokens: boolean;
}

interface Plugin {
  name: string;
  isOn: boolean;
  make: (around: Surroundings, options: AdmissionOptions) => AdmissionRule;
}

const on = (name: string, make: Plugin['make']): Plugin => ({ name, isOn: true, make });
const off = (name: string, make: Plugin['make']): Plugin => ({ name, isOn: false, make });

const worldOf = ({ feed, table, authorizer }: Surroundings): World => ({ feed, kinds: table, authorizer });

/**
 * Every plugin in Kubernetes' order, and whether it is on by default. Two of them need controllers that undo what they do:
 * without km controller-manager nodes stay tainted and claims cannot be deleted.
 */
const plugins: readonly Plugin[] = [
  on('NamespaceLifecycle', ({ feed, store }) => namespaceLifecycle(feed, store)),
  on('LimitRanger', ({ feed }) => limitRanger(feed)),
  on('ServiceAccount', ({ lookup, mountsTokens }) => serviceAccount(lookup, mountsTokens)),
  on('NodeRestriction', () => nodeRestriction),
  on('TaintNodesByCondition', () => taintNodesByCondition),
  on('PodTopologyLabels', ({ feed }) => podTopologyLabels(feed)),
  off('AlwaysPullImages', () => alwaysPullImages),
  on('PodSecurity', ({ feed }) => podSecurity(feed)),
  off('PodNodeSelector', ({ feed }) => podNodeSelector(feed)),
  on('Priority', ({ feed }) => priority(feed)),
  on('DefaultTolerationSeconds', (_around, o) =>
    defaultTolerationSeconds({
      notReady: o.defaultNotReadyTolerationSeconds,
      unreachable: o.defaultUnreachableTolerationSeconds,
    }),
  ),
  off('PodTolerationRestriction', ({ feed }) => podTolerationRestriction(feed)),
  off('ExtendedResourceToleration', () => extendedResourceToleration),
  off('MesosResourceDefaults', (_around, o) =>
    resourceDefaults({
      standard: { cpu: o.defaultContainerCpuLimit, memory: o.defaultContainerMemLimit },
      least: { cpu: '10m', memory: '4Mi' },
    }),
  ),
  on('DefaultStorageClass', ({ feed }) => defaultStorageClass(feed)),
  on('StorageObjectInUseProtection', () => storageObjectInUseProtection),
  off('OwnerReferencesPermissionEnforcement', ({ authorizer, table }) =>
    ownerReferencesPermission(authorizer, () => table.kinds),
  ),
  on('PersistentVolumeClaimResize', ({ feed }) => persistentVolumeClaimResize(feed)),
  on('RuntimeClass', ({ feed }) => runtimeClass(feed)),
  on('CertificateApproval', ({ authorizer }) => certificateApproval(authorizer)),
  on('CertificateSigning', ({ authorizer }) => certificateSigning(authorizer)),
  on('CertificateSubjectRestriction', () => certificateSubjectRestriction),
  on('DefaultIngressClass', ({ feed }) => defaultIngressClass(feed)),
  off('DenyServiceExternalIPs', () => denyServiceExternalIps),
  on('MutatingAdmissionPolicy', (around) => mutatingPolicies(worldOf(around))),
  on('MutatingAdmissionWebhook', (around) => mutatingWebhooks(worldOf(around), around.webhooks)),
  on('ValidatingAdmissionPolicy', (around) => validatingPolicies(worldOf(around))),
  on('ValidatingAdmissionWebhook', (around) => validatingWebhooks(worldOf(around), around.webhooks)),
  on('ResourceQuota', ({ feed, registry }) => resourceQuota(feed, registry)),
];

/** The plugins that the options leave, in their order. Throws an Error that lists the names there are. */
export function chosenPlugins(o: AdmissionOptions, around: Surroundings): AdmissionRule[] {
  const names = new Set(plugins.map(({ name }) => name));
  for (const name of [...o.enableAdmissionPlugins, ...o.disableAdmissionPlugins])
    if (!names.has(name))
      throw new Error(`there is no admission plugin "${name}"; there are ${[...names].sort().join(', ')}`);
  const both = o.enableAdmissionPlugins.find((name) => o.disableAdmissionPlugins.includes(name));
  if (both) throw new Error(`the admission plugin "${both}" cannot be enabled and disabled at once`);
  const isChosen = ({ name, isOn }: Plugin) =>
    !o.disableAdmissionPlugins.includes(name) && (isOn || o.enableAdmissionPlugins.includes(name));
  return plugins.filter(isChosen).map(({ make }) => make(around, o));
}
