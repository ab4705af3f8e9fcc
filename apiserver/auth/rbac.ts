import type { ClusterRole } from '../../api/kinds/cluster-role.ts';
import { ClusterRole as ClusterRoleKind } from '../../api/kinds/cluster-role.ts';
import { ClusterRoleBinding } from '../../api/kinds/cluster-role-binding.ts';
import { RoleBinding } from '../../api/kinds/role-binding.ts';
import { Role } from '../../api/kinds/role.ts';
import type { PolicyRule, RoleRef, Subject } from '../../api/rbac.ts';
import type { Cache } from '../cache.ts';
import type { Feed } from '../feed.ts';
import type { Attributes, Authorizer, Verdict } from './authorize.ts';
import { Grants } from './grants.ts';
import type { User } from './user.ts';

/** A binding of either kind, as far as it matters here. */
interface Binding {
  metadata: { name?: string; namespace?: string };
  roleRef: RoleRef;
  subjects?: Subject[];
}

/** Bindings by whom they name: `User:alice`, `Group:devs`. */
type BySubject = Map<string, { binding: Binding; subject: Subject }[]>;

interface Index {
  cluster: BySubject;
  namespaces: Map<string, BySubject>;
}

interface UserGrants {
  cluster: Grants;
  namespaces: Map<string, Grants>;
}

const none: Verdict = { allowed: false };

/**
 * Role-based access control out of the caches.
 *
 *   RBAC objects ─(changed)─▶ forget all ─(next request)─▶ index by subject ─▶ grants per user ─▶ two map lookups
 *
 * The grants of a user are kept for as long as its User object lives and no RBAC object changes.
 */
export class Rbac implements Authorizer {
  readonly #feed: Feed;
  #index: Index | undefined;
  #users = new WeakMap<User, UserGrants>();
  readonly #following = new Set<Cache>();

  constructor(feed: Feed) {
    this.#feed = feed;
  }

  judge(user: User, a: Attributes): Verdict {
    const grants = this.#grantsOf(user);
    const found = grants.cluster.allowing(a);
    if (found) return found;
    if (a.namespace === '') return grants.cluster.refusal ?? none;
    const here = this.#inNamespace(user, grants, a.namespace);
    return here.allowing(a) ?? here.refusal ?? grants.cluster.refusal ?? none;
  }

  rules(user: User, namespace: string): { rules: readonly PolicyRule[] } {
    const grants = this.#grantsOf(user);
    const here = namespace ? this.#inNamespace(user, grants, namespace).rules : [];
    return { rules: [...grants.cluster.rules, ...here] };
  }

  /** The rules behind a reference; undefined when there is no such role. */
  rulesOf({ kind, name }: RoleRef, namespace: string): readonly PolicyRule[] | undefined {
    const isCluster = kind === 'ClusterRole';
    const entry = this.#feed.cache(isCluster ? ClusterRoleKind : Role).get(isCluster ? name : `${namespace}/${name}`);
    return entry && ((entry.object as ClusterRole).rules ?? []);
  }

  #grantsOf(user: User): UserGrants {
    this.#follow();
    const known = this.#users.get(user);
    if (known) return known;
    const made = { cluster: this.#gather(user, this.#indexed().cluster), namespaces: new Map<string, Grants>() };
    this.#users.set(user, made);
    return made;
  }

  #inNamespace(user: User, { namespaces }: UserGrants, namespace: string): Grants {
    const known = namespaces.get(namespace);
    if (known) return known;
    const here = this.#indexed().namespaces.get(namespace);
    // A namespace without bindings is not remembered: its name may be anything that somebody typed.
    if (!here) return Grants.none;
    const made = this.#gather(user, here);
    namespaces.set(namespace, made);
    return made;
  }

  #gather(user: User, index: BySubject): Grants {
    const grants = new Grants();
    for (const key of [`User:${user.name}`, ...user.groups.map((group) => `Group:${group}`)])
      for (const { binding, subject } of index.get(key) ?? []) {
        const rules = this.rulesOf(binding.roleRef, binding.metadata.namespace ?? '');
        if (rules) grants.add(rules, reasonOf(binding, subject));
        else grants.missing(binding.roleRef);
      }
    return grants;
  }

  #indexed(): Index {
    if (this.#index) return this.#index;
    const index: Index = { cluster: new Map(), namespaces: new Map() };
    for (const { object } of this.#feed.cache(ClusterRoleBinding).list())
      addTo(index.cluster, object as unknown as Binding);
    for (const { object } of this.#feed.cache(RoleBinding).list()) {
      const binding = object as unknown as Binding;
      const namespace = binding.metadata.namespace!;
      let here = index.namespaces.get(namespace);
      if (!here) index.namespaces.set(namespace, (here = new Map()));
      addTo(here, binding);
    }
    this.#index = index;
    return index;
  }

  /** Anew after a cache lost its place, which also ended our following it. */
  #follow(): void {
    if (this.#following.size === 4) return;
    for (const kind of [Role, ClusterRoleKind, RoleBinding, ClusterRoleBinding]) {
      const cache = this.#feed.cache(kind);
      if (this.#following.has(cache)) continue;
      this.#following.add(cache);
      this.#forget();
      cache.follow({
        events: () => this.#forget(),
        lost: () => {
          this.#following.delete(cache);
          this.#forget();
        },
      });
    }
  }

  #forget(): void {
    this.#index = undefined;
    this.#users = new WeakMap();
  }
}

function addTo(index: BySubject, binding: Binding): void {
  for (const subject of binding.subjects ?? []) {
    const key =
      subject.kind === 'ServiceAccount'
        ? `User:system:serviceaccount:${subject.namespace ?? binding.metadata.namespace ?? ''}:${subject.name}`
        : `${subject.kind}:${subject.name}`;
    const there = index.get(key);
    if (there) there.push({ binding, subject });
    else index.set(key, [{ binding, subject }]);
  }
}

function reasonOf({ metadata, roleRef }: Binding, { kind, name, namespace }: Subject): string {
  const binding = metadata.namespace
    ? `RoleBinding "${metadata.name}/${metadata.namespace}"`
    : `ClusterRoleBinding "${metadata.name}"`;
  const subject = kind === 'ServiceAccount' ? `${name}/${namespace ?? metadata.namespace ?? ''}` : name;
  return `RBAC: allowed by ${binding} of ${roleRef.kind} "${roleRef.name}" to ${kind} "${subject}"`;
}
