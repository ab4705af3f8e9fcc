import { createHash } from 'node:crypto';
import { storedAs, type Kind } from '../api/kind.ts';
import type { Aggregator, Remote, RemoteResource } from './aggregation/aggregator.ts';
import { compareVersions, localPriority, type Priority } from './aggregation/priorities.ts';
import type { KindTable } from './kinds.ts';
import { subresourceFacts, verbsOf } from './subresources/facts.ts';

const hash = (value: unknown): string => createHash('sha256').update(JSON.stringify(value)).digest('hex').toUpperCase();

/** Tells clients when the stored form of a kind changes. */
function storageHash(served: Kind): string {
  const { group, version, kind } = storedAs(served);
  return createHash('sha256').update(`${group}/${version}/${kind}`).digest().subarray(0, 8).toString('base64');
}

const gv = (group: string, version: string): string => (group ? `${group}/${version}` : version);

export interface Discovered {
  bytes: Buffer;
  etag: string;
}

/** `GET /api`, `/apis`, `/apis/<group>`, `/apis/<group>/<version>`, and the two aggregated forms of the first two. */
export class Discovery {
  readonly #kinds: KindTable;
  readonly #aggregator: Aggregator;
  readonly #made = new Map<string, Discovered | undefined>();
  /** The state of the kinds that the documents were made of. */
  #generation = '';

  constructor(kinds: KindTable, aggregator: Aggregator) {
    this.#kinds = kinds;
    this.#aggregator = aggregator;
  }

  /** The JSON at a path, made once for each state of the kinds; undefined when nothing is served there. */
  at(path: string, aggregated: 'v2' | 'v2beta1' | undefined, address: string): Discovered | undefined {
    const generation = `${this.#kinds.generation}/${this.#aggregator.generation}`;
    if (this.#generation !== generation) {
      this.#made.clear();
      this.#generation = generation;
    }
    const key = `${aggregated} ${address} ${path}`;
    const known = this.#made.get(key);
    if (known) return known;
    const value = this.#value(path, aggregated, address);
    if (value === undefined) return undefined;
    const made = { bytes: Buffer.from(JSON.stringify(value)), etag: `"${hash(value)}"` };
    this.#made.set(key, made);
    return made;
  }

  #value(path: string, aggregated: 'v2' | 'v2beta1' | undefined, address: string): unknown {
    const parts = path.split('/').filter(Boolean);
    if (parts[0] === 'api') {
      if (parts.length === 1) return aggregated ? this.#aggregated(true, aggregated) : apiVersions(address);
      return parts.length === 2 ? this.#resources('', parts[1]!) : undefined;
    }
    if (parts.length === 1) return aggregated ? this.#aggregated(false, aggregated) : this.#groupList();
    if (parts.length === 2) return this.#group(parts[1]!);
    return parts.length === 3 ? this.#resources(parts[1]!, parts[2]!) : undefined;
  }

  /** What `GET /` lists. */
  paths(): string[] {
    const groups = this.#groups().flatMap(({ group, versions }) => [
      `/apis/${group}`,
      ...versions.map((v) => `/apis/${group}/${v}`),
    ]);
    return [
      '/api',
      '/api/v1',
      '/apis',
      ...groups,
      '/healthz',
      '/livez',
      '/metrics',
      '/openapi/v2',
      '/openapi/v3',
      '/readyz',
      '/version',
    ].sort();
  }

  /** Groups and their versions, those that clients should prefer first. */
  #groups(): { group: string; versions: string[] }[] {
    const found = new Map<string, { priority: number; versions: Map<string, number> }>();
    const add = (group: string, version: string, priority: Priority) => {
      const known = found.get(group) ?? { priority: 0, versions: new Map<string, number>() };
      known.priority = Math.max(known.priority, priority.group);
      known.versions.set(version, known.versions.get(version) ?? priority.version);
      found.set(group, known);
    };
    for (const kind of this.#kinds.all) if (kind.group !== '') add(kind.group, kind.version, localPriority(kind));
    for (const { group, version, service } of this.#aggregator.remotes) {
      const { groupPriorityMinimum, versionPriority } = service.spec;
      add(group, version, { group: groupPriorityMinimum, version: versionPriority });
    }
    return [...found]
      .sort(([a, one], [b, other]) => other.priority - one.priority || (a < b ? -1 : 1))
      .map(([group, { versions }]) => ({
        group,
        versions: [...versions]
          .sort(([a, one], [b, other]) => other - one || compareVersions(a, b))
          .map(([version]) => version),
      }));
  }

  #groupList(): unknown {
    return { kind: 'APIGroupList', apiVersion: 'v1', groups: this.#groups().map(groupValue) };
  }

  #group(name: string): unknown {
    const found = this.#groups().find(({ group }) => group === name);
    return found && { kind: 'APIGroup', apiVersion: 'v1', ...groupValue(found) };
  }

  #resources(group: string, version: string): unknown {
    const kinds = this.#kinds.of(group, version);
    if (kinds.length === 0) return undefined;
    const resources = kinds.flatMap(resourceValues);
    return {
      kind: 'APIResourceList',
      ...(group ? { apiVersion: 'v1' } : {}),
      groupVersion: gv(group, version),
      resources: resources.sort((a, b) => (a.name < b.name ? -1 : 1)),
    };
  }

  #aggregated(core: boolean, version: 'v2' | 'v2beta1'): unknown {
    const groups = core ? [{ group: '', versions: ['v1'] }] : this.#groups();
    return {
      kind: 'APIGroupDiscoveryList',
      apiVersion: `apidiscovery.k8s.io/${version}`,
      metadata: {},
      items: groups.map(({ group, versions }) => ({
        metadata: { ...(group ? { name: group } : {}), creationTimestamp: null },
        versions: versions.map((v) => {
          const remote = this.#aggregator.find(`/apis/${group}/${v}`);
          return {
            version: v,
            freshness: remote && !remote.isAvailable ? 'Stale' : 'Current',
            resources: remote ? remoteValues(remote) : this.#kinds.of(group, v).map(aggregatedValue),
          };
        }),
      })),
    };
  }
}

