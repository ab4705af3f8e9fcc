import { rbacGroup, type PolicyRule, type RoleRef } from '../../api/rbac.ts';
import type { Attributes, Verdict } from './authorize.ts';

/** A rule made ready to be asked often; undefined where everything is meant. */
interface Ready {
  verbs: ReadonlySet<string> | undefined;
  groups: ReadonlySet<string> | undefined;
  names: ReadonlySet<string> | undefined;
  verdict: Verdict;
}

interface ReadyPath {
  verbs: ReadonlySet<string> | undefined;
  /** A path, or the part before a final `*`. */
  path: string;
  isPrefix: boolean;
  verdict: Verdict;
}

/** All that one user was granted in one place, found by resource. */
export class Grants {
  static readonly none = new Grants();
  readonly rules: PolicyRule[] = [];
  readonly #byResource = new Map<string, Ready[]>();
  readonly #paths: ReadyPath[] = [];
  readonly #missing: string[] = [];
  #refusal: Verdict | undefined;

  add(rules: readonly PolicyRule[], reason: string): void {
    const verdict = { allowed: true, reason };
    for (const rule of rules) {
      this.rules.push(rule);
      const verbs = setOf(rule.verbs);
      for (const url of rule.nonResourceURLs ?? []) {
        const isPrefix = url.endsWith('*');
        this.#paths.push({ verbs, path: isPrefix ? url.slice(0, -1) : url, isPrefix, verdict });
      }
      const names = rule.resourceNames?.length ? new Set(rule.resourceNames) : undefined;
      const ready = { verbs, groups: setOf(rule.apiGroups ?? []), names, verdict };
      for (const resource of rule.resources ?? []) {
        const there = this.#byResource.get(resource);
        if (there) there.push(ready);
        else this.#byResource.set(resource, [ready]);
      }
    }
  }

  /** A binding names a role that is not there: said when nothing else allows. */
  missing({ kind, name }: RoleRef): void {
    this.#missing.push(`${kind.toLowerCase()}.${rbacGroup} "${name}" not found`);
    const [first] = this.#missing;
    this.#refusal = {
      allowed: false,
      reason: `RBAC: ${this.#missing.length === 1 ? first! : `[${this.#missing.join(', ')}]`}`,
    };
  }

  get refusal(): Verdict | undefined {
    return this.#refusal;
  }

  allowing(a: Attributes): Verdict | undefined {
    if (a.path !== '') return this.#path(a);
    const exact = a.subresource === '' ? a.resource : `${a.resource}/${a.subresource}`;
    return (
      this.#among(exact, a) ??
      this.#among('*', a) ??
      (a.subresource === '' ? undefined : this.#among(`*/${a.subresource}`, a))
    );
  }

  #among(resource: string, { verb, group, name }: Attributes): Verdict | undefined {
    const rules = this.#byResource.get(resource);
    if (rules === undefined) return undefined;
    for (const { verbs, groups, names, verdict } of rules)
      if (
        (verbs === undefined || verbs.has(verb)) &&
        (groups === undefined || groups.has(group)) &&
        (names === undefined || names.has(name))
      )
        return verdict;
    return undefined;
  }

  #path({ path, verb }: Attributes): Verdict | undefined {
    return this.#paths.find(
      (one) =>
        (one.isPrefix ? path.startsWith(one.path) : path === one.path) &&
        (one.verbs === undefined || one.verbs.has(verb)),
    )?.verdict;
  }
}

const setOf = (words: readonly string[]): ReadonlySet<string> | undefined =>
  words.includes('*') ? undefined : new Set(words);
