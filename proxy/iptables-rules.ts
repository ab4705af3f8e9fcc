import { createHash } from 'node:crypto';
import type { Fragment } from './ledger.ts';
import { externalEndpoints, familyOf, internalEndpoints, type Endpoint, type ServicePort } from './rules.ts';
import { hex, PortRules } from './port-rules.ts';
import type { WriterOptions } from './writer.ts';

/** Chains that all Services share, and where they hang: `table chain` → rules of its own. */
export function sharedChains(o: WriterOptions): Map<string, string[]> {
  const mark = hex(o.masqueradeMark);
  return new Map([
    ['nat KUBE-SERVICES', []],
    ['nat KUBE-NODEPORTS', []],
    ['nat KUBE-MARK-MASQ', [`-j MARK --or-mark ${mark}`]],
    [
      'nat KUBE-POSTROUTING',
      [`-m mark ! --mark ${mark}/${mark} -j RETURN`, `-j MARK --xor-mark ${mark}`, '-j MASQUERADE --random-fully'],
    ],
    ['filter KUBE-SERVICES', []],
    ['filter KUBE-NODEPORTS', []],
    [
      'filter KUBE-FORWARD',
      [
        // Answers that conntrack does not know would not be translated back: their receiver would break the connection off.
        '-m conntrack --ctstate INVALID -j DROP',
        // What comes by a node port goes on where nothing else is forwarded (Docker sets the policy of FORWARD to DROP).
        `-m mark --mark ${mark}/${mark} -j ACCEPT`,
        '-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
      ],
    ],
  ]);
}

/** Rules in the kernel's own chains, as arguments of iptables: table, chain, rule. */
export function hooks(family: 4 | 6, o: WriterOptions): [table: string, chain: string, rule: string[]][] {
  const ranges = o.nodePortAddresses.filter((range) => familyOf(range) === family).map((range) => ['-d', range]);
  const places = o.nodePortAddresses.length > 0 ? ranges : [['!', '-d', family === 6 ? '::1/128' : '127.0.0.0/8']];
  const local = (place: string[]) => [...place, '-m', 'addrtype', '--dst-type', 'LOCAL', '-j', 'KUBE-NODEPORTS'];
  const isNew = ['-m', 'conntrack', '--ctstate', 'NEW'];
  const nat = ['PREROUTING', 'OUTPUT'] as const;
  const filter = ['INPUT', 'FORWARD', 'OUTPUT'] as const;
  return [
    ...nat.map((chain) => ['nat', chain, ['-j', 'KUBE-SERVICES']] as [string, string, string[]]),
    ...nat.flatMap((chain) => places.map((place) => ['nat', chain, local(place)] as [string, string, string[]])),
    ['nat', 'POSTROUTING', ['-j', 'KUBE-POSTROUTING']],
    ...filter.map((chain) => ['filter', chain, [...isNew, '-j', 'KUBE-SERVICES']] as [string, string, string[]]),
    ['filter', 'FORWARD', ['-j', 'KUBE-FORWARD']],
    ...places.map((place) => ['filter', 'INPUT', [...isNew, ...local(place)]] as [string, string, string[]]),
  ];
}

/** The rules of one service port. Chains are named `table chain`, entries are `table chain|rule`. */
export const fragmentOf = (port: ServicePort, o: WriterOptions): Fragment => new Writing(port, o).write();

class Writing extends PortRules {
  readonly #unreachable: string;

  constructor(port: ServicePort, o: WriterOptions) {
    super(port, o);
    this.#unreachable = port.family === 6 ? 'icmp6-port-unreachable' : 'icmp-port-unreachable';
  }

  protected internal(): void {
    const { clusterIP, port, cluster, internalLocal } = this.port;
    const match = this.#to(clusterIP, port, 'cluster IP');
    if (internalEndpoints(this.port).length > 0)
      this.#enter('nat KUBE-SERVICES', `${match} -j ${internalLocal ? this.#local() : this.#cluster()}`);
    else this.#refuse('KUBE-SERVICES', match, cluster.length > 0);
  }

  protected external(): void {
    const { port, cluster, externalIPs, loadBalancerIPs, nodePort, sourceRanges } = this.port;
    const served = externalEndpoints(this.port).length > 0;
    const open = cluster.length > 0 || served;
    for (const ip of externalIPs) this.#door('KUBE-SERVICES', this.#to(ip, port, 'external IP'), open, served);
    for (const ip of loadBalancerIPs) {
      const match = this.#to(ip, port, 'load balancer IP');
      if (sourceRanges.length === 0 || !open) this.#door('KUBE-SERVICES', match, open, served);
      else {
        // Whom the ranges let in is translated; whoever still comes to the address then is not let in.
        this.#enter('nat KUBE-SERVICES', `${match} -j ${this.#firewall()}`);
        this.#enter('filter KUBE-SERVICES', `${match} -j DROP`);
      }
    }
    if (nodePort) this.#door('KUBE-NODEPORTS', this.#to('', nodePort, 'node port'), open, served);
  }

