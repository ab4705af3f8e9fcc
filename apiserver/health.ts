import type { Rendered } from './render.ts';
import { textBody } from './respond.ts';

/** One named question about the server's health; throws a sentence when the answer is bad. */
export interface Check {
  name: string;
  check: () => Promise<void> | void;
  /** Asked only by /readyz. */
  readyOnly?: boolean;
}

const timeoutMs = 2000;

/** `/healthz`, `/livez`, `/readyz`, each also with `?verbose`, `?exclude=<check>` and `/<check>`. */
export class Health {
  readonly #checks: readonly Check[];

  constructor(checks: readonly Check[]) {
    this.#checks = checks;
  }

  async at(path: string, query: URLSearchParams): Promise<{ code: number; body: Rendered } | undefined> {
    const [, endpoint, only] = /^\/(healthz|livez|readyz)(?:\/(.+))?$/.exec(path) ?? [];
    if (!endpoint) return undefined;
    const excluded = new Set(query.getAll('exclude'));
    const asked = this.#checks.filter(({ readyOnly }) => !readyOnly || endpoint === 'readyz');
    const checks = only ? asked.filter(({ name }) => name === only) : asked;
    if (only && checks.length === 0) return undefined;
    const results = await Promise.all(
      checks.map(async ({ name, check }) => {
        if (excluded.has(name)) return { ok: true, line: `[+]${name} excluded: ok` };
        try {
          await withTimeout(check());
          return { ok: true, line: `[+]${name} ok` };
        } catch {
          return { ok: false, line: `[-]${name} failed: reason withheld` };
        }
      }),
    );
    const ok = results.every((result) => result.ok);
    const lines = results.map(({ line }) => line).join('\n');
    if (!ok) return { code: 500, body: textBody(`${lines}\n${endpoint} check failed\n`) };
    return { code: 200, body: textBody(query.has('verbose') ? `${lines}\n${endpoint} check passed\n` : 'ok') };
  }
}

/** The work, or a sentence that it takes too long. */
export async function withTimeout(work: Promise<void> | void): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('no answer in time')), timeoutMs);
  });
  try {
    await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
