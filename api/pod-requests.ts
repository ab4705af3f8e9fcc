import type { Container, Pod } from './kinds/pod.ts';
import { milli, quantity } from './quantity.ts';

/** Amounts by resource name: `cpu` in thousandths of a core, everything else in its unit (bytes, pieces). */
export type Amounts = Record<string, number>;

/** Text as the API writes it → a number in the unit of Amounts. */
export const amountOf = (resource: string, text: string): number => (resource === 'cpu' ? milli(text) : quantity(text));

/**
 * What a pod needs at once: the sum of its containers and sidecars, or the largest init container with the sidecars
 * started before it, whichever is more, or what the pod asks for as a whole, plus overhead.
 * https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/#resource-sharing-within-containers
 */
export function podRequests(pod: Pod): Amounts {
  const running = sum(pod.spec.containers.map(requestsOf));
  const sidecars: Amounts = {};
  let starting: Amounts = {};
  for (const container of pod.spec.initContainers ?? []) {
    const own = requestsOf(container);
    if (container.restartPolicy === 'Always') add(sidecars, own);
    starting = max(starting, sum([sidecars, container.restartPolicy === 'Always' ? {} : own]));
  }
  const total = { ...max(sum([running, sidecars]), starting), ...requestsOf(pod.spec) };
  for (const [name, text] of Object.entries(pod.spec.overhead ?? {}))
    total[name] = (total[name] ?? 0) + amountOf(name, text);
  return total;
}

/** A limit without a request is a request, as the apiserver's defaults say too. */
function requestsOf({ resources }: Pick<Container, 'resources'>): Amounts {
  const texts = { ...resources?.limits, ...resources?.requests };
  return Object.fromEntries(Object.entries(texts).map(([name, text]) => [name, amountOf(name, text)]));
}

function sum(all: readonly Amounts[]): Amounts {
  const total: Amounts = {};
  for (const amounts of all) add(total, amounts);
  return total;
}

function add(total: Amounts, amounts: Amounts): void {
  for (const [name, amount] of Object.entries(amounts)) total[name] = (total[name] ?? 0) + amount;
}

function max(a: Amounts, b: Amounts): Amounts {
  const most = { ...a };
  for (const [name, amount] of Object.entries(b)) most[name] = Math.max(most[name] ?? 0, amount);
  return most;
}
