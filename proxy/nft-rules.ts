import { createHash } from 'node:crypto';
import type { CommonChoice, CommonChoices } from './common-choices.ts';
import type { Fragment } from './ledger.ts';
import {
  externalEndpoints,
  familyOf,
  internalEndpoints,
  isExternal,
  type Endpoint,
  type ServicePort,
} from './rules.ts';
import { hex, PortRules } from './port-rules.ts';
import type { Shelves } from './shelves.ts';
import type { WriterOptions } from './writer.ts';

export const tableName = 'km-proxy';

const loopback = { 4: '127.0.0.0/8', 6: '::1' } as const;
const ofFamily = (family: 4 | 6) => (address: string) => familyOf(address) === family;

/** What an earlier proxy has left: its maps, sets and chains, by name. */
export interface Left {
  maps: readonly string[];
  sets: readonly string[];
  chains: readonly string[];
}

/** Reads what nft lists of our table, without elements. */
export function leftIn(listed: string): Left {
  const all = (what: string) =>
    [...listed.matchAll(new RegExp(`^\\t${what} (\\S+) \\{`, 'gm'))].map(([, name]) => name!);
  return { maps: all('map'), sets: all('set'), chains: all('chain') };
}

/** An empty table. Of what was left all goes but the sets that are to stay, for what they know: who is faithful to whom. */
export function emptied(family: 4 | 6, left: Left | undefined, stays: ReadonlySet<string>): string[] {
  const t = `${family === 6 ? 'ip6' : 'ip'} ${tableName}`;
  // Adding it first makes the deletion succeed whether it was there or not.
  if (!left) return [`add table ${t}`, `delete table ${t}`, `add table ${t}`];
  return [
    `flush table ${t}`,
    ...left.maps.map((map) => `delete map ${t} ${map}`),
    ...left.chains.map((chain) => `delete chain ${t} ${chain}`),
    ...left.sets.filter((set) => !stays.has(set)).map((set) => `delete set ${t} ${set}`),
  ];
}

/** What there is before any Service: hooks, and the maps that lead to the chains of Services. */
export function skeleton(family: 4 | 6, o: WriterOptions): string[] {
  const f = family === 6 ? 'ip6' : 'ip';
  const address = family === 6 ? 'ipv6_addr' : 'ipv4_addr';
  const mark = hex(o.masqueradeMark);
  const ranges = o.nodePortAddresses.filter(ofFamily(family));
  const places = o.nodePortAddresses.length > 0 ? ranges : [`!= ${loopback[family]}`];
  const atNodePorts = (map: string) =>
    places.map((place) => `fib daddr type local ${f} daddr ${place} meta l4proto . th dport vmap @${map}`);
  const service = (map: string) => `${f} daddr . meta l4proto . th dport vmap @${map}`;
  const chains: Record<string, [hook: string, ...rules: string[]]> = {
    'reject-chain': ['', 'reject'],
    services: ['', ...masquerade(f, mark, o), service('service-ips'), ...atNodePorts('service-nodeports')],
    'no-endpoints': [
      '',
      service('no-endpoint-services'),
      ...atNodePorts('no-endpoint-nodeports'),
      `${f} daddr @cluster-ips goto reject-chain`,
    ],
    'firewall-prerouting': ['type filter hook prerouting priority -110', `ct state new ${service('firewall-ips')}`],
    'firewall-output': ['type filter hook output priority -110', `ct state new ${service('firewall-ips')}`],
    'filter-input': ['type filter hook input priority 0', 'ct state new jump no-endpoints'],
    'filter-forward': ['type filter hook forward priority 0', 'ct state new jump no-endpoints'],
    'filter-output': ['type filter hook output priority 0', 'ct state new jump no-endpoints'],
    'nat-prerouting': ['type nat hook prerouting priority -100', 'jump services'],
    'nat-output': ['type nat hook output priority -100', 'jump services'],
    'nat-postrouting': [
      'type nat hook postrouting priority 100',
      `ct status dnat ${f} saddr . ${f} daddr @hairpin masquerade fully-random`,
      `meta mark and ${mark} == 0 return`,
      `meta mark set meta mark xor ${mark}`,
      'masquerade fully-random',
    ],
  };
  const t = `${f} ${tableName}`;
  return [
    `add set ${t} cluster-ips { type ${address}; }`,
    `add set ${t} hairpin { type ${address} . ${address}; }`,
    ...['service-ips', 'no-endpoint-services', 'firewall-ips'].map(
      (map) => `add map ${t} ${map} { type ${address} . inet_proto . inet_service : verdict; }`,
    ),
    ...['service-nodeports', 'no-endpoint-nodeports'].map(
      (map) => `add map ${t} ${map} { type inet_proto . inet_service : verdict; }`,
    ),
    ...Object.entries(chains).map(([name, [hook]]) => `add chain ${t} ${name}${hook ? ` { ${hook}; }` : ''}`),
    ...Object.entries(chains).flatMap(([name, [, ...rules]]) => rules.map((rule) => `add rule ${t} ${name} ${rule}`)),
  ];
}

