import { isIP } from 'node:net';

/** The addresses of a node, its own first: those that were given, or that of the agent. Throws an Error in words. */
export function nodeIps(given: readonly string[], agentIp: string): readonly [string, ...string[]] {
  const [first = agentIp, ...others] = given;
  const isOneOfEach = others.length === 0 || (others.length === 1 && isIP(others[0]!) + isIP(first) === 4 + 6);
  if (given.every((ip) => isIP(ip) !== 0) && isOneOfEach) return [first, ...others];
  throw new Error(`--node-ip: expected one IP address, or one of each family, got "${given.join(',')}"`);
}
