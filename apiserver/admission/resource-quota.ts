import type { Kind } from '../../api/kind.ts';
import type { Container, Pod } from '../../api/kinds/pod.ts';
import { ResourceQuota } from '../../api/kinds/resource-quota.ts';
import { sum, type Quantities } from '../../api/pod-resources.ts';
import { addQuantities, compareQuantities } from '../../api/quantity.ts';
import { inScope, usageOf } from '../../api/quota.ts';
import { self } from '../auth/user.ts';
import type { Feed } from '../feed.ts';
import type { Registry } from '../registry.ts';
import type { AdmissionRequest, AdmissionRule } from './order.ts';
import { containersOf, refusal, writes } from './requests.ts';

const kindOfQuotas = ResourceQuota as Kind;
const options = { dryRun: false, user: self, fieldManager: 'kube-apiserver', subresource: 'status' };

/** Reserves of one quota: its key, and by how much its `status.used` was raised. */
interface Reserved {
  key: string;
  delta: Quantities;
}

/**
 * Nothing is made that a quota of its namespace has no room for. What an object uses is added to the quota's status
 * before the object is written, only if nobody else wrote that status meanwhile: so two apiservers never give out the
 * same room. What objects give back when they go is counted anew by the quota controller.
 */
export const resourceQuota = (feed: Feed, registry: () => Registry): AdmissionRule => {
  /** One reservation at a time in a namespace: in a crowd nearly every other attempt would find the status changed. */
  const turns = new Map<string, Promise<unknown>>();
  const inTurn = <T>(namespace: string, work: () => Promise<T>): Promise<T> => {
    const turn = (turns.get(namespace) ?? Promise.resolve()).then(work, work);
    turns.set(namespace, turn);
    const done = () => {
      if (turns.get(namespace) === turn) turns.delete(namespace);
    };
    turn.then(done, done);
    return turn;
  };
  return {
    name: 'ResourceQuota',
    allocate: (request) => {
      const { kind, object } = request;
      const namespace = object.metadata.namespace ?? '';
      const quotas = feed.cache(ResourceQuota);
      if (
        quotas.size === 0 ||
        !kind.namespaced ||
        kind.plural === 'events' ||
        !writes(request, kind.plural, kind.group)
      )
        return Promise.resolve(undefined);
      const wanted = quotas
        .list(namespace)
        .flatMap(({ key, object: quota }) => wish(key, quota as ResourceQuota, request));
      if (wanted.length === 0) return Promise.resolve(undefined);
      return inTurn(namespace, () => reserve(registry(), request, wanted));
    },
  };
};

/** By how much the request would raise a quota: at most one, and none where it raises nothing. */
function wish(key: string, quota: Readonly<ResourceQuota>, request: AdmissionRequest): Reserved[] {
  const { kind, object, old } = request;
  const hard = quota.spec?.hard ?? {};
  const now = inScope(quota, kind, object) ? usageOf(kind, object) : {};
  const before = old && inScope(quota, kind, old) ? usageOf(kind, old) : {};
  const tracked = Object.keys(hard).filter((name) => name in now || name in before || isCompute(name));
  if (kind.plural === 'pods' && kind.group === '' && !old && inScope(quota, kind, object))
    checkSpecified(quota, tracked, request);
  const delta: Quantities = {};
  for (const name of tracked) {
    const change = addQuantities(now[name] ?? '0', before[name] ?? '0', -1n);
    if (compareQuantities(change, '0') > 0) delta[name] = change;
  }
  return Object.keys(delta).length > 0 ? [{ key, delta }] : [];
}

const compute = new Set([...['cpu', 'memory', 'requests.cpu', 'requests.memory', 'limits.cpu', 'limits.memory']]);
const isCompute = (name: string): boolean => compute.has(name);

/** Where cpu and memory are counted, every container must say how much it takes. */
function checkSpecified(quota: Readonly<ResourceQuota>, tracked: readonly string[], request: AdmissionRequest): void {
  const containers = containersOf((request.object as Pod).spec);
  const lacking = tracked.filter(isCompute).flatMap((name) => {
    const without = containers.filter((container) => !specifies(container, name)).map((container) => container.name);
    return without.length > 0 ? [`${name} for: ${without.sort().join(',')}`] : [];
  });
  if (lacking.length > 0)
    throw refusal(request, `failed quota: ${quota.metadata.name}: must specify ${lacking.sort().join('; ')}`);
}

function specifies({ resources }: Container, name: string): boolean {
  const [part, resource] = name.includes('.') ? name.split('.') : ['requests', name];
  return resources?.[part as 'requests' | 'limits']?.[resource!] !== undefined;
}

async function reserve(
  registry: Registry,
  request: AdmissionRequest,
  wanted: readonly Reserved[],
): Promise<(() => Promise<void>) | undefined> {
  const reserved: Reserved[] = [];
  const giveBack = async () => {
    for (const { key, delta } of reserved.splice(0)) await change(registry, key, delta, -1n);
  };
  try {
    for (const one of wanted) {
      await registry.update(
        kindOfQuotas,
        one.key,
        'status',
        { ...options, dryRun: request.options.dryRun },
        (current) => {
          const quota = current as ResourceQuota;
          checkRoom(quota, one.delta, request);
          quota.status!.used = sum(quota.status!.used ?? {}, one.delta);
          return quota;
        },
      );
      if (!request.options.dryRun) reserved.push(one);
    }
  } catch (error) {
    await giveBack();
    throw error;
  }
  return giveBack;
}

function checkRoom({ metadata, status }: ResourceQuota, delta: Quantities, request: AdmissionRequest): void {
  const names = Object.keys(delta).sort();
  const unknown = names.filter((name) => status?.hard?.[name] === undefined || status.used?.[name] === undefined);
  if (unknown.length > 0)
    throw refusal(request, `status unknown for quota: ${metadata.name}, resources: ${unknown.join(',')}`);
  const { hard = {}, used = {} } = status!;
  const over = names.filter((name) => compareQuantities(addQuantities(used[name]!, delta[name]!), hard[name]!) > 0);
  if (over.length === 0) return;
  const shown = (amounts: Record<string, string>) => over.map((name) => `${name}=${amounts[name]}`).join(',');
  throw refusal(
    request,
    `exceeded quota: ${metadata.name}, requested: ${shown(delta)}, used: ${shown(used)}, limited: ${shown(hard)}`,
  );
}

async function change(registry: Registry, key: string, delta: Quantities, sign: 1n | -1n): Promise<void> {
  await registry.update(kindOfQuotas, key, 'status', options, (current) => {
    const quota = current as ResourceQuota;
    for (const [name, amount] of Object.entries(delta)) {
      const left = addQuantities(quota.status?.used?.[name] ?? '0', amount, sign);
      quota.status!.used![name] = compareQuantities(left, '0') < 0 ? '0' : left;
    }
    return quota;
  });
}
