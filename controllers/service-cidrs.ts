import { contains, isStrictSubset, parseAddress, parseCidr, type Cidr } from '../api/cidr.ts';
import { IPAddress, isAllocated } from '../api/kinds/ip-address.ts';
import { ServiceCIDR } from '../api/kinds/service-cidr.ts';
import { timestamp, type Condition, type Stored } from '../api/meta.ts';
import { isNotFound } from '../api/status.ts';
import { type Reconciler, type World, watching } from '../client/reconcile.ts';
import { equal } from '../lib/equal.ts';

const finalizer = 'networking.k8s.io/service-cidr-finalizer';
/** An apiserver gives addresses out of a range until it has heard that the range is deleted. Milliseconds. */
const graceMs = 10_000;

type Range = ServiceCIDR & Stored;

/** A range of Service addresses is ready, and when it is deleted it stays while Services would be left without one. */
export function serviceCidrs({ client, informer, now }: World): Reconciler {
  const ranges = informer(ServiceCIDR);
  const addresses = informer(IPAddress);
  const ending = () =>
    [...ranges.list()].filter(({ metadata }) => metadata.deletionTimestamp).map(({ metadata }) => metadata.name);

  const isNeeded = (range: Range): boolean => {
    const stays = ({ metadata }: Range) => metadata.name !== range.metadata.name && !metadata.deletionTimestamp;
    const others = [...ranges.list()].filter(stays).flatMap(cidrsOf);
    const own = cidrsOf(range);
    if (own.every((cidr) => others.some((other) => isWithin(cidr, other)))) return false;
    return [...addresses.list()].filter(isAllocated).some(({ metadata }) => {
      const address = parseAddress(metadata.name);
      const has = (cidr: Cidr) => address !== undefined && contains(cidr, address);
      return own.some(has) && !others.some(has);
    });
  };

  async function tell(range: Range, condition: Condition, signal: AbortSignal): Promise<void> {
    const known = range.status?.conditions?.find(({ type }) => type === 'Ready');
    const { lastTransitionTime, ...before } = known ?? { lastTransitionTime: undefined };
    if (equal(before, condition)) return;
    const isSame = known?.status === condition.status && lastTransitionTime;
    const conditions = [{ ...condition, lastTransitionTime: isSame ? lastTransitionTime : timestamp(now()) }];
    await client.patch(ServiceCIDR, range.metadata, { status: { conditions } }, { subresource: 'status' }, signal);
  }

  async function keep(range: Range, finalizers: string[], signal: AbortSignal): Promise<void> {
    const { uid, resourceVersion } = range.metadata;
    await client
      .patch(ServiceCIDR, range.metadata, { metadata: { uid, resourceVersion, finalizers } }, {}, signal)
      .catch((error: unknown) => {
        if (!isNotFound(error)) throw error;
      });
  }

  return {
    name: 'service-cidrs',
    watches: [
      watching(ranges, ({ object }) => [object.metadata.name, ...ending()]),
      watching(addresses, ({ type }) => (type === 'deleted' ? ending() : [])),
    ],
    async reconcile(name, signal) {
      const range = ranges.get(name);
      if (!range) return;
      const { deletionTimestamp, finalizers = [] } = range.metadata;
      if (!deletionTimestamp) {
        if (!finalizers.includes(finalizer)) return keep(range, [...finalizers, finalizer], signal);
        // The one that the apiserver makes tells itself that it is ready.
        if (range.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True')) return;
        const message = 'Kubernetes Service CIDR is ready';
        return tell(range, { type: 'Ready', status: 'True', reason: '', message }, signal);
      }
      if (!finalizers.includes(finalizer)) return;
      if (isNeeded(range)) {
        const message =
          'There are still IPAddresses referencing the ServiceCIDR, please remove them or create a new ServiceCIDR';
        return tell(range, { type: 'Ready', status: 'False', reason: 'Terminating', message }, signal);
      }
      const again = Date.parse(deletionTimestamp) + graceMs - now();
      if (again > 0) return { again };
      return keep(
        range,
        finalizers.filter((one) => one !== finalizer),
        signal,
      );
    },
  };
}

const cidrsOf = ({ spec }: ServiceCIDR): Cidr[] => (spec?.cidrs ?? []).flatMap((text) => parseCidr(text) ?? []);

const isWithin = (inner: Cidr, outer: Cidr): boolean => equal(inner, outer) || isStrictSubset(inner, outer);
