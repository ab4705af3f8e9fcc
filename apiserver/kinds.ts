import type { Kind } from '../api/kind.ts';

/** The kinds that are served, found by group, version and plural. */
export class KindTable {
  /** Those that are kept. */
  readonly kinds: readonly Kind[];
  /** With those that are only asked and answered. */
  readonly all: readonly Kind[];
  readonly #byPath = new Map<string, Kind>();

  constructor(kinds: readonly Kind[], questions: readonly Kind[] = []) {
    this.kinds = kinds;
    this.all = [...kinds, ...questions];
    for (const kind of this.all) this.#byPath.set(`${kind.group}/${kind.version}/${kind.plural}`, kind);
  }

  find(group: string, version: string, plural: string): Kind | undefined {
    return this.#byPath.get(`${group}/${version}/${plural}`);
  }

  /** Groups in order of first mention, the core group as ''. */
  get groups(): { group: string; versions: string[] }[] {
    const groups = new Map<string, Set<string>>();
    for (const { group, version } of this.all) groups.set(group, (groups.get(group) ?? new Set()).add(version));
    return [...groups].map(([group, versions]) => ({ group, versions: [...versions] }));
  }

  of(group: string, version: string): Kind[] {
    return this.all.filter((kind) => kind.group === group && kind.version === version);
  }
}
