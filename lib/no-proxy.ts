/**
 * What HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY say about a URL, as curl, Go and Node read them:
 * https://pkg.go.dev/golang.org/x/net/http/httpproxy#Config
 */
import { BlockList, isIP } from 'node:net';

type Environment = Readonly<Record<string, string | undefined>>;

export interface ProxyUse {
  /** The proxy, without its password. */
  proxy: string;
  /** The variable that names it. */
  variable: string;
}

/** The entries of NO_PROXY. */
export const noProxyOf = (env: Environment): string[] =>
  (env.no_proxy ?? env.NO_PROXY ?? '')
    .split(/[,\s]+/)
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '');

/** The proxy that a program which honours the environment takes to the URL; undefined where it goes straight there. */
export function proxyFor(url: string, env: Environment): ProxyUse | undefined {
  const { protocol, hostname, port } = new URL(url);
  if (protocol !== 'http:' && protocol !== 'https:') return undefined;
  const names = [`${protocol.slice(0, -1)}_proxy`, 'all_proxy'].flatMap((name) => [name, name.toUpperCase()]);
  const variable = names.find((name) => env[name]);
  if (variable === undefined) return undefined;
  const host = hostname.replace(/^\[|\]$/g, '');
  const isExempt = isExcepted(host, Number(port) || (protocol === 'https:' ? 443 : 80), noProxyOf(env));
  return isExempt ? undefined : { proxy: withoutPassword(env[variable]!), variable };
}

/** Whether an entry names the host: `*`, a name and what is below it, `.suffix`, an address, a CIDR; each with `:port` or without. */
export function isExcepted(host: string, port: number, entries: readonly string[]): boolean {
  return entries.some((entry) => {
    if (entry === '*') return true;
    const { name, only } = portOf(entry.toLowerCase());
    if (only !== undefined && only !== port) return false;
    if (name.includes('/')) return isIn(host, name);
    if (isIP(name) || isIP(host)) return name === host;
    const suffix = name.replace(/^\*/, '');
    if (suffix.startsWith('.')) return host.toLowerCase().endsWith(suffix);
    return host.toLowerCase() === suffix || host.toLowerCase().endsWith(`.${suffix}`);
  });
}

function portOf(entry: string): { name: string; only: number | undefined } {
  if (isIP(entry)) return { name: entry, only: undefined };
  const match = /^\[?(.+?)\]?:(\d+)$/.exec(entry);
  return match ? { name: match[1]!, only: Number(match[2]) } : { name: entry.replace(/^\[|\]$/g, ''), only: undefined };
}

function isIn(host: string, cidr: string): boolean {
  const [network = '', prefix = ''] = cidr.split('/');
  const family = isIP(network);
  const bits = Number(prefix);
  if (family === 0 || family !== isIP(host) || !/^\d+$/.test(prefix) || bits > (family === 4 ? 32 : 128)) return false;
  const type = family === 4 ? 'ipv4' : 'ipv6';
  const list = new BlockList();
  list.addSubnet(network, bits, type);
  return list.check(host, type);
}

const withoutPassword = (proxy: string): string => proxy.replace(/\/\/[^/@]*@/, '//…@');
