import { annotations } from '../api/kinds/names.ts';
import type { Namespace } from '../api/kinds/namespace.ts';
import type { Pod } from '../api/kinds/pod.ts';
import type { Informer } from '../client/informer.ts';

export interface RolesOptions {
  /** Of pods whose namespace has none. */
  mesosRole: string;
  mesosRoles: readonly string[];
  /** `namespace=role` */
  namespaceRoles: readonly string[];
}

/**
 * Which Mesos role a pod uses: that of its namespace's annotation, else of the configuration, else the common one. An
 * annotation can only choose among the roles that the configuration names; others are answered all the same, and their pods
 * are told.
 */
export class Roles {
  /** That we subscribe in, the common one first. */
  readonly all: readonly string[];
  readonly #common: string;
  #configured: ReadonlyMap<string, string>;
  readonly #namespaces: Pick<Informer<Namespace>, 'get'>;

  /** Throws an Error that says what would be right. */
  constructor({ mesosRole, mesosRoles, namespaceRoles }: RolesOptions, namespaces: Pick<Informer<Namespace>, 'get'>) {
    this.#common = mesosRole;
    this.#configured = new Map(namespaceRoles.map(pairOf));
    this.#namespaces = namespaces;
    this.all = [...new Set([mesosRole, ...mesosRoles, ...this.#configured.values()])];
  }

  /** Other roles for namespaces, of those that we are in: `namespace=role`. Throws an Error that says what would be right. */
  configure(namespaceRoles: readonly string[]): void {
    this.#configured = new Map(namespaceRoles.map(pairOf));
  }

  of({ metadata: { namespace = '' } }: Pod): string {
    const wished = this.#namespaces.get(namespace)?.metadata.annotations?.[annotations.role];
    return wished || (this.#configured.get(namespace) ?? this.#common);
  }
}

function pairOf(text: string): [namespace: string, role: string] {
  const [namespace = '', role = ''] = text.split('=');
  if (namespace === '' || role === '') throw new Error(`--namespace-roles: expected namespace=role, got "${text}"`);
  return [namespace, role];
}
