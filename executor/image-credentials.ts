import type { Secret } from '../api/kinds/secret.ts';
import type { Credential } from './runtime.ts';

interface Login {
  username?: string;
  password?: string;
  auth?: string;
}

/**
 * What the pull secrets of a pod say about an image, the most exact first. A secret that is none of the two kinds of Docker's
 * file, or cannot be read, has nothing to say.
 */
export function credentialsFor(image: string, secrets: readonly Secret[]): Credential[] {
  const place = placeOf(image);
  return secrets
    .flatMap((secret) => Object.entries(loginsIn(secret)))
    .map(([registry, login]) => ({ pattern: patternOf(registry), login }))
    .filter(({ pattern }) => matches(pattern, place))
    .sort((a, b) => b.pattern.length - a.pattern.length)
    .flatMap(({ login }) => credentialOf(login) ?? []);
}

function loginsIn({ type, data = {} }: Secret): Record<string, Login> {
  const [key, inside] = type === 'kubernetes.io/dockerconfigjson' ? ['.dockerconfigjson', true] : ['.dockercfg', false];
  try {
    const file = JSON.parse(Buffer.from(data[key] ?? '', 'base64').toString('utf8')) as Record<string, unknown>;
    return ((inside ? file.auths : file) ?? {}) as Record<string, Login>;
  } catch {
    return {};
  }
}

/** `index.docker.io/library/nginx`: what has no registry is Docker's. */
function placeOf(image: string): string {
  const [first = ''] = image.split('/');
  const named = image.includes('/') && (/[.:]/.test(first) || first === 'localhost');
  const full = named ? image.replace(/^docker\.io\//, 'index.docker.io/') : `index.docker.io/${image}`;
  return full.replace(/@.*$/, '').replace(/:[^/:]*$/, '');
}

/** `https://index.docker.io/v1/` → `index.docker.io`. */
const patternOf = (registry: string): string =>
  registry
    .replace(/^https?:\/\//, '')
    .replace(/\/v[12]\/?$/, '')
    .replace(/\/$/, '')
    .replace(/^docker\.io(\/|$)/, 'index.docker.io$1');

/** Host part by part, each of which may hold `*`; below it the path by whole segments. */
function matches(pattern: string, place: string): boolean {
  const [host = '', ...path] = pattern.split('/');
  const [ownHost = '', ...ownPath] = place.split('/');
  const [name, port] = host.split(':');
  const [ownName, ownPort] = ownHost.split(':');
  const [parts, ownParts] = [name!.split('.'), ownName!.split('.')];
  return (
    port === ownPort &&
    parts.length === ownParts.length &&
    parts.every((part, i) => wildcard(part).test(ownParts[i]!)) &&
    path.every((segment, i) => segment === ownPath[i])
  );
}

const wildcard = (part: string): RegExp =>
  new RegExp(`^${part.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replaceAll('*', '[^.]*')}$`);

function credentialOf({ username, password, auth }: Login): Credential | undefined {
  if (username !== undefined && password !== undefined) return { username, password };
  const [name, ...rest] = Buffer.from(auth ?? '', 'base64')
    .toString('utf8')
    .split(':');
  return name && rest.length > 0 ? { username: name, password: rest.join(':') } : undefined;
}
