import { createHash } from 'node:crypto';
import type { Fragment } from './ledger.ts';
import { externalEndpoints, familyOf, internalEndpoints, type Endpoint, type ServicePort } from './rules.ts';
import { hex, PortRules } from './port-rules.ts';
import type { WriterOptions } from './writer.ts';

export const tableName = 'km-proxy';

/**
 * Up to so many, rules are written instead of a map: every map takes the kernel a walk over all others, which thousands of
 * Services would feel.
 */
const fewEndpoints = 16;
const loopback = { 4: '127.0.0.0/8', 6: '::1' } as const;
const ofFamily = (family: 4 | 6) => (address: string) => familyOf(address) === family;

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
    services: ['', service('service-ips'), ...atNodePorts('service-nodeports')],
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
    // Adding it first makes the deletion succeed whether it was there or not.
    ...[`add table ${t}`, `delete table ${t}`, `add table ${t}`],
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

/** The rules of one service port: a chain for each way to choose an endpoint, and entries that lead there. */
export const fragmentOf = (port: ServicePort, o: WriterOptions): Fragment => new Writing(port, o).write();

class Writing extends PortRules {
  readonly #f: 'ip' | 'ip6';
  readonly #id: string;
  readonly #mark: string;

  constructor(port: ServicePort, o: WriterOptions) {
    super(port, o);
    this.#f = port.family === 6 ? 'ip6' : 'ip';
    this.#id = createHash('sha256').update(port.key).digest('hex').slice(0, 12);
    this.#mark = `meta mark set meta mark or ${hex(o.masqueradeMark)}`;
  }

  protected internal(): void {
    const { clusterIP, port, cluster } = this.port;
    this.entries.set(`cluster-ips|${clusterIP}`, '');
    const to = `${clusterIP} . ${this.proto} . ${port}`;
    if (internalEndpoints(this.port).length > 0)
      this.entries.set(`service-ips|${to}`, `goto ${this.port.internalLocal ? this.#local() : this.#cluster()}`);
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
  #choice(kind: 'svc' | 'loc', endpoints: readonly Endpoint[]): string {
    const name = this.#name(kind);
    if (this.chains.has(name)) return name;
    for (const { address } of endpoints) this.entries.set(`hairpin|${address} . ${address}`, '');
    const choose = this.port.affinitySeconds > 0 ? this.#faithful(endpoints) : this.#translate(endpoints);
    this.chains.set(name, [...this.#masquerade(), ...choose]);
    return name;
  }

  /** Those who come to the cluster IP from outside the cluster need the answers to come back by us. */
  #masquerade(): string[] {
    const { clusterIP, family } = this.port;
    const here = `${this.#f} daddr ${clusterIP}`;
    if (this.o.masqueradeAll) return [`${here} ${this.#mark}`];
    const cidrs = this.o.clusterCidr.filter(ofFamily(family));
    return cidrs.length > 0
      ? [`${here} ${cidrs.map((cidr) => `${this.#f} saddr != ${cidr}`).join(' ')} ${this.#mark}`]
      : [];
  }

  /** A few are thrown for one after the other, each with its fair chance; for many a map answers at once. */
  #translate(endpoints: readonly Endpoint[]): string[] {
    const proto = `meta l4proto ${this.proto}`;
    const count = endpoints.length;
    if (count > fewEndpoints) {
      const all = endpoints.map(({ address, port }, i) => `${i} : ${address} . ${port}`).join(', ');
      return [`${proto} dnat ${this.#f} to numgen random mod ${count} map { ${all} }`];
    }
    return endpoints.map((endpoint, i) => {
      const chance = i < count - 1 ? `numgen random mod ${count - i} == 0 ` : '';
      return `${proto} ${chance}dnat to ${bracketed(endpoint)}`;
    });
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
      this.chains.set(`ep-${tail}`, [`update @${set} { ${this.#f} saddr }`, ...this.#translate([endpoint])]);
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

const bracketed = ({ address, port }: Endpoint): string =>
  address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
