import type { ConfigMap } from '../api/kinds/config-map.ts';
import type { Pod } from '../api/kinds/pod.ts';
import type { Secret } from '../api/kinds/secret.ts';
import { StatusError } from '../api/status.ts';
import { delay } from '../lib/delay.ts';
import type { Apiserver } from './apiserver.ts';

export type SourceKind = 'configMap' | 'secret';

interface Source {
  kind: SourceKind;
  namespace: string;
  name: string;
  /** Uids of pods that mount it. */
  users: Set<string>;
  stop: () => void;
  /** Kept once it is known never to change. */
  immutable: ConfigMap | Secret | undefined;
  /** As it was read last, and whether it ever was. */
  last: { object: ConfigMap | Secret | undefined } | undefined;
}

/** How long the apiserver may take to answer where we know an answer, ms. */
const patience = 2_000;

/**
 * The config maps and secrets that pods of this node mount. Each is watched once, however many mount it, and a change of
 * it brings the volumes up to date; what is immutable is read once and then neither watched nor read.
 */
export class Sources {
  readonly #apiserver: Apiserver;
  readonly #sources = new Map<string, Source>();
  #changed: (podUid: string) => void = () => undefined;

  constructor(apiserver: Apiserver) {
    this.#apiserver = apiserver;
  }

  /** Called back for each pod that mounts what has changed. */
  onChange(listener: (podUid: string) => void): void {
    this.#changed = listener;
  }

  /** The pod mounts what its volumes name. May be called again. */
  follow(pod: Pod): void {
    const { namespace = '', uid = '' } = pod.metadata;
    for (const { kind, name } of mountedBy(pod)) {
      const key = keyOf(kind, namespace, name);
      const known = this.#sources.get(key);
      if (known) known.users.add(uid);
      else
        this.#watch(key, {
          kind,
          namespace,
          name,
          users: new Set([uid]),
          stop: () => undefined,
          immutable: undefined,
          last: undefined,
        });
    }
  }

  /** The pod is gone. */
  forget(uid: string): void {
    for (const [key, { users, stop }] of this.#sources)
      if (users.delete(uid) && users.size === 0) {
        stop();
        this.#sources.delete(key);
      }
  }

  async configMap(namespace: string, name: string): Promise<ConfigMap | undefined> {
    const known = this.#sources.get(keyOf('configMap', namespace, name));
    return (
      (known?.immutable as ConfigMap | undefined) ??
      keep(known, await latest(known, this.#apiserver.configMap(namespace, name)))
    );
  }

  async secret(namespace: string, name: string): Promise<Secret | undefined> {
    const known = this.#sources.get(keyOf('secret', namespace, name));
    return (
      (known?.immutable as Secret | undefined) ??
      keep(known, await latest(known, this.#apiserver.secret(namespace, name)))
    );
  }

  close(): void {
    for (const { stop } of this.#sources.values()) stop();
    this.#sources.clear();
  }

  #watch(key: string, source: Source): void {
    this.#sources.set(key, source);
    const { kind, namespace, name } = source;
    source.stop = this.#apiserver.watchSource(kind, namespace, name, () => {
      for (const uid of source.users) this.#changed(uid);
    });
  }
}

const keyOf = (kind: SourceKind, namespace: string, name: string): string => `${kind}/${namespace}/${name}`;

/**
 * As the apiserver has it now. Where it does not answer, as it was when it did: a container that has ended is started again though
 * the node is cut off. A refusal is an answer.
 */
async function latest<T extends ConfigMap | Secret>(
  source: Source | undefined,
  reading: Promise<T | undefined>,
): Promise<T | undefined> {
  const known = source?.last as { object: T | undefined } | undefined;
  const read = reading.then(
    (object) => ({ object }),
    (error: unknown) => {
      if (!known || error instanceof StatusError) throw error;
      return known;
    },
  );
  const over = new AbortController();
  const found = await (known ? Promise.race([read, delay(patience, over.signal).then(() => known)]) : read).finally(
    () => over.abort(),
  );
  // One that answers late is no worse than the one before.
  if (source) source.last = found;
  return found.object;
}

function keep<T extends ConfigMap | Secret>(source: Source | undefined, found: T | undefined): T | undefined {
  if (source && found?.immutable) {
    source.immutable = found;
    source.stop();
  }
  return found;
}

interface Projected {
  sources?: { configMap?: { name?: string }; secret?: { name?: string } }[];
}

/** What the volumes of a pod are made of. */
export function mountedBy({ spec }: Pod): { kind: SourceKind; name: string }[] {
  const found: { kind: SourceKind; name: string }[] = [];
  const add = (kind: SourceKind, name: string | undefined) => void (name && found.push({ kind, name }));
  for (const { configMap, secret, projected } of spec.volumes ?? []) {
    add('configMap', configMap?.name);
    add('secret', secret?.secretName);
    for (const source of (projected as Projected | undefined)?.sources ?? []) {
      add('configMap', source.configMap?.name);
      add('secret', source.secret?.name);
    }
  }
  return found;
}
