import { fragmentOf, hooks, sharedChains } from './iptables-rules.ts';
import { emptyFragment, Ledger, type Delta } from './ledger.ts';
import type { Changes } from './rules.ts';
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

  apply(changes: Changes): Promise<Refusal[]> {
    return inParts(changes, (part) => this.#write(part));
  }

  async cleanup(): Promise<void> {
    const saved = await this.#run(`${this.#program}-save`, []);
    const scripts = tables.map((table) => {
      const { hooks, chains } = leftIn(saved, table);
      return script(table, { emptied: [], rules: hooks.map(removed), gone: chains });
    });
    await this.#restore(scripts.join(''));
  }

  async #write(changes: Changes): Promise<void> {
    const { delta, undo } = this.#ledger.change(
      new Map([...changes].map(([key, port]) => [key, port ? fragmentOf(port, this.#o) : emptyFragment])),
    );
    try {
      await this.#put(delta);
    } catch (error) {
      undo();
      // Nothing of this can be in the kernel; what cannot be written even without Services ends the attempt.
      if (!this.isLaid)
        await this.#put(this.#ledger.change(new Map()).delta).catch((cause: unknown) => {
          throw new LayError(cause);
        });
      throw error;
    }
  }

  /** The first time with what all share, in place of what an earlier proxy has left: a table changes at once, so that nobody is without rules. */
  async #put(delta: Delta): Promise<void> {
    const saved = this.isLaid ? undefined : await this.#run(`${this.#program}-save`, []);
    const scripts = tables.map((table) => {
      const own = scriptOf(delta, table);
      return script(table, saved === undefined ? own : this.#laid(own, table, saved));
    });
    await this.#restore(scripts.join(''));
    this.isLaid = true;
  }

  #laid(own: Script, table: string, saved: string): Script {
    const old = leftIn(saved, table);
    const shared = [...sharedChains(this.#o)].filter(([name]) => name.startsWith(`${table} `));
    const emptied = [...shared.map(([name]) => chainOf(name)), ...own.emptied];
    const stays = new Set(emptied);
    return {
      emptied,
      rules: [
        ...old.hooks.map(removed),
        ...hooks(this.#family, this.#o)
          .filter(([at]) => at === table)
          .reverse()
          // Before what others have there: a firewall's last rule may let nothing through.
          .map(([, chain, rule]) => `-I ${chain} ${rule.join(' ')}`),
        ...shared.flatMap(([name, rules]) => rules.map((rule) => `-A ${chainOf(name)} ${rule}`)),
        ...own.rules,
      ],
      gone: old.chains.filter((chain) => !stays.has(chain)),
    };
  }

  async #restore(text: string): Promise<void> {
    if (text) await this.#run(`${this.#program}-restore`, ['-w', '--noflush'], text);
  }
}

const ownChain =
  /^:(KUBE-(?:SERVICES|NODEPORTS|MARK-MASQ|POSTROUTING|FORWARD|(?:SVC|SVL|EXT|SEP|FW|OUT)-[0-9A-F]{16})) /gm;
const ownHook =
  /^-A ((?:PREROUTING|INPUT|FORWARD|OUTPUT|POSTROUTING) .*-j KUBE-(?:SERVICES|NODEPORTS|POSTROUTING|FORWARD))$/gm;

/** What a proxy, of whatever settings, has left in a table; tables that are not there have nothing. */
function leftIn(saved: string, table: string): { hooks: string[]; chains: string[] } {
  const start = saved.indexOf(`*${table}\n`);
  const rules = start < 0 ? '' : saved.slice(start, saved.indexOf('\nCOMMIT', start));
  const all = (what: RegExp) => [...rules.matchAll(what)].map(([, found]) => found!);
  return { hooks: all(ownHook), chains: all(ownChain) };
}

const removed = (rule: string): string => `-D ${rule}`;

const chainOf = (name: string): string => name.slice(name.indexOf(' ') + 1);

/** What is to be done in a table, in this order. */
interface Script {
  /** Chains that are made, or emptied. */
  emptied: readonly string[];
  rules: readonly string[];
  /** Chains that go. */
  gone: readonly string[];
}

function script(table: string, { emptied, rules, gone }: Script): string {
  if (emptied.length + rules.length + gone.length === 0) return '';
  return [
    `*${table}`,
    // Naming a chain makes or empties it.
    ...new Set([...emptied, ...gone].map((chain) => `:${chain} - [0:0]`)),
    ...rules,
    ...gone.map((chain) => `-X ${chain}`),
    'COMMIT',
    '',
  ].join('\n');
}

function scriptOf(delta: Delta, table: string): Script {
  const here = ([name]: readonly [string, ...unknown[]]) => name.startsWith(`${table} `);
  const entry = ([id]: readonly [string, string]) => chainOf(id).replace('|', ' ');
  const filled = delta.filled.filter(here);
  return {
    emptied: filled.map(([name]) => chainOf(name)),
    rules: [
      ...delta.goneEntries.filter(here).map((gone) => `-D ${entry(gone)}`),
      ...filled.flatMap(([name, own]) => own.map((rule) => `-A ${chainOf(name)} ${rule}`)),
      ...delta.newEntries.filter(here).map((made) => `-A ${entry(made)}`),
    ],
    gone: delta.goneChains.filter((name) => here([name])).map(chainOf),
  };
}
