import { createHash, timingSafeEqual, type X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { TLSSocket } from 'node:tls';
import { StatusError } from '../../api/status.ts';
import { anonymous, type User } from './user.ts';

export interface Token {
  token: string;
  user: User;
}

/** Tells from a request's connection and headers who asks. */
export class Authenticator {
  /** By the token's SHA-256, so that looking one up takes the same time for every wrong token. */
  readonly #tokens = new Map<string, { digest: Buffer; user: User }>();
  readonly #certificates = new WeakMap<object, User | null>();

  constructor(tokens: readonly Token[]) {
    for (const { token, user } of tokens) {
      const digest = sha256(token);
      this.#tokens.set(digest.toString('hex'), { digest, user: withGroup(user) });
    }
  }

  /** Throws 401 for credentials that are not known; no credentials at all make an anonymous user. */
  identify(authorization: string | undefined, socket: TLSSocket): User {
    const certified = this.#certified(socket);
    if (certified) return certified;
    if (!authorization) return anonymous;
    const match = /^bearer\s+(\S+)$/i.exec(authorization.trim());
    const digest = match && sha256(match[1]!);
    const known = digest && this.#tokens.get(digest.toString('hex'));
    if (!known || !timingSafeEqual(known.digest, digest)) throw unauthorized();
    return known.user;
  }

  /** CN is the user, every O a group, if the cluster's CA signed it. */
  #certified(socket: TLSSocket): User | undefined {
    const known = this.#certificates.get(socket);
    if (known !== undefined) return known ?? undefined;
    const certificate = socket.authorized ? socket.getPeerX509Certificate?.() : undefined;
    const user = certificate ? userOf(certificate) : null;
    this.#certificates.set(socket, user);
    return user ?? undefined;
  }
}

export const unauthorized = (): StatusError => new StatusError(401, 'Unauthorized', 'Unauthorized');

const sha256 = (text: string): Buffer => createHash('sha256').update(text).digest();

const withGroup = (user: User): User => ({
  ...user,
  groups: [...new Set([...user.groups, 'system:authenticated'])],
});

function userOf({ subject }: X509Certificate): User | null {
  const lines = (subject ?? '').split('\n');
  const name = lines.find((line) => line.startsWith('CN='))?.slice(3);
  const groups = lines.filter((line) => line.startsWith('O=')).map((line) => line.slice(2));
  return name ? withGroup({ name, groups }) : null;
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
