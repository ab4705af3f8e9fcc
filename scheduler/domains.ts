import type { NodeView } from './cluster.ts';
import { type Column, Columns, nodeColumn } from './column.ts';

/** The domains that a topology key makes of the nodes: each value of the label has a number. */
export class Domains {
  readonly #ids = new Map<string, number>();
  readonly #key: string;
  #column: Column<number>;

  constructor(key: string) {
    this.#key = key;
    this.#column = this.#numbered();
  }

  /** Numbers are below this. */
  get size(): number {
    return this.#ids.size;
  }

  /** The domain of each node, -1 where it has no such label. */
  column(nodes: readonly NodeView[]): Column<number> {
    // Values of nodes that are long gone are not kept for ever.
    if (this.#ids.size > 2 * nodes.length + 64) {
      this.#ids.clear();
      this.#column = this.#numbered();
    }
    return this.#column;
  }

  idOf(value: string): number | undefined {
    return this.#ids.get(value);
  }

  #numbered(): Column<number> {
    return nodeColumn(({ metadata }) => {
      const value = metadata.labels?.[this.#key];
      if (value === undefined) return -1;
      const id = this.#ids.get(value) ?? this.#ids.size;
      this.#ids.set(value, id);
      return id;
    });
  }
}

const domains = new Columns<Domains>();

export const domainsOf = (key: string): Domains => domains.get(key, () => new Domains(key));
