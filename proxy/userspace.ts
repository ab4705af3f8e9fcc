import { networkInterfaces } from 'node:os';
import { BlockList } from 'node:net';
import type { Logger } from '../lib/log.ts';
import { Balancer } from './balancer.ts';
import {
  externalEndpoints,
  familyOf,
  internalEndpoints,
  type Changes,
  type Endpoint,
  type Protocol,
  type ServicePort,
} from './rules.ts';
import { listenTcp, listenUdp, type Listener } from './relays.ts';
import type { Refusal, Writer } from './writer.ts';

export interface UserspaceOptions {
  /** Where node ports answer (CIDRs); on every address of the node when it is empty. */
  nodePortAddresses: readonly string[];
  /** Milliseconds without a datagram after which a UDP client is forgotten. */
  udpIdle: number;
}

/** An address to listen on for one service port. */
interface Door {
  address: string;
  port: number;
  protocol: Protocol;
  endpoints: readonly Endpoint[];
  affinitySeconds: number;
  sourceRanges: readonly string[];
}

/** What listens behind a door; `change` gives it other endpoints without closing it. */
interface Open {
  owner: string;
  listener: Listener;
  balancer: Balancer;
  guard: { ranges: string; allows: (address: string) => boolean };
}

/**
 * Sockets on the Services' own addresses, where they can be bound: no rules, no root. A port without endpoints has no
 * listener, so that callers are refused at once.
 */
export class UserspaceWriter implements Writer {
  readonly #o: UserspaceOptions;
  readonly #log: Logger;
  readonly #open = new Map<string, Open>();
  readonly #ports = new Map<string, ServicePort>();

  constructor(o: UserspaceOptions, log: Logger) {
    this.#o = o;
    this.#log = log;
  }

  async apply(changes: Changes): Promise<Refusal[]> {
    const refused: Refusal[] = [];
    const doors = new Map(
      [...changes].map(([key, port]) => [key, port ? this.#doorsOf(port) : new Map<string, Door>()]),
    );
    // First those that close: what moves from one port to another must find its address free.
    for (const [key, own] of doors) await this.#closeOthers(key, own);
    for (const [key, own] of doors)
      for (const [id, door] of own) {
        const reason = await this.#ensure(key, id, door);
        if (reason) refused.push({ key, reason });
      }
    for (const [key, port] of changes)
      if (port) this.#ports.set(key, port);
      else this.#ports.delete(key);
    return refused;
  }

  async close(): Promise<void> {
    await Promise.all([...this.#open.values()].map(({ listener }) => listener.close()));
    this.#open.clear();
  }

  cleanup(): Promise<void> {
    return this.close();
  }

  /** Where it is bound; for tests and the log. */
  get doors(): string[] {
    return [...this.#open.keys()];
  }

  async #closeOthers(key: string, own: ReadonlyMap<string, Door>): Promise<void> {
    for (const id of this.#ports.has(key) ? this.#doorsOf(this.#ports.get(key)!).keys() : []) {
      const open = this.#open.get(id);
      if (open?.owner !== key || own.has(id)) continue;
      this.#open.delete(id);
      await open.listener.close();
    }
  }

  /** Why it could not be opened, or undefined. */
  async #ensure(key: string, id: string, door: Door): Promise<string | undefined> {
    const open = this.#open.get(id);
    if (open) {
      if (open.owner !== key) return `${id} is already served for ${open.owner}`;
      open.balancer.change(door.endpoints, door.affinitySeconds);
      open.listener.release((endpoint) => open.balancer.has(endpoint));
      if (open.guard.ranges !== String(door.sourceRanges)) open.guard = guardOf(door.sourceRanges);
      return undefined;
    }
    if (door.protocol === 'SCTP') return 'SCTP cannot be served without rules of the kernel';
    const balancer = new Balancer(door.endpoints, door.affinitySeconds);
    const made: Omit<Open, 'listener'> = { owner: key, balancer, guard: guardOf(door.sourceRanges) };
    const asked = {
      ...door,
      choose: (client: string) => (made.guard.allows(client) ? balancer.choose(client, Date.now()) : undefined),
      failed: (client: string) => balancer.forget(client),
      log: this.#log,
    };
    try {
      const listener = await (door.protocol === 'UDP' ? listenUdp(asked, this.#o.udpIdle) : listenTcp(asked));
      this.#open.set(id, Object.assign(made, { listener }));
      return undefined;
    } catch (error) {
      return whyNot(error as NodeJS.ErrnoException, id);
    }
  }

  #doorsOf(port: ServicePort): Map<string, Door> {
    const doors = new Map<string, Door>();
    const { protocol, affinitySeconds } = port;
    const add = (address: string, at: number, endpoints: readonly Endpoint[], sourceRanges: readonly string[] = []) => {
      if (endpoints.length === 0) return;
      const door = { address, port: at, protocol, endpoints, affinitySeconds, sourceRanges };
      doors.set(`${protocol.toLowerCase()} ${address} ${at}`, door);
    };
    add(port.clusterIP, port.port, internalEndpoints(port));
    const external = externalEndpoints(port);
    for (const ip of port.externalIPs) add(ip, port.port, external);
    for (const ip of port.loadBalancerIPs) add(ip, port.port, external, port.sourceRanges);
    if (port.nodePort)
      for (const ip of nodeAddresses(port.family, this.#o.nodePortAddresses)) add(ip, port.nodePort, external);
    return doors;
  }
}

function whyNot({ code, message }: NodeJS.ErrnoException, id: string): string {
  switch (code) {
    case 'EACCES':
      return `${id} needs root, or a lower net.ipv4.ip_unprivileged_port_start`;
    case 'EADDRNOTAVAIL':
      return `${id}: the address is not on this machine; use node ports, a service range in 127.0.0.0/8, or --mode nftables`;
    case 'EADDRINUSE':
      return `${id} is taken by another program`;
    default:
      return message;
  }
}

function guardOf(ranges: readonly string[]): Open['guard'] {
  if (ranges.length === 0) return { ranges: '', allows: () => true };
  const list = listOf(ranges);
  return {
    ranges: String(ranges),
    allows: (address) => list.check(address, familyOf(address) === 6 ? 'ipv6' : 'ipv4'),
  };
}

function listOf(ranges: readonly string[]): BlockList {
  const list = new BlockList();
  for (const range of ranges) {
    const [address, bits] = range.split('/');
    list.addSubnet(address!, Number(bits), familyOf(address!) === 6 ? 'ipv6' : 'ipv4');
  }
  return list;
}

/** All of them by one socket, or those of the ranges by one each. */
function nodeAddresses(family: 4 | 6, ranges: readonly string[]): string[] {
  if (ranges.length === 0) return [family === 6 ? '::' : '0.0.0.0'];
  const type = family === 6 ? 'ipv6' : 'ipv4';
  const list = listOf(ranges);
  return Object.values(networkInterfaces())
    .flatMap((all) => all ?? [])
    .map(({ address }) => address)
    .filter((address) => familyOf(address) === family && list.check(address, type));
}
