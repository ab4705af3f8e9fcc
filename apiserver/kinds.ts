import type { Kind } from '../api/kind.ts';

/** The kinds that are served, found by group, version and plural. */
export class KindTable {
  #kinds: readonly Kind[];
  readonly #questions: readonly Kind[];
  readonly #byPath = new Map<string, Kind>();
  #generation = 0;

  constructor(kinds: readonly Kind[], questions: readonly Kind[] = []) {
    this.#kinds = kinds;
    this.#questions = questions;
    for (const kind of this.all) this.#byPath.set(pathOf(kind), kind);
  }

  /** Those that are kept. */
  get kinds(): readonly Kind[] {
    return this.#kinds;
  }

  /** With those that are only asked and answered. */
  get all(): readonly Kind[] {
    return [...this.#kinds, ...this.#questions];
  }

  /** Grows with every change: what was made of the table is old when it did. */
  get generation(): number {
    return this.#generation;
  }

  /** Takes kinds out and puts others in, at once. */
  replace(before: readonly Kind[], after: readonly Kind[]): void {
    for (const kind of before) this.#byPath.delete(pathOf(kind));
    for (const kind of after) this.#byPath.set(pathOf(kind), kind);
    this.#kinds = [...this.#kinds.filter((kind) => !before.includes(kind)), ...after];
    this.#generation += 1;
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

const pathOf = ({ group, version, plural }: Kind): string => `${group}/${version}/${plural}`;
