import { equal } from '../lib/equal.ts';

/** What one service port has in the kernel. */
export interface Fragment {
  /** Chains of its own, with their rules. */
  chains: ReadonlyMap<string, readonly string[]>;
  /** Sets of its own, with their definitions. */
  sets: ReadonlyMap<string, string>;
  /** Entries in what all share, id → value; of two ports that want the same one, the first by name has it. */
  entries: ReadonlyMap<string, string>;
}

export interface Delta {
  newChains: string[];
  /** Chains that are filled, new or anew. */
  filled: [chain: string, rules: readonly string[]][];
  /** Chains that were there and are filled anew. */
  refilled: string[];
  goneChains: string[];
  newSets: [name: string, definition: string][];
  goneSets: string[];
  newEntries: [id: string, value: string][];
  goneEntries: [id: string, value: string][];
}

export const emptyFragment: Fragment = { chains: new Map(), sets: new Map(), entries: new Map() };

/** What is in the kernel, and of whom, so that a change touches nothing but its own. */
export class Ledger {
  readonly #fragments = new Map<string, Fragment>();
  /** Entry → owners with their values; that of the first owner by name is in the kernel. Nearly all have one owner. */
  readonly #owners = new Map<string, Owned[]>();

  /** Takes the changes in and answers what they mean, and how to take them back. */
  change(changes: ReadonlyMap<string, Fragment>): { delta: Delta; undo: () => void } {
    const before = new Map([...changes.keys()].map((key) => [key, this.#fragments.get(key) ?? emptyFragment]));
    const touched = new Map<string, string | undefined>();
    for (const fragments of [before, changes])
      for (const { entries } of fragments.values()) for (const id of entries.keys()) touched.set(id, this.#value(id));
    this.#replace(changes);
    const delta: Delta = {
      newChains: [],
      filled: [],
      refilled: [],
      goneChains: [],
      newSets: [],
      goneSets: [],
      newEntries: [],
      goneEntries: [],
    };
    for (const [key, after] of changes) compare(before.get(key)!, after, delta);
    for (const [id, old] of touched) {
      const now = this.#value(id);
      if (now === old) continue;
      if (old !== undefined) delta.goneEntries.push([id, old]);
      if (now !== undefined) delta.newEntries.push([id, now]);
    }
    return { delta, undo: () => this.#replace(before) };
  }

  #value(id: string): string | undefined {
    return this.#owners.get(id)?.reduce((first, one) => (one.key < first.key ? one : first)).value;
  }

  #replace(changes: ReadonlyMap<string, Fragment>): void {
    for (const [key, after] of changes) {
      for (const id of this.#fragments.get(key)?.entries.keys() ?? []) if (!after.entries.has(id)) this.#drop(id, key);
      for (const [id, value] of after.entries) this.#put(id, { key, value });
      if (after.chains.size + after.entries.size > 0) this.#fragments.set(key, after);
      else this.#fragments.delete(key);
    }
  }

  #put(id: string, owned: Owned): void {
    const owners = this.#owners.get(id);
    if (!owners) return void this.#owners.set(id, [owned]);
    const at = owners.findIndex(({ key }) => key === owned.key);
    owners.splice(at < 0 ? owners.length : at, 1, owned);
  }

  #drop(id: string, owner: string): void {
    const others = this.#owners.get(id)?.filter(({ key }) => key !== owner) ?? [];
    if (others.length > 0) this.#owners.set(id, others);
    else this.#owners.delete(id);
  }
}

interface Owned {
  key: string;
  value: string;
}

function compare(before: Fragment, after: Fragment, delta: Delta): void {
  for (const [chain, rules] of after.chains) {
    const old = before.chains.get(chain);
    if (equal(old, rules)) continue;
    delta.filled.push([chain, rules]);
    if (old) delta.refilled.push(chain);
    else delta.newChains.push(chain);
  }
  for (const chain of before.chains.keys()) if (!after.chains.has(chain)) delta.goneChains.push(chain);
  for (const [name, definition] of after.sets) if (!before.sets.has(name)) delta.newSets.push([name, definition]);
  for (const name of before.sets.keys()) if (!after.sets.has(name)) delta.goneSets.push(name);
}
