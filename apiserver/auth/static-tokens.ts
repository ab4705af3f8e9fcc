import { createHash, timingSafeEqual } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Known, TokenUsers } from './authenticate.ts';
import { authenticated, type User } from './user.ts';

export interface Token {
  token: string;
  user: User;
}

/** Tokens that a file lists. */
export class StaticTokens implements TokenUsers {
  /** By the token's SHA-256, so that looking one up takes the same time for every wrong token. */
  readonly #tokens = new Map<string, { digest: Buffer; known: Known }>();

  constructor(tokens: readonly Token[]) {
    for (const { token, user } of tokens) {
      const digest = sha256(token);
      this.#tokens.set(digest.toString('hex'), { digest, known: { user: authenticated(user) } });
    }
  }

  identify(token: string): Known | undefined {
    const digest = sha256(token);
    const found = this.#tokens.get(digest.toString('hex'));
    return found && timingSafeEqual(found.digest, digest) ? found.known : undefined;
  }
}

const sha256 = (text: string): Buffer => createHash('sha256').update(text).digest();

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