/** Those who come to a cluster IP from outside the cluster need the answers to come back by us. */
function masquerade(f: 'ip' | 'ip6', mark: string, { clusterCidr, masqueradeAll }: WriterOptions): string[] {
  const cidrs = clusterCidr.filter(ofFamily(f === 'ip6' ? 6 : 4));
  if (!masqueradeAll && cidrs.length === 0) return [];
  const outside = masqueradeAll ? [] : cidrs.map((cidr) => `${f} saddr != ${cidr}`);
  return [[`${f} daddr @cluster-ips`, ...outside, `meta mark set meta mark or ${mark}`].join(' ')];
}

/** A map from numbers to endpoints. Its types are told by examples: numbers that were thrown for have no name in nft. */
export const endpointMap = (family: 4 | 6, protocol: string): string =>
  `{ typeof numgen random mod 65536 : ${family === 6 ? 'ip6' : 'ip'} daddr . ${protocol} dport; }`;

/** What Services that choose in the same way share. */
export function linesOf(family: 4 | 6, { name, protocol, count }: CommonChoice): string[] {
  const f = family === 6 ? 'ip6' : 'ip';
  const t = `${f} ${tableName}`;
  const key = (of: number) => `${f} daddr . ${protocol} dport . numgen random mod ${of}`;
  return [
    `add map ${t} ${name} { typeof ${key(65_536)} : ${f} daddr . ${protocol} dport; }`,
    `add chain ${t} ${name}`,
    `add rule ${t} ${name} meta l4proto ${protocol} dnat ${f} to ${key(count)} map @${name}`,
  ];
}

/** Where endpoints stand. */
export interface Places {
  common: CommonChoices;
  shelves: Shelves;
}

/** The rules of one service port: entries that lead to a choice of an endpoint, and where it asks for more than that, chains of its own. */
export const fragmentOf = (port: ServicePort, o: WriterOptions, places: Places): Fragment =>
  new Writing(port, o, places).write();

/** Lets go of the numbers of a port that is no more. */
export function forget(key: string, { shelves }: Places): void {
  for (const kind of choices) shelves.forget(`${kind} ${key}`);
}

/** All endpoints of the cluster, and those of this node. */
const choices = ['svc', 'loc'] as const;
type Choice = (typeof choices)[number];

class Writing extends PortRules {
  readonly #f: 'ip' | 'ip6';
  readonly #id: string;
  readonly #mark: string;
  readonly #places: Places;

  constructor(port: ServicePort, o: WriterOptions, places: Places) {
    super(port, o);
    this.#places = places;
    this.#f = port.family === 6 ? 'ip6' : 'ip';
    this.#id = createHash('sha256').update(port.key).digest('hex').slice(0, 12);
    this.#mark = `meta mark set meta mark or ${hex(o.masqueradeMark)}`;
  }

  protected internal(): void {
    const { clusterIP, port, cluster } = this.port;
    this.entries.set(`cluster-ips|${clusterIP}`, '');
    const to = `${clusterIP} . ${this.proto} . ${port}`;
    const endpoints = internalEndpoints(this.port);
    if (endpoints.length > 0) this.entries.set(`service-ips|${to}`, `goto ${this.#internalChoice(endpoints)}`);
    else this.entries.set(`no-endpoint-services|${to}`, cluster.length > 0 ? 'drop' : 'goto reject-chain');
  }

  protected external(): void {
    const { cluster, externalIPs, loadBalancerIPs, nodePort, sourceRanges } = this.port;
    const doors = [
      ...[...externalIPs, ...loadBalancerIPs].map((ip) => ['services', `${ip} . ${this.proto} . ${this.port.port}`]),
      ...(nodePort ? [['nodeports', `${this.proto} . ${nodePort}`]] : []),
    ] as ['services' | 'nodeports', string][];
    const served = externalEndpoints(this.port).length > 0;
    for (const [kind, to] of doors) {
      if (cluster.length > 0 || served)
        this.entries.set(
          `${kind === 'services' ? 'service-ips' : 'service-nodeports'}|${to}`,
          `goto ${this.#outside()}`,
        );
      if (!served) this.entries.set(`no-endpoint-${kind}|${to}`, cluster.length > 0 ? 'drop' : 'goto reject-chain');
    }
    if (sourceRanges.length > 0)
      for (const ip of loadBalancerIPs)
        this.entries.set(`firewall-ips|${ip} . ${this.proto} . ${this.port.port}`, `goto ${this.#firewall()}`);
  }

