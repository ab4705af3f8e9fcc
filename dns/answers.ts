import type { Answer } from 'dns-packet';
import { isIP } from 'node:net';
import { addressesOf, type Records } from './records.ts';

export interface Question {
  name: string;
  type: string;
}

export interface Response {
  rcode: 'NOERROR' | 'NXDOMAIN' | 'SERVFAIL' | 'REFUSED' | 'NOTIMP';
  authoritative: boolean;
  answers: Answer[];
  authorities: Answer[];
  /** Whose zone it is from; none for what others answered. */
  zone?: string;
}

export interface Zone {
  /** `cluster.local`, in lower case and without a dot at its end. */
  domain: string;
  ttl: number;
}

export const zoneOf = (domain: string, ttl: number): Zone => ({ domain: domain.toLowerCase().replace(/\.$/, ''), ttl });

const version = '1.1.0';

/** What the cluster has to say; undefined for names that are not the cluster's. */
export function answer(question: Question, records: Records, zone: Zone): Response | undefined {
  const name = question.name.toLowerCase().replace(/\.$/, '');
  if (name.endsWith('.in-addr.arpa') || name.endsWith('.ip6.arpa')) return pointer(name, question.type, records, zone);
  if (name !== zone.domain && !name.endsWith(`.${zone.domain}`)) return undefined;
  const labels = name === zone.domain ? [] : name.slice(0, -zone.domain.length - 1).split('.');
  return found(question, new Lookup(name, labels, records, zone).records(), zone);
}

/** Records under a name, or undefined where nothing has that name. */
type Found = readonly Answer[] | undefined;

export function found({ type }: Question, all: Found, zone: Zone): Response {
  if (!all)
    return {
      rcode: 'NXDOMAIN',
      authoritative: true,
      answers: [],
      authorities: [authority(zone)],
      zone: `${zone.domain}.`,
    };
  const answers = all.filter((record) => record.type === type || record.type === 'CNAME' || type === 'ANY');
  return {
    rcode: 'NOERROR',
    authoritative: true,
    answers,
    authorities: answers.length > 0 ? [] : [authority(zone)],
    zone: `${zone.domain}.`,
  };
}

const authority = ({ domain, ttl }: Zone): Answer => ({
  type: 'SOA',
  name: domain,
  ttl,
  data: {
    mname: `ns.dns.${domain}`,
    rname: `hostmaster.${domain}`,
    serial: 1,
    refresh: 7200,
    retry: 1800,
    expire: 86_400,
    minimum: ttl,
  },
});

/** One name of the zone, looked up. */
class Lookup {
  readonly #name: string;
  readonly #labels: readonly string[];
  readonly #records: Records;
  readonly #zone: Zone;

  constructor(name: string, labels: readonly string[], records: Records, zone: Zone) {
    this.#name = name;
    this.#labels = labels;
    this.#records = records;
    this.#zone = zone;
  }

