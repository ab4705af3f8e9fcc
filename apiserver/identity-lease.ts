import { createHash } from 'node:crypto';
import type { Kind } from '../api/kind.ts';
import { Lease } from '../api/kinds/lease.ts';
import { microTimestamp } from '../api/meta.ts';
import { isAlreadyExists } from '../api/status.ts';
import { self } from './auth/user.ts';
import type { Registry } from './registry.ts';

const options = { dryRun: false, user: self, fieldManager: 'kube-apiserver' };
const kind = Lease as Kind<never> as Kind;
const namespace = 'kube-system';
const label = 'apiserver.kubernetes.io/identity';
const component = 'kube-apiserver';
const durationSeconds = 3600;

export interface Instance {
  host: string;
  port: number;
  /** Another one at each start; the same for processes that serve behind one port. */
  id: string;
}

/**
 * The Lease by which this server tells the cluster that it is there, and the end of those whose servers are gone:
 * https://kubernetes.io/docs/concepts/architecture/leases/#api-server-identity. Processes behind one port are one server:
 * whichever looks first renews for all.
 */
export class IdentityLease {
  readonly name: string;
  readonly #registry: Registry;
  readonly #instance: Instance;
  readonly #renewMs: number;
  #hasBegun = false;

  constructor(registry: Registry, instance: Instance, renewMs: number) {
    this.#registry = registry;
    this.#instance = instance;
    this.#renewMs = renewMs;
    this.name = identityOf(instance);
  }

  /** Makes the lease or renews it. One of an earlier life of this server makes room for a new one the first time. */
  async renew(now: number): Promise<void> {
    const there = await this.#registry.read(kind, `${namespace}/${this.name}`);
    const { holderIdentity, renewTime } = specOf(there?.object);
    const isOld = !this.#hasBegun && holderIdentity !== this.#holder;
    if (there && isOld) await this.#registry.remove(kind, there, options);
    if (!there || isOld) await this.#create(now);
    else if (!(now - Date.parse(renewTime ?? '') < this.#renewMs * 0.9))
      await this.#registry.update(kind, there.key, 'main', options, (current) => ({
        ...current,
        metadata: { ...current.metadata, labels: { ...current.metadata.labels, ...this.#labels } },
        spec: { ...specOf(current), ...renewed(now) },
      }));
    this.#hasBegun = true;
  }

  /** Deletes the leases of servers that have not renewed them for as long as they said. */
  async collect(now: number): Promise<void> {
    for (const { key, object } of this.#registry.feed.cache(kind).list()) {
      if (object.metadata.labels?.[label] !== component || !isExpired(object, now)) continue;
      const newest = await this.#registry.read(kind, key);
      if (newest && isExpired(newest.object, now)) await this.#registry.remove(kind, newest, options);
    }
  }

  async #create(now: number): Promise<void> {
    const lease: Lease = {
      metadata: { name: this.name, namespace, labels: this.#labels },
      spec: { holderIdentity: this.#holder, ...renewed(now) },
    };
    try {
      await this.#registry.create(kind, lease, namespace, options);
    } catch (error) {
      // Another process of this server was first.
      if (!isAlreadyExists(error)) throw error;
    }
  }

  get #holder(): string {
    return `${this.name}_${this.#instance.id}`;
  }

  get #labels(): Record<string, string> {
    return { [label]: component, 'kubernetes.io/hostname': this.#instance.host };
  }
}

/** Without the port two servers of one machine would take the lease from each other. */
function identityOf({ host, port }: Instance): string {
  const hash = createHash('sha256').update(`${host}\0${port}\0${component}`).digest();
  return `apiserver-${base32(hash.subarray(0, 16))}`;
}

/** RFC 4648 in small letters, without padding. */
function base32(bytes: Uint8Array): string {
  const bits = [...bytes].map((byte) => byte.toString(2).padStart(8, '0')).join('');
  return bits.replace(/.{1,5}/g, (five) => 'abcdefghijklmnopqrstuvwxyz234567'.charAt(parseInt(five.padEnd(5, '0'), 2)));
}

const renewed = (now: number) => ({ leaseDurationSeconds: durationSeconds, renewTime: microTimestamp(now) });

const specOf = (object: object | undefined): NonNullable<Lease['spec']> =>
  (object !== undefined && 'spec' in object && typeof object.spec === 'object' && object.spec) || {};

function isExpired(object: object, now: number): boolean {
  const { renewTime, leaseDurationSeconds } = specOf(object);
  const end = Date.parse(renewTime ?? '') + (leaseDurationSeconds ?? NaN) * 1000;
  return !(end >= now);
}