  #internalChoice(endpoints: readonly Endpoint[]): string {
    // Who comes by several doors would be there once for each: he has a chain.
    if (!isExternal(this.port) && this.port.affinitySeconds === 0) return this.#common(endpoints);
    return this.port.internalLocal ? this.#local() : this.#cluster();
  }

  #common(endpoints: readonly Endpoint[]): string {
    forget(this.port.key, this.#places);
    const name = this.#places.common.of(this.proto, endpoints.length);
    for (const [i, { address, port }] of endpoints.entries())
      this.entries.set(`${name}|${this.port.clusterIP} . ${this.port.port} . ${i}`, `${address} . ${port}`);
    this.#hairpin(endpoints);
    return name;
  }

  #cluster(): string {
    return this.#choice('svc', this.port.cluster);
  }

  #local(): string {
    return this.#choice('loc', this.port.local);
  }

  #outside(): string {
    const name = this.#name('ext');
    const cidrs = this.o.clusterCidr.filter(ofFamily(this.port.family));
    if (!this.port.externalLocal) this.chains.set(name, [this.#mark, `goto ${this.#cluster()}`]);
    else {
      // Pods and the node itself reach the whole cluster; only what comes from outside stays here, with its address.
      const inside = this.port.cluster.length > 0 ? this.#cluster() : '';
      this.chains.set(name, [
        ...(inside ? cidrs.map((cidr) => `${this.#f} saddr ${cidr} goto ${inside}`) : []),
        ...(inside ? [`fib saddr type local ${this.#mark}`, `fib saddr type local goto ${inside}`] : []),
        ...(this.port.local.length > 0 ? [`goto ${this.#local()}`] : []),
      ]);
    }
    return name;
  }

  #firewall(): string {
    const name = this.#name('fw');
    this.chains.set(name, [...this.port.sourceRanges.map((range) => `${this.#f} saddr ${range} return`), 'drop']);
    return name;
  }

  /** A chain that chooses one of the endpoints. */
  #choice(kind: Choice, endpoints: readonly Endpoint[]): string {
    const name = this.#name(kind);
    if (this.chains.has(name)) return name;
    this.#hairpin(endpoints);
    this.chains.set(name, this.port.affinitySeconds > 0 ? this.#faithful(endpoints) : [this.#any(kind, endpoints)]);
    return name;
  }

  /** An endpoint that is led to itself has to see another's address. */
  #hairpin(endpoints: readonly Endpoint[]): void {
    for (const { address } of endpoints) this.entries.set(`hairpin|${address} . ${address}`, '');
  }

  /** Throws for one of several, whom a map knows by their numbers. */
  #any(kind: Choice, endpoints: readonly Endpoint[]): string {
    const [only, ...others] = endpoints;
    if (only && others.length === 0) return this.#translate(only);
    const { map, first } = this.#places.shelves.place(`${kind} ${this.port.key}`, this.proto, endpoints.length);
    for (const [i, { address, port }] of endpoints.entries())
      this.entries.set(`${map}|${first + i}`, `${address} . ${port}`);
    return `meta l4proto ${this.proto} dnat ${this.#f} to numgen random mod ${endpoints.length} offset ${first} map @${map}`;
  }

  #translate({ address, port }: Endpoint): string {
    return `meta l4proto ${this.proto} dnat to ${this.port.family === 6 ? `[${address}]` : address}:${port}`;
  }

  /** A client that came within the time goes where it went; each endpoint has a set of those it knows. */
  #faithful(endpoints: readonly Endpoint[]): string[] {
    const { affinitySeconds, family } = this.port;
    const type = family === 6 ? 'ipv6_addr' : 'ipv4_addr';
    const known: string[] = [];
    const chains = endpoints.map((endpoint) => {
      const tail = `${this.#id}-${endpoint.address.replaceAll(':', '.')}/${endpoint.port}`;
      const set = `aff-${affinitySeconds}-${tail}`;
      this.sets.set(set, `{ type ${type}; flags dynamic,timeout; timeout ${affinitySeconds}s; }`);
      this.chains.set(`ep-${tail}`, [`update @${set} { ${this.#f} saddr }`, this.#translate(endpoint)]);
      known.push(`${this.#f} saddr @${set} goto ep-${tail}`);
      return `ep-${tail}`;
    });
    const all = chains.map((chain, i) => `${i} : goto ${chain}`).join(', ');
    return [...known, `numgen random mod ${endpoints.length} vmap { ${all} }`];
  }

  /** `svc-0123456789ab-default/web/tcp/80`, for whoever reads the rules. */
  #name(kind: string): string {
    return `${kind}-${this.#id}-${this.port.service}/${this.proto}/${this.port.port}`.slice(0, 120);
  }
}
