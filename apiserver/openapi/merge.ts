import { equal } from '../../lib/equal.ts';
import type { Json } from './documents.ts';

/** Swagger 2.0 of a server behind the aggregator, and the group version that is taken of it. */
export interface Addition {
  group: string;
  version: string;
  document: Json;
}

/**
 * Swagger 2.0 with the paths of other servers, and the definitions that those need. A definition of a name that is taken by
 * another one is renamed, as kube-aggregator does: `ObjectMeta_v2`.
 */
export function mergedV2(own: Json, additions: readonly Addition[]): Json {
  if (additions.length === 0) return own;
  const paths = { ...(own['paths'] as Json) };
  const definitions = { ...(own['definitions'] as Json) };
  for (const addition of additions) {
    const { paths: theirs, definitions: needed } = partOf(addition);
    const renamed = new Map<string, string>();
    for (const [name, definition] of Object.entries(needed)) {
      const free = freeName(name, definition, definitions);
      if (free !== name) renamed.set(name, free);
    }
    Object.assign(paths, withNames(theirs, renamed));
    for (const [name, definition] of Object.entries(withNames(needed, renamed)))
      definitions[renamed.get(name) ?? name] = definition;
  }
  return { ...own, paths, definitions };
}

/** The paths of a group version, and the definitions that they need. */
export function partOf({ group, version, document }: Addition): { paths: Json; definitions: Json } {
  const prefix = `/apis/${group}/${version}/`;
  const paths = Object.fromEntries(
    Object.entries((document['paths'] ?? {}) as Json).filter(([path]) => path.startsWith(prefix)),
  );
  return { paths, definitions: neededBy(paths, (document['definitions'] ?? {}) as Json) };
}

const ref = /"#\/definitions\/([^"]+)"/g;

/** The definitions that are referred to, directly or not. */
function neededBy(paths: Json, definitions: Json): Json {
  const needed: Json = {};
  const visit = (value: unknown): void => {
    for (const [, name] of JSON.stringify(value).matchAll(ref)) {
      if (Object.hasOwn(needed, name!) || !definitions[name!]) continue;
      needed[name!] = definitions[name!];
      visit(definitions[name!]);
    }
  };
  visit(paths);
  return needed;
}

function freeName(name: string, definition: unknown, taken: Json): string {
  let free = name;
  for (let i = 2; taken[free] !== undefined && !equal(taken[free], definition); i++) free = `${name}_v${i}`;
  return free;
}

const withNames = (value: Json, renamed: ReadonlyMap<string, string>): Json =>
  JSON.parse(
    JSON.stringify(value).replace(ref, (whole, name: string) =>
      renamed.has(name) ? JSON.stringify(`#/definitions/${renamed.get(name)}`) : whole,
    ),
  ) as Json;
