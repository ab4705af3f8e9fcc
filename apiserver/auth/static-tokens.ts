import { readFileSync } from 'node:fs';
import { digestOf, type Known, type TokenUsers } from './authenticate.ts';
import { authenticated, type User } from './user.ts';

export interface Token {
  token: string;
  user: User;
}

/** Tokens that a file lists. */
export class StaticTokens implements TokenUsers {
  readonly #byDigest: ReadonlyMap<string, Known>;

  constructor(tokens: readonly Token[]) {
    this.#byDigest = new Map(tokens.map(({ token, user }) => [digestOf(token), { user: authenticated(user) }]));
  }

  identify(_token: string, digest: string): Known | undefined {
    return this.#byDigest.get(digest);
  }
}

/** Reads a file of `token,user,uid,"group,group"` lines. */
export function readTokenFile(path: string): Token[] {
  return readFileSync(path, 'utf8')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line, i) => {
      const [token, name, uid, groups = ''] = [...line.matchAll(/("([^"]*)"|[^,]*)(,|$)/g)].map((m) =>
        (m[2] ?? m[1]!).trim(),
      );
      if (!token || !name) throw new Error(`${path}: line ${i + 1} should read token,user,uid,"group,group"`);
      return {
        token,
        user: {
          name,
          ...(uid ? { uid } : {}),
          groups: groups
            .split(',')
            .map((g) => g.trim())
            .filter(Boolean),
        },
      };
    });
}
