import type { Container, PodSpec } from './kinds/pod.ts';
import { addQuantities, compareQuantities } from './quantity.ts';

/** Quantities by resource name, as the API writes them. */
export type Quantities = Record<string, string>;

/**
 * What a pod asks for at once, exactly: its containers and sidecars, or the largest init container with the sidecars
 * before it, or what the pod asks for as a whole, plus overhead. `requests` counts a limit as a request where there is none,
 * as the defaults do.
 */
export function podResources(spec: PodSpec, what: 'requests' | 'limits'): Quantities {
  const total = { ...containersResources(spec, what), ...spec.resources?.[what] };
  return what === 'requests' || Object.keys(total).length > 0 ? withOverhead(total, spec, what) : total;
}

/** The same of the containers alone. */
export function containersResources(spec: PodSpec, what: 'requests' | 'limits'): Quantities {
  const own = (container: Container): Quantities => ({ ...container.resources?.[what] });
  const running = (spec.containers ?? []).map(own).reduce(sum, {});
  let sidecars: Quantities = {};
  let starting: Quantities = {};
  for (const container of spec.initContainers ?? []) {
    const isSidecar = container.restartPolicy === 'Always';
    if (isSidecar) sidecars = sum(sidecars, own(container));
    starting = most(starting, isSidecar ? sidecars : sum(sidecars, own(container)));
  }
  return most(sum(running, sidecars), starting);
}

function withOverhead(total: Quantities, { overhead = {} }: PodSpec, what: 'requests' | 'limits'): Quantities {
  // A limit that is not there is no limit, with overhead or without.
  const counted = Object.entries(overhead).filter(([name]) => what === 'requests' || name in total);
  return sum(total, Object.fromEntries(counted));
}

export function sum(a: Quantities, b: Quantities): Quantities {
  const total = { ...a };
  for (const [name, amount] of Object.entries(b)) total[name] = addQuantities(total[name] ?? '0', amount);
  return total;
}

function most(a: Quantities, b: Quantities): Quantities {
  const out = { ...a };
  for (const [name, amount] of Object.entries(b))
    if (out[name] === undefined || compareQuantities(amount, out[name]) > 0) out[name] = amount;
  return out;
}

/**
 * A limit of the pod as a whole, overhead included; undefined where it has none. It holds when the pod names it, or when every
 * container has one: a container without one may take what there is.
 */
export function podLimit(spec: PodSpec, name: 'cpu' | 'memory'): string | undefined {
  const all = [...spec.containers, ...(spec.initContainers ?? [])];
  const isLimited =
    spec.resources?.limits?.[name] !== undefined ||
    all.every(({ resources }) => compareQuantities(resources?.limits?.[name] ?? '0', '0') > 0);
  return isLimited ? podResources(spec, 'limits')[name] : undefined;
}
