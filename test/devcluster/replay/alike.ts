/** What two answers have to have in common: everything but what differs from run to run. */
import { at, entriesAt, listAt, numberAt, textAt } from './json.ts';

const volatile = new Set(['timestamp', 'uuid', 'container_status', 'unreachable_time', 'nanoseconds']);

const unordered = new Set(['resources', 'total_resources', 'executor_ids', 'agents']);

/** Without what differs from run to run. Order of repeated resources does not matter. */
export function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value === 'string')
    return sorted(value.replace(/(container '|runs\/)[0-9a-f-]{36}/, '$1…').replace(/'[^' ]+\/slaves\//, "'…/slaves/"));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key]) => !volatile.has(key))
      .sort(([one], [other]) => (one < other ? -1 : 1))
      .map(([key, inner]) => [
        key,
        unordered.has(key) && Array.isArray(inner) ? inner.map(plain).sort(byText) : plain(inner),
      ]),
  );
}

/** Mesos lists resources in no particular order in its sentences either. */
export function sorted(text: string): string {
  const [, before, list, missing] = /^((?:Invalid \w+ operation: )?)(.*) does not contain (.*)$/.exec(text) ?? [];
  if (list === undefined || missing === undefined) return text;
  const inOrder = (items: string) => items.split('; ').sort().join('; ');
  return `${before}${inOrder(list)} does not contain ${inOrder(missing)}`;
}

const byText = (a: unknown, b: unknown): number => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1);

const without = (value: unknown, ...names: readonly string[]): object =>
  Object.fromEntries(entriesAt(value).filter(([name]) => !names.includes(name)));

/** What is offered. */
export const offerOf = (offer: unknown): unknown => plain(without(offer, 'id', 'framework_id', 'agent_id', 'url'));

// --- GET_CONTAINERS ---------------------------------------------------------------------------------------------------

export const containersIn = (answer: unknown): unknown[] => listAt(answer, 'get_containers', 'containers');
export const containerId = (container: unknown): string | undefined => textAt(container, 'container_id', 'value');
export const executorOf = (container: unknown): string | undefined => textAt(container, 'executor_id', 'value');

/** Executors that come with Mesos are no processes of their own here: their containers are compared without. */
export const builtinIn = (answer: unknown): ReadonlySet<string | undefined> =>
  new Set(
    containersIn(answer)
      .filter((one) => at(one, 'container_status', 'executor_pid') === undefined)
      .map(containerId),
  );

/** Without numbers of processes, and what they used. */
export const containersOf = (answer: unknown, builtin: ReadonlySet<string | undefined>): unknown[] =>
  containersIn(answer)
    .map((one) => containerOf(one, builtin.has(containerId(one))))
    .sort(byText);

function containerOf(container: unknown, isBuiltin: boolean): unknown {
  const rest = without(container, 'container_status', 'resource_statistics');
  const id = at(container, 'container_status', 'container_id');
  if (isBuiltin) return plain({ ...rest, id });
  const statistics = at(container, 'resource_statistics');
  const limits = entriesAt(statistics).filter(([name]) => /limit/.test(name));
  return plain({
    ...rest,
    id,
    hasPid: typeof at(container, 'container_status', 'executor_pid'),
    limits: limits.map(([name]) => [name, Math.round((numberAt(statistics, name) ?? 0) * 1000)]).sort(byText),
  });
}