const apiVersions = (address: string): unknown => ({
  kind: 'APIVersions',
  versions: ['v1'],
  serverAddressByClientCIDRs: [{ clientCIDR: '0.0.0.0/0', serverAddress: address }],
});

function groupValue({ group, versions }: { group: string; versions: string[] }) {
  const all = versions.map((version) => ({ groupVersion: gv(group, version), version }));
  return { name: group, versions: all, preferredVersion: all[0]! };
}

function resourceValues(kind: Kind) {
  const main = {
    name: kind.plural,
    singularName: kind.singular,
    namespaced: kind.namespaced,
    kind: kind.kind,
    verbs: verbsOf(kind),
    ...(kind.short.length ? { shortNames: kind.short } : {}),
    ...(kind.categories.length ? { categories: kind.categories } : {}),
    ...(kind.verbs || kind.question ? {} : { storageVersionHash: storageHash(kind) }),
  };
  const subs = kind.subresources.map((subresource) => {
    const { verbs: allowed, kind: name = kind.kind, group, version } = subresourceFacts(kind, subresource);
    return {
      name: `${kind.plural}/${subresource}`,
      singularName: '',
      namespaced: kind.namespaced,
      ...(group === undefined ? {} : { group, version }),
      kind: name,
      verbs: allowed,
    };
  });
  return [main, ...subs];
}

function aggregatedValue(kind: Kind) {
  return {
    resource: kind.plural,
    responseKind: { group: kind.group, version: kind.version, kind: kind.kind },
    scope: kind.namespaced ? 'Namespaced' : 'Cluster',
    singularResource: kind.singular,
    verbs: verbsOf(kind),
    ...(kind.short.length ? { shortNames: kind.short } : {}),
    ...(kind.categories.length ? { categories: kind.categories } : {}),
    ...(kind.subresources.length
      ? {
          subresources: kind.subresources.map((subresource) => {
            const facts = subresourceFacts(kind, subresource);
            return {
              subresource,
              responseKind: {
                group: facts.group ?? kind.group,
                version: facts.version ?? kind.version,
                kind: facts.kind ?? kind.kind,
              },
              verbs: facts.verbs,
            };
          }),
        }
      : {}),
  };
}

/** Which aggregated form an Accept header asks for, if it does before anything else. */
export function aggregatedForm(accept: string): { version: 'v2' | 'v2beta1'; contentType: string } | undefined {
  for (const clause of accept.split(',')) {
    const parts = clause.split(';').map((part) => part.trim());
    const has = (parameter: string) => parts.includes(parameter);
    if (parts[0] !== 'application/json') continue;
    if (has('as=APIGroupDiscoveryList') && has('g=apidiscovery.k8s.io'))
      for (const version of ['v2', 'v2beta1'] as const)
        if (has(`v=${version}`))
          return {
            version,
            contentType: `application/json;g=apidiscovery.k8s.io;v=${version};as=APIGroupDiscoveryList`,
          };
    if (parts.length === 1) return undefined;
  }
  return undefined;
}

/** What another server's discovery lists, in the aggregated form. */
function remoteValues({ group, version, resources = [] }: Remote): unknown[] {
  const kindOf = (resource: RemoteResource) => ({
    group: resource.group ?? group,
    version: resource.version ?? version,
    kind: resource.kind,
  });
  return resources
    .filter(({ name }) => !name.includes('/'))
    .map((resource) => {
      const { name, namespaced, singularName = '', verbs, shortNames, categories } = resource;
      const subresources = resources
        .filter((other) => other.name.startsWith(`${name}/`))
        .map((other) => ({
          subresource: other.name.slice(name.length + 1),
          responseKind: kindOf(other),
          verbs: other.verbs,
        }));
      return {
        resource: name,
        responseKind: kindOf(resource),
        scope: namespaced ? 'Namespaced' : 'Cluster',
        singularResource: singularName || resource.kind.toLowerCase(),
        verbs,
        ...(shortNames?.length ? { shortNames } : {}),
        ...(categories?.length ? { categories } : {}),
        ...(subresources.length ? { subresources } : {}),
      };
    });
}
