import type { Kind } from '../api/kind.ts';

/** The kinds that are served, found by group, version and plural. */
export class KindTable {
  readonly kinds: readonly Kind[];
  readonly #byPath = new Map<string, Kind>();

  constructor(kinds: readonly Kind[]) {
    this.kinds = kinds;
    for (const kind of kinds) this.#byPath.set(`${kind.group}/${kind.version}/${kind.plural}`, kind);
  }

  find(group: string, version: string, plural: string): Kind | undefined {
    return this.#byPath.get(`${group}/${version}/${plural}`);
  }

  /** Groups in order of first mention, the core group as ''. */
  get groups(): { group: string; versions: string[] }[] {
    const groups = new Map<string, Set<string>>();
    for (const { group, version } of this.kinds) groups.set(group, (groups.get(group) ?? new Set()).add(version));
    return [...groups].map(([group, versions]) => ({ group, versions: [...versions] }));
  }

  of(group: string, version: string): Kind[] {
    return this.kinds.filter((kind) => kind.group === group && kind.version === version);
  }
}
