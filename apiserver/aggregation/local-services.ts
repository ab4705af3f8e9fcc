import type { Kind } from '../../api/kind.ts';
import { APIService } from '../../api/kinds/api-service.ts';
import { isAlreadyExists } from '../../api/status.ts';
import { serverWrites } from '../call.ts';
import { self } from '../auth/user.ts';
import type { KindTable } from '../kinds.ts';
import type { Registry } from '../registry.ts';
import { localPriority } from './priorities.ts';

const managed = 'kube-aggregator.kubernetes.io/automanaged';
const kind = APIService as Kind<never> as Kind;

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

function localService(served: Kind): APIService {
  const { group, version, schema } = served;
  const priority = localPriority(served);
  return {
    apiVersion: APIService.apiVersion,
    kind: APIService.kind,
    metadata: { name: `${version}.${group}`, labels: { [managed]: schema === undefined ? 'onstart' : 'true' } },
    spec: {
      ...(group ? { group } : {}),
      version,
      groupPriorityMinimum: priority.group,
      versionPriority: priority.version,
    },
  };
}
