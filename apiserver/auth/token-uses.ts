import type { Kind } from '../../api/kind.ts';
import { Secret } from '../../api/kinds/secret.ts';
import { isNotFound } from '../../api/status.ts';
import type { Registry } from '../registry.ts';
import { self } from './user.ts';

const lastUsed = 'kubernetes.io/legacy-token-last-used';
const invalidSince = 'kubernetes.io/legacy-token-invalid-since';

/** Where it is written since when the uses of tokens are noted; nobody may judge by them who does not look there. */
export const tokenTracking = {
  namespace: 'kube-system',
  name: 'kube-apiserver-legacy-service-account-token-tracking',
} as const;

/** A token that was not used for long, and that an administrator or a controller therefore took out of use. */
export const isMarkedInvalid = ({ metadata }: Readonly<Secret>): boolean =>
  metadata.labels?.[invalidSince] !== undefined;

/** `2026-01-31`. */
export const dayOf = (ms: number): string => new Date(ms).toISOString().slice(0, 10);

/**
 * On which day a token in a Secret was last used, noted in a label of the Secret: once a day, and not while somebody waits.
 * https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/#legacy-serviceaccount-token-tracking-controller
 */
export class TokenUses {
  /** By `namespace/name` of the Secret. */
  readonly #days = new Map<string, string>();

  note({ metadata }: Readonly<Secret>, now: number): void {
    const day = dayOf(now);
    if (metadata.labels?.[lastUsed] !== day) this.#days.set(`${metadata.namespace}/${metadata.name}`, day);
  }

  /** Writes down what was noted since, the rest the next time if the store fails; a Secret that is gone is of no interest. */
  async record(registry: Registry): Promise<void> {
    for (const [key, day] of this.#days) {
      try {
        await registry.update(
          Secret as Kind<never> as Kind,
          key,
          'main',
          { dryRun: false, user: self, fieldManager: 'kube-apiserver' },
          (secret) => ({
            ...secret,
            metadata: { ...secret.metadata, labels: { ...secret.metadata.labels, [lastUsed]: day } },
          }),
        );
      } catch (error) {
        if (!isNotFound(error)) throw error;
      }
      if (this.#days.get(key) === day) this.#days.delete(key);
    }
  }
}
