import type { Kind } from '../../api/kind.ts';
import { APIService } from '../../api/kinds/api-service.ts';
import { isAlreadyExists } from '../../api/status.ts';
import { serverWrites } from '../call.ts';
import { self } from '../auth/user.ts';
import type { KindTable } from '../kinds.ts';
import type { Registry } from '../registry.ts';

const managed = 'kube-aggregator.kubernetes.io/automanaged';
const kind = APIService as Kind<never> as Kind;

/** Groups that clients prefer come first; the others follow by name. */
const priorities: Readonly<Record<string, number>> = {
  '': 18_000,
  'apiregistration.k8s.io': 18_000,
  apps: 17_800,
  'events.k8s.io': 17_750,
  'authentication.k8s.io': 17_700,
  'authorization.k8s.io': 17_600,
  autoscaling: 17_500,
  batch: 17_400,
  'certificates.k8s.io': 17_300,
  'networking.k8s.io': 17_200,
  policy: 17_100,
  'rbac.authorization.k8s.io': 17_000,
  'storage.k8s.io': 16_800,
  'apiextensions.k8s.io': 16_700,
  'admissionregistration.k8s.io': 16_700,
  'scheduling.k8s.io': 16_600,
  'coordination.k8s.io': 16_500,
  'node.k8s.io': 16_300,
  'discovery.k8s.io': 16_200,
  'flowcontrol.apiserver.k8s.io': 16_100,
};

/** An APIService for each group version that this server serves itself; those of custom resources go with them. */
export async function localServices(registry: Registry, kinds: KindTable): Promise<void> {
  const cache = registry.feed.cache(APIService);
  const wanted = new Map<string, APIService>();
  for (const served of kinds.all) {
    const service = localService(served);
    wanted.set(service.metadata.name!, service);
  }
  const options = serverWrites(self);
  for (const [name, service] of wanted)
    if (!cache.get(name))
      await registry.create(kind, service, '', options).catch((error: unknown) => {
        if (!isAlreadyExists(error)) throw error;
      });
  for (const entry of cache.list()) {
    const { spec, metadata } = entry.object as Readonly<APIService>;
    if (!wanted.has(entry.key) && !spec.service && metadata.labels?.[managed] === 'true')
      await registry.remove(kind, entry, options);
  }
}

function localService({ group, version, schema }: Kind): APIService {
  const isCustom = schema !== undefined;
  return {
    apiVersion: APIService.apiVersion,
    kind: APIService.kind,
    metadata: { name: `${version}.${group}`, labels: { [managed]: isCustom ? 'true' : 'onstart' } },
    spec: {
      ...(group ? { group } : {}),
      version,
      groupPriorityMinimum: priorities[group] ?? 1000,
      versionPriority: isCustom ? 100 : 15,
    },
  };
}
