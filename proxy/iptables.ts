import { fragmentOf, hooks, sharedChains } from './iptables-rules.ts';
import { emptyFragment, Ledger, type Delta } from './ledger.ts';
import type { Changes } from './rules.ts';
import {
  inParts,
  KernelWriter,
  type FamilyWriter,
  type Refusal,
  type Run,
  type Writer,
  type WriterOptions,
} from './writer.ts';

const tables = ['nat', 'filter'] as const;

/** Rules by iptables-restore: chains named as kube-proxy's, only those that change are written. */
export const iptablesWriter = (o: WriterOptions, run: Run): Writer =>
  new KernelWriter((family) => new Family(family, o, run));

class Family implements FamilyWriter {
  readonly #family: 4 | 6;
  readonly #program: string;
  readonly #o: WriterOptions;
  readonly #run: Run;
  readonly #ledger = new Ledger();
  isLaid = false;

  constructor(family: 4 | 6, o: WriterOptions, run: Run) {
    this.#family = family;
    this.#program = family === 6 ? 'ip6tables' : 'iptables';
    this.#o = o;
    this.#run = run;
  }

  async apply(changes: Changes): Promise<Refusal[]> {
    if (!this.isLaid) await this.#lay();
    return inParts(changes, (part) => this.#write(part));
  }

  async cleanup(): Promise<void> {
    const saved = await this.#run(`${this.#program}-save`, []);
    const scripts = tables.map((table) => {
      const { hooks, chains } = leftIn(saved, table);
      return hooks.length + chains.length > 0 ? script(table, [], hooks.map(removed), chains) : '';
    });
    await this.#restore(scripts.join(''));
  }

  async #write(changes: Changes): Promise<void> {
    const { delta, undo } = this.#ledger.change(
      new Map([...changes].map(([key, port]) => [key, port ? fragmentOf(port, this.#o) : emptyFragment])),
    );
    try {
      await this.#restore(tables.map((table) => scriptOf(delta, table)).join(''));
    } catch (error) {
      undo();
      throw error;
    }
  }

  /** What all share; takes away what an earlier proxy has left, in the same breath. */
  async #lay(): Promise<void> {
    for (const table of tables) {
      const shared = [...sharedChains(this.#o)].filter(([name]) => name.startsWith(`${table} `));
      const rules = shared.flatMap(([name, own]) => own.map((rule) => `-A ${chainOf(name)} ${rule}`));
      await this.#restore(
        script(
          table,
          shared.map(([name]) => chainOf(name)),
          rules,
          (await this.#left(table)).filter((chain) => !shared.some(([name]) => chainOf(name) === chain)),
        ),
      );
    }
    for (const [table, chain, rule] of hooks(this.#family, this.#o)) {
      const has = await this.#run(this.#program, ['-w', '-t', table, '-C', chain, ...rule]).catch(() => undefined);
      if (has === undefined) await this.#run(this.#program, ['-w', '-t', table, '-A', chain, ...rule]);
    }
    this.isLaid = true;
  }

  async #left(table: string): Promise<string[]> {
    return leftIn(await this.#run(`${this.#program}-save`, []), table).chains;
  }

  async #restore(text: string): Promise<void> {
    if (text) await this.#run(`${this.#program}-restore`, ['-w', '--noflush'], text);
  }
}

const ownChain = /^:(KUBE-(?:SERVICES|NODEPORTS|MARK-MASQ|POSTROUTING|(?:SVC|SVL|EXT|SEP|FW|OUT)-[0-9A-F]{16})) /gm;
const ownHook = /^-A ((?:PREROUTING|INPUT|FORWARD|OUTPUT|POSTROUTING) .*-j KUBE-(?:SERVICES|NODEPORTS|POSTROUTING))$/gm;

/** What a proxy, of whatever settings, has left in a table; tables that are not there have nothing. */
function leftIn(saved: string, table: string): { hooks: string[]; chains: string[] } {
  const start = saved.indexOf(`*${table}\n`);
  const rules = start < 0 ? '' : saved.slice(start, saved.indexOf('\nCOMMIT', start));
  const all = (what: RegExp) => [...rules.matchAll(what)].map(([, found]) => found!);
  return { hooks: all(ownHook), chains: all(ownChain) };
}

const removed = (rule: string): string => `-D ${rule}`;

const chainOf = (name: string): string => name.slice(name.indexOf(' ') + 1);

/** Naming a chain makes or empties it. */
const script = (table: string, emptied: readonly string[], rules: readonly string[], gone: readonly string[]): string =>
  [
    `*${table}`,
    ...new Set([...emptied, ...gone].map((chain) => `:${chain} - [0:0]`)),
    ...rules,
    ...gone.map((chain) => `-X ${chain}`),
    'COMMIT',
    '',
  ].join('\n');

function scriptOf(delta: Delta, table: string): string {
  const here = ([name]: readonly [string, ...unknown[]]) => name.startsWith(`${table} `);
  const entry = ([id]: readonly [string, string]) => chainOf(id).replace('|', ' ');
  const filled = delta.filled.filter(here);
  const rules = [
    ...delta.goneEntries.filter(here).map((gone) => `-D ${entry(gone)}`),
    ...filled.flatMap(([name, own]) => own.map((rule) => `-A ${chainOf(name)} ${rule}`)),
    ...delta.newEntries.filter(here).map((made) => `-A ${entry(made)}`),
  ];
  const gone = delta.goneChains.filter((name) => here([name])).map(chainOf);
  if (rules.length + gone.length === 0) return '';
  return script(
    table,
    filled.map(([name]) => chainOf(name)),
    rules,
    gone,
  );
}
