import { emptyFragment, Ledger, type Delta } from './ledger.ts';
import { fragmentOf, skeleton, tableName } from './nft-rules.ts';
import type { Changes, ServicePort } from './rules.ts';
import { inParts, type Refusal, type Run, type Writer, type WriterOptions } from './writer.ts';

/** Rules by nft: one table of our own in each family, each change one transaction. */
export class NftablesWriter implements Writer {
  readonly #tables: readonly Table[];
  readonly #run: Run;

  constructor(o: WriterOptions, run: Run) {
    this.#run = run;
    this.#tables = [new Table(4, o, run), new Table(6, o, run)];
  }

  async apply(changes: Changes): Promise<Refusal[]> {
    const refused = [];
    for (const table of this.#tables) refused.push(...(await table.apply(changes)));
    return refused;
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  async cleanup(): Promise<void> {
    for (const f of ['ip', 'ip6'])
      await this.#run('nft', ['-f', '-'], `add table ${f} ${tableName}\ndelete table ${f} ${tableName}\n`);
  }
}

class Table {
  readonly #family: 4 | 6;
  readonly #o: WriterOptions;
  readonly #run: Run;
  #ledger = new Ledger();
  #there = false;

  constructor(family: 4 | 6, o: WriterOptions, run: Run) {
    this.#family = family;
    this.#o = o;
    this.#run = run;
  }

  async apply(changes: Changes): Promise<Refusal[]> {
    const own = new Map([...changes].filter(([key]) => key.endsWith('/6') === (this.#family === 6)));
    // A machine without IPv6 Services is left without a table for them.
    if (own.size === 0 && (this.#family === 6 || this.#there)) return [];
    return inParts(own, (part) => this.#write(part));
  }

  async #write(changes: Changes): Promise<void> {
    const fragments = new Map([...changes].map(([key, port]) => [key, this.#fragmentOf(port)]));
    const { delta, undo } = this.#ledger.change(fragments);
    const script = [...(this.#there ? [] : skeleton(this.#family, this.#o)), ...scriptOf(delta, this.#table)];
    try {
      if (script.length > 0) await this.#run('nft', ['-f', '-'], `${script.join('\n')}\n`);
      this.#there = true;
    } catch (error) {
      undo();
      // Nothing of this can be in the kernel; what cannot be written even without Services ends the attempt.
      if (!this.#there) await this.#lay();
      throw error;
    }
  }

  async #lay(): Promise<void> {
    await this.#run('nft', ['-f', '-'], `${skeleton(this.#family, this.#o).join('\n')}\n`);
    this.#there = true;
  }

  #fragmentOf(port: ServicePort | undefined) {
    return port ? fragmentOf(port, this.#o) : emptyFragment;
  }

  get #table(): string {
    return `${this.#family === 6 ? 'ip6' : 'ip'} ${tableName}`;
  }
}

/** Commands in an order in which nothing is named before it is there, nor deleted while something leads to it. */
function scriptOf(delta: Delta, table: string): string[] {
  return [
    ...delta.newChains.map((chain) => `add chain ${table} ${chain}`),
    ...delta.newSets.map(([name, definition]) => `add set ${table} ${name} ${definition}`),
    ...delta.refilled.map((chain) => `flush chain ${table} ${chain}`),
    ...elements('delete', table, delta.goneEntries),
    ...delta.filled.flatMap(([chain, rules]) => rules.map((rule) => `add rule ${table} ${chain} ${rule}`)),
    ...elements('add', table, delta.newEntries),
    ...delta.goneChains.map((chain) => `flush chain ${table} ${chain}`),
    ...delta.goneChains.map((chain) => `delete chain ${table} ${chain}`),
    ...delta.goneSets.map((set) => `delete set ${table} ${set}`),
  ];
}

/** Entries are `<map>|<key>` → verdict; those of one map in one command. */
function elements(verb: 'add' | 'delete', table: string, entries: readonly [id: string, value: string][]): string[] {
  const byMap = new Map<string, string[]>();
  for (const [id, value] of entries) {
    const at = id.indexOf('|');
    const [map, key] = [id.slice(0, at), id.slice(at + 1)];
    const items = byMap.get(map) ?? [];
    byMap.set(map, items);
    items.push(value ? `${key} : ${value}` : key);
  }
  return [...byMap].map(([map, items]) => `${verb} element ${table} ${map} { ${items.join(', ')} }`);
}
