import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, dirname, join, resolve } from 'node:path';
import { parse } from 'yaml';
import type { ClientOptions } from './client.ts';
import { type ExecConfig, execCredentials } from './exec-credential.ts';

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
  const exec = isExec(user.exec) ? user.exec : undefined;
  const pem = (from: Record<string, unknown>, field: string) => pemOf(from, field, dirname(path));
  const ca = pem(cluster, 'certificate-authority');
  const insecure = cluster['insecure-skip-tls-verify'] === true;
  const { server, 'tls-server-name': serverName } = cluster;
  const about = {
    server,
    ...(ca ? { 'certificate-authority-data': Buffer.from(ca).toString('base64') } : {}),
    ...(insecure ? { 'insecure-skip-tls-verify': true } : {}),
  };
  return {
    server,
    ca,
    cert: pem(user, 'client-certificate'),
    key: pem(user, 'client-key'),
    token: typeof user.token === 'string' ? user.token : undefined,
    tokenFile: typeof user.tokenFile === 'string' ? resolve(dirname(path), user.tokenFile) : undefined,
    insecure,
    serverName: typeof serverName === 'string' ? serverName : undefined,
    credentials: exec && execCredentials({ ...exec, command: commandOf(exec, dirname(path)) }, about),
  };
}

const isExec = (value: unknown): value is ExecConfig =>
  typeof value === 'object' && value !== null && 'command' in value && typeof value.command === 'string';

/** A path in it is meant from where the kubeconfig lies. */
const commandOf = ({ command }: ExecConfig, directory: string): string =>
  command.includes('/') ? resolve(directory, command) : command;

const accountDirectory = '/var/run/secrets/kubernetes.io/serviceaccount';

/** The apiserver as a pod of the cluster reaches it, as the pod's ServiceAccount; undefined outside of one. */
export function inCluster(env: Environment = process.env, directory = accountDirectory): ClientOptions | undefined {
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port } = env;
  const tokenFile = join(directory, 'token');
  if (!host || !port || !existsSync(tokenFile)) return undefined;
  const server = `https://${host.includes(':') ? `[${host}]` : host}:${port}`;
  return { server, ca: readFileSync(join(directory, 'ca.crt'), 'utf8'), tokenFile };
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Where kubectl would go: the first file of KUBECONFIG that there is, the pod's ServiceAccount, ~/.kube/config. Files are not merged.
 * Throws an Error that says where it looked.
 */
export function defaultOptions(env: Environment = process.env): ClientOptions {
  const named = (env['KUBECONFIG'] ?? '').split(delimiter).filter((path) => path !== '');
  const file = named.find((path) => existsSync(path));
  if (file) return readKubeconfig(file);
  const home = join(env['HOME'] ?? homedir(), '.kube/config');
  const found =
    named.length > 0 ? undefined : (inCluster(env) ?? (existsSync(home) ? readKubeconfig(home) : undefined));
  if (found) return found;
  throw new Error(
    named.length > 0
      ? `KUBECONFIG names no file that exists: ${named.join(', ')}`
      : `there is no apiserver to be found: KUBECONFIG is not set, this is no pod, and there is no ${home}`,
  );
}

/** `<field>-data` in base64, or the file that `<field>` names, relative to the kubeconfig. */
function pemOf(from: Record<string, unknown>, field: string, directory: string): string | undefined {
  const data = from[`${field}-data`];
  if (typeof data === 'string') return Buffer.from(data, 'base64').toString('utf8');
  const file = from[field];
  return typeof file === 'string' ? readFileSync(resolve(directory, file), 'utf8') : undefined;
}