  records(): Found {
    const labels = this.#labels;
    if (labels.length === 0) return [authority(this.#zone)];
    if (labels.length === 1 && labels[0] === 'dns-version')
      return [{ type: 'TXT', name: this.#name, ttl: this.#zone.ttl, data: version }];
    const kind = labels.at(-1);
    if (kind === 'svc') return this.#service(labels.slice(0, -1));
    return kind === 'pod' ? this.#pod(labels.slice(0, -1)) : undefined;
  }

  /** `10-1-2-3.default.pod`: what it says is what it is. */
  #pod(labels: readonly string[]): Found {
    if (labels.length < 2) return labels.length === 1 || labels.length === 0 ? [] : undefined;
    if (labels.length > 2) return undefined;
    const [label = ''] = labels;
    const v4 = label.replaceAll('-', '.');
    const address = isIP(v4) === 4 ? v4 : label.replaceAll('-', ':');
    return isIP(address) === 0 ? undefined : [this.#address(address)];
  }

  #service(labels: readonly string[]): Found {
    const namespace = labels.at(-1);
    if (namespace === undefined) return [];
    if (labels.length === 1) return this.#records.hasNamespace(namespace) ? [] : undefined;
    const name = labels.at(-2)!;
    const service = this.#records.service(namespace, name);
    if (!service) return undefined;
    const rest = labels.slice(0, -2);
    const { spec } = service;
    if (spec.type === 'ExternalName')
      return rest.length === 0
        ? [{ type: 'CNAME', name: this.#name, ttl: this.#zone.ttl, data: spec.externalName ?? '' }]
        : undefined;
    const addresses = addressesOf(service);
    const isHeadless = addresses.length === 0;
    if (rest.length === 0)
      return isHeadless ? this.#headless(namespace, name) : addresses.map((one) => this.#address(one));
    const [first = '', second = ''] = rest;
    if (rest.length === 2 && first.startsWith('_') && second.startsWith('_'))
      return isHeadless
        ? this.#headlessPorts(namespace, name, first.slice(1), second.slice(1))
        : this.#ports(service, first.slice(1), second.slice(1));
    if (rest.length !== 1 || !isHeadless) return undefined;
    const own = this.#records.endpoints(namespace, name).filter(({ label }) => label.toLowerCase() === first);
    return own.length > 0 ? own.map(({ address }) => this.#address(address)) : undefined;
  }

  /** A headless Service without endpoints is there all the same. */
  #headless(namespace: string, name: string): Answer[] {
    const addresses = new Set(this.#records.endpoints(namespace, name).map(({ address }) => address));
    return [...addresses].map((address) => this.#address(address));
  }

  #ports(
    { spec }: { spec: { ports?: { name?: string; port: number; protocol?: string }[] } },
    port: string,
    protocol: string,
  ): Found {
    const target = this.#name.split('.').slice(2).join('.');
    const ports = (spec.ports ?? []).filter(
      (one) => one.name?.toLowerCase() === port && (one.protocol ?? 'TCP').toLowerCase() === protocol,
    );
    return ports.length > 0 ? ports.map((one) => this.#srv(one.port, target)) : undefined;
  }

  #headlessPorts(namespace: string, name: string, port: string, protocol: string): Found {
    const service = this.#name.split('.').slice(2).join('.');
    // An endpoint with an address of each family is one.
    const found = new Map<string, Answer>();
    for (const { label, ports } of this.#records.endpoints(namespace, name))
      for (const one of ports)
        if (one.name.toLowerCase() === port && one.protocol.toLowerCase() === protocol)
          found.set(`${label} ${one.port}`, this.#srv(one.port, `${label}.${service}`));
    return found.size > 0 ? [...found.values()] : undefined;
  }

  #srv(port: number, target: string): Answer {
    return { type: 'SRV', name: this.#name, ttl: this.#zone.ttl, data: { priority: 0, weight: 100, port, target } };
  }

  #address(address: string): Answer {
    return { type: isIP(address) === 6 ? 'AAAA' : 'A', name: this.#name, ttl: this.#zone.ttl, data: address };
  }
}

/** Names of an address; undefined for addresses that are not the cluster's, which others may know. */
function pointer(name: string, type: string, records: Records, zone: Zone): Response | undefined {
  const address = addressIn(name);
  if (address === undefined) return undefined;
  const service = records.serviceAt(address);
  const names = service
    ? [`${service.metadata.name}.${service.metadata.namespace}.svc.${zone.domain}`]
    : records.endpointsAt(address).map((one) => `${one.hostname}.${one.service}.${one.namespace}.svc.${zone.domain}`);
  if (names.length === 0) return undefined;
  // An endpoint may be in a slice for each set of ports.
  const all = [...new Set(names)].map((data): Answer => ({ type: 'PTR', name, ttl: zone.ttl, data }));
  return found({ name, type }, all, zone);
}

/** `3.2.1.10.in-addr.arpa` → `10.1.2.3`. */
function addressIn(name: string): string | undefined {
  const labels = name.split('.').slice(0, -2).reverse();
  if (name.endsWith('.in-addr.arpa')) return isIP(labels.join('.')) === 4 ? labels.join('.') : undefined;
  if (labels.length !== 32) return undefined;
  const groups = Array.from({ length: 8 }, (_, i) => labels.slice(i * 4, i * 4 + 4).join(''));
  const full = groups.join(':');
  // The shortest form, which is how addresses are written in objects.
  return isIP(full) === 6 ? new URL(`http://[${full}]`).hostname.slice(1, -1) : undefined;
}
