import { createHash, timingSafeEqual } from 'node:crypto';
import { Secret } from '../../api/kinds/secret.ts';
import type { Known, TokenUsers } from './authenticate.ts';
import type { Lookup } from './lookup.ts';
import { authenticated } from './user.ts';

const pattern = /^([a-z0-9]{6})\.([a-z0-9]{16})$/;
const groupPattern = /^system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]$/;

/**
 * Tokens for machines that join: Secrets `bootstrap-token-<id>` in kube-system.
 * https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/
 */
export class BootstrapTokens implements TokenUsers {
  readonly #lookup: Lookup;

  constructor(lookup: Lookup) {
    this.#lookup = lookup;
  }

  identify(token: string): undefined | Promise<Known | undefined> {
    const match = pattern.exec(token);
    return match ? this.#find(match[1]!, match[2]!) : undefined;
  }

  async #find(id: string, secret: string): Promise<Known | undefined> {
    const found = await this.#lookup(Secret, 'kube-system', `bootstrap-token-${id}`);
    if (!found || found.metadata.deletionTimestamp || found.type !== 'bootstrap.kubernetes.io/token') return undefined;
    const field = (name: string) => Buffer.from(found.data?.[name] ?? '', 'base64').toString();
    if (field('token-id') !== id || !same(field('token-secret'), secret)) return undefined;
    if (field('usage-bootstrap-authentication') !== 'true') return undefined;
    const expiration = field('expiration');
    if (expiration && !(Date.parse(expiration) > Date.now())) return undefined;
    const extra = field('auth-extra-groups').split(',').filter(Boolean);
    if (!extra.every((group) => groupPattern.test(group))) return undefined;
    return {
      user: authenticated({ name: `system:bootstrap:${id}`, groups: ['system:bootstrappers', ...new Set(extra)] }),
    };
  }
}

function same(a: string, b: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}
