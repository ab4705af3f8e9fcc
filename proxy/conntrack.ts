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
 * UDP has no end, so the kernel keeps a flow on the path it first took. These are the arguments of `conntrack` that make it
 * forget the flows to endpoints that went, and those that were answered by nobody before there was an endpoint.
 */
export function staleFlows(before: Plan, changes: Changes): string[][] {
  const stale = new Map<string, string[]>();
  for (const [key, now] of changes) {
    const old = before.get(key);
    for (const args of [...gone(old, now), ...(now ? unanswered(old, now) : [])]) stale.set(args.join(' '), args);
  }
  return [...stale.values()];
}

function gone(old: ServicePort | undefined, now: ServicePort | undefined): string[][] {
  if (old?.protocol !== 'UDP') return [];
  return doorsOf(old).flatMap(({ match, endpoints }) => {
    const left = new Set(
      (now ? doorsOf(now) : []).find((door) => door.match.join() === match.join())?.endpoints.map(text),
    );
    return endpoints
      .filter((endpoint) => !left.has(text(endpoint)))
      .map(({ address }) => ['-D', ...family(old), '-p', 'udp', ...match, '--dst-nat', address]);
  });
}

function unanswered(old: ServicePort | undefined, now: ServicePort): string[][] {
  if (now.protocol !== 'UDP') return [];
  const served = new Set(
    (old ? doorsOf(old) : []).filter(({ endpoints }) => endpoints.length > 0).map(({ match }) => match.join()),
  );
  return doorsOf(now)
    .filter(({ match, endpoints }) => endpoints.length > 0 && !served.has(match.join()))
    .map(({ match }) => ['-D', ...family(now), '-p', 'udp', ...match]);
}

const text = ({ address, port }: Endpoint): string => `${address} ${port}`;
const family = (port: ServicePort): string[] => (port.family === 6 ? ['-f', 'ipv6'] : []);

function doorsOf(port: ServicePort): { match: string[]; endpoints: readonly Endpoint[] }[] {
  const at = (address: string) => ['--orig-dst', address, '--dport', String(port.port)];
  const external = externalEndpoints(port);
  return [
    { match: at(port.clusterIP), endpoints: internalEndpoints(port) },
    ...[...port.externalIPs, ...port.loadBalancerIPs].map((ip) => ({ match: at(ip), endpoints: external })),
    ...(port.nodePort ? [{ match: ['--dport', String(port.nodePort)], endpoints: external }] : []),
  ];
}

/** Never fails: a flow that stays runs out by itself. */
export async function forget(flows: readonly string[][], run: Run, log: Logger): Promise<void> {
  for (const args of flows)
    await run('conntrack', args).catch((err: Error) => {
      if (!/0 flow entries/.test(err.message)) log.warn({ err }, 'stale UDP flows could not be forgotten');
    });
}
