/**
 * A setting is one row: what it means, its default, how its text is read. Flag and environment names follow
 * from the row's key (`nodesToScore` → `--nodes-to-score`, `KM_NODES_TO_SCORE`), its type from the parser.
 *
 *   export const options = { port: number('Port to listen on', 6443), store: text('…', 'embedded') } as const;
 *   export async function start(o: Values<typeof options>, …)
 */
export interface Option<T> {
  readonly help: string;
  readonly default: T;
  /** Reads the text of a flag or a variable; throws an Error whose message says what would be right. */
  readonly parse: (text: string) => T;
  /** Shown in help instead of a value: `<host:port>`. */
  readonly value: string;
  /** A value as `parse` would read it, where that is not its plain text. */
  show?(value: T): string;
}

export type Options = Readonly<Record<string, Option<unknown>>>;
export type Values<O extends Options> = { -readonly [K in keyof O]: O[K] extends Option<infer T> ? T : never };

export const text = (help: string, fallback = '', value = '<text>'): Option<string> => ({
  help,
  default: fallback,
  parse: (s) => s,
  value,
});

export const number = (
  help: string,
  fallback: number,
  { min = 0, max = Number.MAX_SAFE_INTEGER } = {},
): Option<number> => ({
  help,
  default: fallback,
  value: '<number>',
  parse: (s) => {
    const n = Number(s);
    if (s.trim() === '' || !Number.isFinite(n) || n < min || n > max)
      throw new Error(`expected a number from ${min} to ${max}, got "${s}"`);
    return n;
  },
});

export const port = (help: string, fallback: number): Option<number> => number(help, fallback, { min: 0, max: 65535 });

export const flag = (help: string, fallback = false): Option<boolean> => ({
  help,
  default: fallback,
  value: '',
  parse: (s) => {
    if (['true', '1', 'yes', ''].includes(s)) return true;
    if (['false', '0', 'no'].includes(s)) return false;
    throw new Error(`expected true or false, got "${s}"`);
  },
});

export const list = (help: string, fallback: readonly string[] = [], value = '<a,b>'): Option<readonly string[]> => ({
  help,
  default: fallback,
  value,
  parse: (s) =>
    s
      .split(',')
      .map((item) => item.trim())
      .filter((item) => item !== ''),
});

const units: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Milliseconds, written as `500ms`, `5s`, `1m30s`, `7d`. */
export const duration = (help: string, fallback: number): Option<number> => ({
  help,
  default: fallback,
  value: '<duration>',
  parse: (s) => {
    if (!/^(\d+(\.\d+)?(ms|s|m|h|d))+$/.test(s))
      throw new Error(`expected a duration such as 500ms, 5s or 1m30s, got "${s}"`);
    let total = 0;
    for (const [, n, unit] of s.matchAll(/([\d.]+)(ms|s|m|h|d)/g)) total += Number(n) * units[unit!]!;
    return total;
  },
  show: (ms) => {
    const [unit = 'ms', size = 1] = Object.entries(units).findLast(([, size]) => ms % size === 0) ?? [];
    return ms === 0 ? '0s' : `${ms / size}${unit}`;
  },
});

export const oneOf = <const T extends string>(help: string, choices: readonly T[], fallback: T): Option<T> => ({
  help: `${help} (${choices.join(', ')})`,
  default: fallback,
  value: '<name>',
  parse: (s) => {
    if (!choices.includes(s as T)) throw new Error(`expected one of ${choices.join(', ')}, got "${s}"`);
    return s as T;
  },
});

export const flagName = (key: string): string => `--${key.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`)}`;
export const envName = (key: string): string => `KM_${key.replace(/[A-Z]/g, (c) => `_${c}`).toUpperCase()}`;

/** The defaults of every row: what tests and embedders start from. */
export function defaultsOf<O extends Options>(options: O): Values<O> {
  return Object.fromEntries(Object.entries(options).map(([key, option]) => [key, option.default])) as Values<O>;
}

/**
 * Values for every row: flag before environment before default.
 * Throws an Error that names the flag or variable, what was wrong and what is known.
 */
export function readOptions<O extends Options>(
  options: O,
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>> = {},
): Values<O> {
  const values: Record<string, unknown> = {};
  for (const [key, option] of Object.entries(options)) {
    const fromEnv = env[envName(key)];
    values[key] = fromEnv === undefined ? option.default : parsed(envName(key), option, fromEnv);
  }
  const byFlag = new Map(Object.keys(options).map((key) => [flagName(key), key]));
  for (let i = 0; i < argv.length; i++) {
    const [name, inline] = splitFlag(argv[i]!);
    const key = byFlag.get(name);
    if (key === undefined) throw new Error(`unknown option ${name}; run with --help for the options there are`);
    const option = options[key]!;
    const isSwitch = option.value === '';
    if (inline === undefined && !isSwitch && i + 1 >= argv.length) throw new Error(`option ${name} needs a value`);
    values[key] = parsed(name, option, inline ?? (isSwitch ? 'true' : argv[++i]!));
  }
  return values as Values<O>;
}

/** One line a row, for `--help`. */
export function describeOptions(options: Options): string {
  return Object.entries(options)
    .map(([key, o]) => {
      const left = `  ${flagName(key)} ${o.value}`.trimEnd();
      const fallback = defaultText(o);
      return `${left.padEnd(38)} ${o.help}${fallback && ` [${fallback}]`}`;
    })
    .join('\n');
}

/** The default as it would be written; '' where there is none. */
export function defaultText(option: Option<unknown>): string {
  if (option.default === false) return '';
  return option.show?.(option.default) ?? String(option.default);
}

function splitFlag(arg: string): [name: string, value: string | undefined] {
  if (!arg.startsWith('--')) throw new Error(`unexpected argument "${arg}"; options start with --`);
  const at = arg.indexOf('=');
  return at < 0 ? [arg, undefined] : [arg.slice(0, at), arg.slice(at + 1)];
}

function parsed(name: string, option: Option<unknown>, value: string): unknown {
  try {
    return option.parse(value);
  } catch (error) {
    throw new Error(`${name}: ${(error as Error).message}`, { cause: error });
  }
}
