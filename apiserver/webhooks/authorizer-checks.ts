import {
  CelAuthorizer,
  type CelAccount,
  type CelDecision,
  type CelQuestion,
} from '../../api/structural/cel/authorizer.ts';
import type { AdmissionRequest } from '../admission/order.ts';
import { attributes, type Authorizer } from '../auth/authorize.ts';
import { accountGroups, accountUser } from '../auth/service-account-tokens.ts';
import type { User } from '../auth/user.ts';

/** Checks that one request may make: what Kubernetes' budget of cost leaves room for. */
const mostChecks = 28;

/**
 * The variable `authorizer` of one request. Expressions are evaluated at once, and some authorizers answer late: a check that
 * has no answer yet is an error, and who evaluates settles it and evaluates once more.
 */
export class AuthorizerChecks {
  readonly variable: CelAuthorizer;
  readonly #authorizer: Authorizer;
  readonly #user: User;
  readonly #answers = new Map<string, CelDecision>();
  readonly #open = new Map<string, Promise<CelDecision>>();

  constructor(authorizer: Authorizer, { kind, object, options }: AdmissionRequest) {
    this.#authorizer = authorizer;
    this.#user = options.user;
    const { name = '', namespace = '' } = object.metadata;
    const { subresource = '' } = options;
    const requested = { group: kind.group, resource: kind.plural, subresource, namespace, name };
    this.variable = new CelAuthorizer((question, account) => this.#decide(question, account), requested);
  }

  /** Waits for the answers of what was asked; false when nothing is open. */
  async settle(): Promise<boolean> {
    const open = [...this.#open];
    this.#open.clear();
    for (const [key, answer] of open) this.#answers.set(key, await answer);
    return open.length > 0;
  }

  #decide(question: CelQuestion, account: CelAccount | undefined): CelDecision {
    const key = JSON.stringify([question, account]);
    const known = this.#answers.get(key);
    if (known) return known;
    if (!this.#open.has(key)) {
      if (this.#answers.size + this.#open.size >= mostChecks)
        throw new Error('operation cancelled: actual cost limit exceeded');
      const verdict = this.#authorizer.judge(account ? userOf(account) : this.#user, attributes(question));
      if (!(verdict instanceof Promise)) {
        this.#answers.set(key, verdict);
        return verdict;
      }
      this.#open.set(
        key,
        verdict.catch((error: unknown) => ({ allowed: false, error: (error as Error).message })),
      );
    }
    throw new Error('the authorizer has not answered yet');
  }
}

const userOf = ({ namespace, name }: CelAccount): User => ({
  name: accountUser(namespace, name),
  groups: accountGroups(namespace),
});
