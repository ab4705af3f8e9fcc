import type { Kind } from '../api/kind.ts';
import { Namespace } from '../api/kinds/namespace.ts';
import { PriorityClass, systemPriorities } from '../api/kinds/priority-class.ts';
import { Service } from '../api/kinds/service.ts';
import type { KubeObject } from '../api/meta.ts';
import { isAlreadyExists } from '../api/status.ts';
import { self } from './auth/user.ts';
import { firstAddress } from './cidr.ts';
import type { Registry } from './registry.ts';

const options = { dryRun: false, user: self, fieldManager: 'kube-apiserver' };

const descriptions: Readonly<Record<string, string>> = {
  'system-node-critical': 'For pods that must not leave the node they run on.',
  'system-cluster-critical': 'For pods that the cluster cannot do without, wherever they run.',
};

/** Makes what every cluster has, where it is missing: the system's namespaces and the service by which pods find the API. */
export async function bootstrap(registry: Registry, serviceCidr: string, port: number): Promise<void> {
  for (const name of ['default', 'kube-system', 'kube-public', 'kube-node-lease'])
    await ensure(registry, Namespace as Kind, { metadata: { name } }, '');
  for (const [name, value] of Object.entries(systemPriorities)) {
    const description = descriptions[name]!;
    await ensure(
      registry,
      PriorityClass as Kind<never> as Kind,
      { metadata: { name }, value, description } as PriorityClass,
      '',
    );
  }
  const service: Service = {
    metadata: { name: 'kubernetes', namespace: 'default', labels: { component: 'apiserver', provider: 'kubernetes' } },
    spec: {
      type: 'ClusterIP',
      clusterIP: firstAddress(serviceCidr),
      clusterIPs: [firstAddress(serviceCidr)],
      ports: [{ name: 'https', port: 443, protocol: 'TCP', targetPort: port }],
    },
  };
  await ensure(registry, Service as Kind<never> as Kind, service, 'default');
}

async function ensure(registry: Registry, kind: Kind, object: KubeObject, namespace: string): Promise<void> {
  const key = namespace ? `${namespace}/${object.metadata.name}` : object.metadata.name!;
  if (registry.feed.cache(kind).get(key) ?? (await registry.read(kind, key))) return;
  try {
    await registry.create(kind, object, namespace, options);
  } catch (error) {
    // Another apiserver was quicker.
    if (!isAlreadyExists(error)) throw error;
  }
}
