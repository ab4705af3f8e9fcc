import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { parse } from 'yaml';
import type { ClientOptions } from './client.ts';

interface Kubeconfig {
  'current-context'?: string;
  contexts?: { name: string; context: { cluster: string; user: string; namespace?: string } }[];
  clusters?: { name: string; cluster: Record<string, unknown> }[];
  users?: { name: string; user: Record<string, unknown> }[];
}

/** What a kubeconfig file's current context (or the named one) says. Throws an Error that names the file and what is missing. */
export function readKubeconfig(path: string, contextName?: string): ClientOptions {
  let config: Kubeconfig;
  try {
    config = (parse(readFileSync(path, 'utf8')) ?? {}) as Kubeconfig;
  } catch (error) {
    throw new Error(`cannot read the kubeconfig ${path}: ${(error as Error).message}`, { cause: error });
  }
  const name = contextName ?? config['current-context'];
  const context = config.contexts?.find((c) => c.name === name)?.context;
  if (!context) throw new Error(`kubeconfig ${path} has no context "${name ?? ''}"`);
  const cluster = config.clusters?.find((c) => c.name === context.cluster)?.cluster;
  if (typeof cluster?.server !== 'string')
    throw new Error(`kubeconfig ${path} has no server for the cluster "${context.cluster}"`);
  const user = config.users?.find((u) => u.name === context.user)?.user ?? {};
  const pem = (from: Record<string, unknown>, field: string) => pemOf(from, field, dirname(path));
  return {
    server: cluster.server,
    ca: pem(cluster, 'certificate-authority'),
    cert: pem(user, 'client-certificate'),
    key: pem(user, 'client-key'),
    token: typeof user.token === 'string' ? user.token : undefined,
    tokenFile: typeof user.tokenFile === 'string' ? resolve(dirname(path), user.tokenFile) : undefined,
    insecure: cluster['insecure-skip-tls-verify'] === true,
  };
}

/** `<field>-data` in base64, or the file that `<field>` names, relative to the kubeconfig. */
function pemOf(from: Record<string, unknown>, field: string, directory: string): string | undefined {
  const data = from[`${field}-data`];
  if (typeof data === 'string') return Buffer.from(data, 'base64').toString('utf8');
  const file = from[field];
  return typeof file === 'string' ? readFileSync(resolve(directory, file), 'utf8') : undefined;
}
