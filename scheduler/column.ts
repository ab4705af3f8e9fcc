import type { Node } from '../api/kinds/node.ts';
import type { NodeView } from './cluster.ts';
import type { Ask } from './plugin.ts';

/** Which of some nodes changed, in the order in which that was seen. */
interface Look {
  changes: number[];
  versions: number[];
}

const looks = new WeakMap<readonly NodeView[], Look>();
/** The nodes that do not change as long as this is set. */
let still: readonly NodeView[] | undefined;

/**
 * During `run`, one uninterrupted step in which none of the nodes changes, columns go by one look at all of them, and read only
 * those that have changed since the last such step.
 */
export function lookingOnce<T>(nodes: readonly NodeView[], run: () => T): T {
  const old = looks.get(nodes);
  const look = old && old.changes.length < 2 * nodes.length + 64 ? old : { changes: [], versions: [] };
  if (look !== old) looks.set(nodes, look);
  const { changes, versions } = look;
  for (let i = 0; i < nodes.length; i++) {
    const { version } = nodes[i]!;
    if (versions[i] === version) continue;
    versions[i] = version;
    changes.push(i);
  }
  still = nodes;
  try {
    return run();
  } finally {
    still = undefined;
  }
}

/** One fact about each of many nodes, in their order. Only what changed since the last time is read again. */
export class Column<T> {
  readonly #stamp: (node: NodeView) => unknown;
  readonly #read: (node: NodeView) => T;
  readonly #isNothing: (value: T) => boolean;
  #nodes: NodeView[] = [];
  #stamps: unknown[] = [];
  #values: T[] = [];
  readonly #some = new Set<number>();
  /** What it went by the last time, and how far. */
  #look: Look | undefined;
  #seen = 0;

  /** `read` must answer the same as long as `stamp` does. `isNothing` tells values that nobody has to look at. */
  constructor(
    stamp: (node: NodeView) => unknown,
    read: (node: NodeView) => T,
    isNothing: (value: T) => boolean = () => false,
  ) {
    this.#stamp = stamp;
    this.#read = read;
    this.#isNothing = isNothing;
  }

  /** Valid until the next call. */
  of(nodes: readonly NodeView[]): readonly T[] {
    const look = nodes === still ? looks.get(nodes) : undefined;
    if (look && look === this.#look) {
      for (; this.#seen < look.changes.length; this.#seen++) this.#update(nodes, look.changes[this.#seen]!);
      return this.#values;
    }
    for (let i = nodes.length; i < this.#nodes.length; i++) this.#some.delete(i);
    if (this.#nodes.length > nodes.length)
      this.#nodes.length = this.#stamps.length = this.#values.length = nodes.length;
    for (let i = 0; i < nodes.length; i++) this.#update(nodes, i);
    this.#look = look;
    this.#seen = look?.changes.length ?? 0;
    return this.#values;
  }

  /** Which of the nodes have more to say than nothing. Valid until the next call. */
  someOf(nodes: readonly NodeView[]): ReadonlySet<number> {
    this.of(nodes);
    return this.#some;
  }

  #update(nodes: readonly NodeView[], i: number): void {
    const node = nodes[i]!;
    const stamp = this.#stamp(node);
    if (this.#nodes[i] === node && this.#stamps[i] === stamp) return;
    this.#nodes[i] = node;
    this.#stamps[i] = stamp;
    const value = this.#read(node);
    this.#values[i] = value;
    if (this.#isNothing(value)) this.#some.delete(i);
    else this.#some.add(i);
  }
}

/** Columns, or what is made of them, by what they say; those that nobody asked for the longest time are forgotten. */
export class Columns<T> {
  readonly #most: number;
  readonly #kept = new Map<string, T>();

  constructor(most = 512) {
    this.#most = most;
  }

  get(key: string, make: () => T): T {
    const column = this.#kept.get(key) ?? make();
    this.#kept.delete(key);
    this.#kept.set(key, column);
    if (this.#kept.size > this.#most) this.#kept.delete(this.#kept.keys().next().value!);
    return column;
  }
}

/** A fact about each Node object. */
export const nodeColumn = <T>(read: (node: Node) => T, isNothing?: (value: T) => boolean): Column<T> =>
  new Column(
    ({ node }) => node,
    ({ node }) => read(node),
    isNothing,
  );

/** A fact about the pods of each node. */
export const podColumn = <T>(read: (node: NodeView) => T, isNothing?: (value: T) => boolean): Column<T> =>
  new Column(({ generation }) => generation, read, isNothing);

/** What a column says of the nodes of an ask, in their order. Valid until the next call. */
export function among<T>({ nodes, all = nodes, places }: Ask, column: Column<T>): readonly T[] {
  const values = column.of(all);
  return places ? places.map((place) => values[place]!) : values;
}

const labels = new Columns<Column<string | undefined>>();

/** The value of a label on each node. */
export const labelColumn = (key: string): Column<string | undefined> =>
  labels.get(key, () => nodeColumn(({ metadata }) => metadata.labels?.[key]));
