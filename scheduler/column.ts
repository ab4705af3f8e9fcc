import type { NodeView } from './cluster.ts';

/**
 * One fact about each of many nodes, in their order. Only what changed since the last time is read again: a decision costs
 * a comparison a node, not a walk over its pods or labels.
 */
export class Column<T> {
  readonly #stamp: (node: NodeView) => unknown;
  readonly #read: (node: NodeView) => T;
  #nodes: NodeView[] = [];
  #stamps: unknown[] = [];
  #values: T[] = [];

  /** `read` must answer the same as long as `stamp` does. */
  constructor(stamp: (node: NodeView) => unknown, read: (node: NodeView) => T) {
    this.#stamp = stamp;
    this.#read = read;
  }

  /** Valid until the next call. */
  of(nodes: readonly NodeView[]): readonly T[] {
    if (this.#nodes.length > nodes.length)
      this.#nodes.length = this.#stamps.length = this.#values.length = nodes.length;
    for (let i = 0; i < nodes.length; i++) {
      const node = nodes[i]!;
      const stamp = this.#stamp(node);
      if (this.#nodes[i] === node && this.#stamps[i] === stamp) continue;
      this.#nodes[i] = node;
      this.#stamps[i] = stamp;
      this.#values[i] = this.#read(node);
    }
    return this.#values;
  }
}

const most = 512;

/** Columns by what they say; those that nobody asked for the longest time are forgotten. */
export class Columns<T> {
  readonly #kept = new Map<string, Column<T>>();

  get(key: string, make: () => Column<T>): Column<T> {
    const column = this.#kept.get(key) ?? make();
    this.#kept.delete(key);
    this.#kept.set(key, column);
    if (this.#kept.size > most) this.#kept.delete(this.#kept.keys().next().value!);
    return column;
  }
}

const labels = new Columns<string | undefined>();

/** The value of a label on each node. */
export const labelColumn = (key: string): Column<string | undefined> =>
  labels.get(
    key,
    () =>
      new Column(
        ({ node }) => node,
        ({ node }) => node.metadata.labels?.[key],
      ),
  );

/** A fact about the pods of each node. */
export const podColumn = <T>(read: (node: NodeView) => T): Column<T> =>
  new Column(({ generation }) => generation, read);
