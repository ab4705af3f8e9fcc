import type { Logger } from '../lib/log.ts';
import {
  externalEndpoints,
  internalEndpoints,
  type Changes,
  type Endpoint,
  type Plan,
  type ServicePort,
} from './rules.ts';
import type { Run } from './writer.ts';

/**
 * UDP has no end, so the kernel keeps a flow on the path it first took. Makes it forget those that lead from an address of a changed port
 * to none of its endpoints: they went, or nobody answered yet. Never fails: a flow that stays runs out by itself.
 */
export async function forgetStale(before: Plan, changes: Changes, run: Run, log: Logger): Promise<void> {
  for (const family of [4, 6] as const) {
    const doors = changedDoors(before, changes, family);
    if (doors.size === 0) continue;
    const of = ['-p', 'udp', ...(family === 6 ? ['-f', 'ipv6'] : [])];
    try {
      for (const args of staleFlows(doors, await run('conntrack', ['-L', ...of])))
        await run('conntrack', ['-D', ...of, ...args]).catch((error: Error) => {
          if (!/0 flow entries/.test(error.message)) throw error;
        });
    } catch (err) {
      log.warn({ err }, 'stale UDP flows could not be forgotten');
    }
  }
}

/** Addresses with ports, and node ports as ` port` → who answers there now. */
type Doors = ReadonlyMap<string, ReadonlySet<string>>;

function changedDoors(before: Plan, changes: Changes, family: 4 | 6): Doors {
  const doors = new Map<string, Set<string>>();
  const ofUdp = (port: ServicePort | undefined) =>
    port?.protocol === 'UDP' && port.family === family ? doorsOf(port) : [];
  for (const key of changes.keys()) for (const [at] of ofUdp(before.get(key))) doors.set(at, new Set());
  for (const port of changes.values())
    for (const [at, endpoints] of ofUdp(port))
      doors.set(at, new Set(endpoints.map(({ address, port: number }) => `${address} ${number}`)));
  return doors;
}

const flow = /\bsrc=\S+ dst=(\S+) sport=\d+ dport=(\d+) .*?src=(\S+) dst=\S+ sport=(\d+)/gm;

/** Which of the flows that `conntrack` lists lead astray, as its arguments; those from one address to another are one. */
function staleFlows(doors: Doors, listed: string): string[][] {
  const stale = new Map<string, string[]>();
  for (const [, to, at, from, port] of listed.matchAll(flow)) {
    const endpoints = doors.get(`${to} ${at}`) ?? doors.get(` ${at}`);
    if (!endpoints || endpoints.has(`${from} ${port}`)) continue;
    const args = ['--orig-dst', to!, '--dport', at!, '--reply-src', from!, '--reply-port-src', port!];
    stale.set(args.join(' '), args);
  }
  return [...stale.values()];
}

function doorsOf(port: ServicePort): [at: string, endpoints: readonly Endpoint[]][] {
  // Pods and the node itself come to all of them from outside, too.
  const external = [...externalEndpoints(port), ...port.cluster];
  return [
    [`${port.clusterIP} ${port.port}`, internalEndpoints(port)],
    ...[...port.externalIPs, ...port.loadBalancerIPs].map(
      (ip) => [`${ip} ${port.port}`, external] as [string, readonly Endpoint[]],
    ),
    ...(port.nodePort ? [[` ${port.nodePort}`, external] as [string, readonly Endpoint[]]] : []),
  ];
}