  #door(chain: string, match: string, open: boolean, served: boolean): void {
    if (open) this.#enter(`nat ${chain}`, `${match} -j ${this.#outside()}`);
    if (!served) this.#refuse(chain, match, open);
  }

  #refuse(chain: string, match: string, silently: boolean): void {
    const target = silently ? 'DROP' : `REJECT --reject-with ${this.#unreachable}`;
    this.#enter(`filter ${chain}`, `${match} -j ${target}`);
  }

  #enter(chain: string, rule: string): void {
    this.entries.set(`${chain}|${rule}`, '');
  }

  #to(address: string, port: number, what: string): string {
    const destination = address ? `-d ${address}/${this.port.family === 6 ? 128 : 32} ` : '';
    return `${destination}-p ${this.proto} -m ${this.proto} --dport ${port} -m comment --comment "${this.port.service} ${what}"`;
  }

  #cluster(): string {
    return this.#choice('KUBE-SVC', this.port.cluster);
  }

  #local(): string {
    return this.#choice('KUBE-SVL', this.port.local);
  }

  #outside(): string {
    const { cluster, externalLocal, family, local } = this.port;
    const name = this.#name('KUBE-EXT');
    if (!externalLocal) this.#chain(name, ['-j KUBE-MARK-MASQ', `-j ${this.#cluster()}`]);
    else {
      const inside = cluster.length > 0 ? this.#cluster() : '';
      const own = '-m addrtype --src-type LOCAL';
      const pods = this.o.clusterCidr.filter((cidr) => familyOf(cidr) === family);
      this.#chain(name, [
        ...(inside ? pods.map((cidr) => `-s ${cidr} -j ${inside}`) : []),
        ...(inside ? [`${own} -j KUBE-MARK-MASQ`, `${own} -j ${inside}`] : []),
        ...(local.length > 0 ? [`-j ${this.#local()}`] : []),
      ]);
    }
    return name;
  }

  #firewall(): string {
    const name = this.#name('KUBE-FW');
    const outside = this.#outside();
    this.#chain(
      name,
      this.port.sourceRanges.map((range) => `-s ${range} -j ${outside}`),
    );
    return name;
  }

  #choice(kind: string, endpoints: readonly Endpoint[]): string {
    const name = this.#name(kind);
    if (this.chains.has(`nat ${name}`)) return name;
    const separate = endpoints.map((endpoint) => this.#endpoint(endpoint));
    const { affinitySeconds } = this.port;
    const known = affinitySeconds
      ? separate.map((sep) => `-m recent --name ${sep} --rcheck --seconds ${affinitySeconds} --reap -j ${sep}`)
      : [];
    const chosen = separate.map((sep, i) => {
      const left = separate.length - i;
      return left === 1 ? `-j ${sep}` : `-m statistic --mode random --probability ${(1 / left).toFixed(10)} -j ${sep}`;
    });
    this.#chain(name, [...this.#masquerade(), ...known, ...chosen]);
    return name;
  }

  #masquerade(): string[] {
    const { clusterIP, port, family } = this.port;
    const match = this.#to(clusterIP, port, 'cluster IP');
    if (this.o.masqueradeAll) return [`${match} -j KUBE-MARK-MASQ`];
    const [cidr, ...others] = this.o.clusterCidr.filter((one) => familyOf(one) === family);
    if (!cidr) return [];
    if (others.length === 0) return [`! -s ${cidr} ${match} -j KUBE-MARK-MASQ`];
    // A rule knows one source: whoever is of none of the ranges is what a chain has left at its end.
    const name = this.#name('KUBE-OUT');
    this.#chain(name, [...[cidr, ...others].map((one) => `-s ${one} -j RETURN`), '-j KUBE-MARK-MASQ']);
    return [`${match} -j ${name}`];
  }

  #endpoint({ address, port }: Endpoint): string {
    const name = this.#name('KUBE-SEP', ` ${address} ${port}`);
    const v6 = this.port.family === 6;
    this.#chain(name, [
      `-s ${address}/${v6 ? 128 : 32} -j KUBE-MARK-MASQ`,
      ...(this.port.affinitySeconds ? [`-m recent --name ${name} --set`] : []),
      `-p ${this.proto} -m ${this.proto} -j DNAT --to-destination ${v6 ? `[${address}]` : address}:${port}`,
    ]);
    return name;
  }

  #chain(name: string, rules: string[]): void {
    this.chains.set(`nat ${name}`, rules);
  }

  /** At most 28 letters, as the kernel has room for. */
  #name(kind: string, more = ''): string {
    const hash = createHash('sha256').update(`${this.port.key}${more}`).digest('hex');
    return `${kind}-${hash.slice(0, 16).toUpperCase()}`;
  }
}
