import { CommonChoices } from './common-choices.ts';
import { emptyFragment, Ledger, type Delta } from './ledger.ts';
import {
  emptied,
  endpointMap,
  forget,
  fragmentOf,
  leftIn,
  linesOf,
  skeleton,
  tableName,
  type Places,
} from './nft-rules.ts';
import type { Changes, ServicePort } from './rules.ts';
import { Shelves } from './shelves.ts';
import {
  LayError,
  inParts,
  KernelWriter,
  type FamilyWriter,
  type Refusal,
  type Run,
  type Writer,
  type WriterOptions,
} from './writer.ts';

/** Rules by nft: one table of our own in each family, each change one transaction. */
export const nftablesWriter = (o: WriterOptions, run: Run): Writer =>
  new KernelWriter((family) => new Table(family, o, run));

class Table implements FamilyWriter {
  readonly #family: 4 | 6;
  readonly #o: WriterOptions;
  readonly #run: Run;
  readonly #ledger = new Ledger();
  readonly #places: Places = { common: new CommonChoices(), shelves: new Shelves() };
  /** Maps of endpoints that are in the kernel, with the chains that go with them. They stay: few, and empty at worst. */
  readonly #maps = new Set<string>();
  isLaid = false;

  constructor(family: 4 | 6, o: WriterOptions, run: Run) {
    this.#family = family;
    this.#o = o;
    this.#run = run;
  }

  apply(changes: Changes): Promise<Refusal[]> {
    return inParts(changes, (part) => this.#write(part));
  }

  async cleanup(): Promise<void> {
    const tables = await this.#run('nft', ['list', 'tables']);
    if (tables.split('\n').includes(`table ${this.#table}`))
      await this.#run('nft', ['-f', '-'], `delete table ${this.#table}\n`);
  }

  async #write(changes: Changes): Promise<void> {
    const fragments = new Map([...changes].map(([key, port]) => [key, this.#fragmentOf(key, port)]));
    const { delta, undo } = this.#ledger.change(fragments);
    const maps = this.#placesOf().filter(({ map }) => !this.#maps.has(map));
    const script = [
      ...(this.isLaid ? [] : await this.#first(delta)),
      ...maps.flatMap(({ lines }) => lines),
      ...scriptOf(delta, this.#table),
    ];
    try {
      if (script.length > 0) await this.#run('nft', ['-f', '-'], `${script.join('\n')}\n`);
      this.isLaid = true;
      for (const { map } of maps) this.#maps.add(map);
    } catch (error) {
      undo();
      // Nothing of this can be in the kernel; what cannot be written even without Services ends the attempt.
      if (!this.isLaid)
        await this.#lay().catch((cause: unknown) => {
          throw new LayError(cause);
        });
      throw error;
    }
  }

  async #lay(): Promise<void> {
    const script = await this.#first(this.#ledger.change(new Map()).delta);
    await this.#run('nft', ['-f', '-'], `${script.join('\n')}\n`);
    this.isLaid = true;
  }

  /** What all share, in place of what an earlier proxy has left. */
  async #first({ newSets }: Delta): Promise<string[]> {
    // Without a table there is nothing to list.
    const listed = await this.#run('nft', ['-t', 'list', 'table', ...this.#table.split(' ')]).catch(() => undefined);
    const left = listed === undefined ? undefined : leftIn(listed);
    return [...emptied(this.#family, left, new Set(newSets.map(([name]) => name))), ...skeleton(this.#family, this.#o)];
  }

  #placesOf(): { map: string; lines: readonly string[] }[] {
    const { common, shelves } = this.#places;
    return [
      ...common.all.map((choice) => ({ map: choice.name, lines: linesOf(this.#family, choice) })),
      ...shelves.maps.map(({ map, protocol }) => ({
        map,
        lines: [`add map ${this.#table} ${map} ${endpointMap(this.#family, protocol)}`],
      })),
    ];
  }

  #fragmentOf(key: string, port: ServicePort | undefined) {
    if (port) return fragmentOf(port, this.#o, this.#places);
    forget(key, this.#places);
    return emptyFragment;
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
