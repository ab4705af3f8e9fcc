import type { Environment } from '@marcbachmann/cel-js';
import { define, defineType } from './define.ts';

const type = 'kubernetes.URL';

/** https://kubernetes.io/docs/reference/using-api/cel/#kubernetes-url-library */
export function urls(environment: Environment): void {
  defineType(environment, type, Url, (a, b) => a.text === b.text);
  define(environment, {
    'isURL(string): bool': (text: string) => problemOf(text) === undefined,
    [`url(string): ${type}`]: (text: string) => new Url(text),
    [`${type}.getScheme(): string`]: ({ scheme }: Url) => scheme,
    [`${type}.getHost(): string`]: ({ host }: Url) => host,
    [`${type}.getHostname(): string`]: ({ host }: Url) => host.replace(port, '').replace(/^\[(.*)\]$/, '$1'),
    [`${type}.getPort(): string`]: ({ host }: Url) => port.exec(host)?.[1] ?? '',
    [`${type}.getEscapedPath(): string`]: ({ path }: Url) => escaped(path),
    [`${type}.getQuery(): map<string, list<string>>`]: ({ query }: Url) => {
      const given = new URLSearchParams(query);
      return Object.fromEntries([...new Set(given.keys())].map((name) => [name, given.getAll(name)]));
    },
  });
}

/** Scheme, authority, path and query: https://www.rfc-editor.org/rfc/rfc3986#appendix-B */
const parts = /^(?:([A-Za-z][A-Za-z0-9+.-]*):)?(?:\/\/([^/?#]*))?([^?#]*)(?:\?([^#]*))?/;
const port = /:(\d*)$/;
const hostForm = /^(?:\[[0-9A-Fa-f:.%]+\]|[^[\]:\s\\^`{|}]*)(?::\d*)?$/;

/** As Go reads one: the parts stay as they were written, and a default port is a port. */
class Url {
  readonly text: string;
  readonly scheme: string;
  readonly host: string;
  readonly path: string;
  readonly query: string;

  constructor(text: string) {
    const problem = problemOf(text);
    if (problem !== undefined)
      throw new Error(`URL parse error during conversion from string: parse ${JSON.stringify(text)}: ${problem}`);
    const [, scheme = '', authority = '', path = '', query = ''] = parts.exec(text)!;
    this.text = text;
    this.scheme = scheme.toLowerCase();
    this.host = authority.slice(authority.lastIndexOf('@') + 1);
    // What has a scheme and no slash after it has no path: `mailto:somebody`.
    this.path = scheme && !authority && !path.startsWith('/') ? '' : path;
    this.query = query;
  }
}

/** Undefined for an absolute URL and for an absolute path. */
function problemOf(text: string): string | undefined {
  if (text === '') return 'empty url';
  if (/[\u0000-\u001f\u007f]/.test(text)) return 'net/url: invalid control character in URL';
  if (text.startsWith(':')) return 'missing protocol scheme';
  const [, scheme, authority = '', path = ''] = parts.exec(text)!;
  if (!scheme && !text.startsWith('/') && text !== '*') return 'invalid URI for request';
  const bad = /%(?![0-9A-Fa-f]{2}).{0,2}/.exec(path);
  if (bad) return `invalid URL escape ${JSON.stringify(bad[0])}`;
  if (!hostForm.test(authority.slice(authority.lastIndexOf('@') + 1)))
    return `invalid host or port in ${JSON.stringify(authority)}`;
  return undefined;
}

/** A path that is escaped stays as it is. */
function escaped(path: string): string {
  if (/^(?:[A-Za-z0-9\-._~$&+,/:;=@!'()*[\]]|%[0-9A-Fa-f]{2})*$/.test(path)) return path;
  return decodeURIComponent(path)
    .split(/([A-Za-z0-9\-._~$&+,/:;=@]+)/)
    .map((part, i) => (i % 2 === 1 ? part : encodeURIComponent(part).replace(/[!'()*]/g, hex)))
    .join('');
}

const hex = (char: string): string => `%${char.charCodeAt(0).toString(16).toUpperCase()}`;
