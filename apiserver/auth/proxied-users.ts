import type { X509Certificate } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import type { TLSSocket } from 'node:tls';
import { authenticated, type User } from './user.ts';
import { readCertificates } from '../../lib/read-certificates.ts';
import { clientCertificate, commonNameOf, isSignedBy } from './certificates.ts';

export interface ProxyOptions {
  /** PEM of whoever signs the proxies' certificates. */
  ca: string | Buffer;
  /** Common names of proxies; none means every one that the CA signed. */
  allowedNames: readonly string[];
  userHeaders: readonly string[];
  uidHeaders: readonly string[];
  groupHeaders: readonly string[];
  extraPrefixes: readonly string[];
}

/** Users whom an authenticating proxy names in headers; only a proxy with the right certificate is believed. */
export class ProxiedUsers {
  readonly #options: ProxyOptions;
  readonly #authorities: readonly X509Certificate[];
  readonly #trusted = new WeakMap<object, boolean>();

  constructor(options: ProxyOptions) {
    this.#options = options;
    this.#authorities = readCertificates(options.ca);
  }

  identify(headers: IncomingHttpHeaders, socket: TLSSocket): User | undefined {
    const name = firstOf(headers, this.#options.userHeaders);
    if (!name || !this.#trusts(socket)) return undefined;
    const uid = firstOf(headers, this.#options.uidHeaders);
    const groups = this.#options.groupHeaders.flatMap((header) => listOf(headers[header.toLowerCase()]));
    const extra = this.#extra(headers);
    return authenticated({ name, ...(uid ? { uid } : {}), groups, ...(extra ? { extra } : {}) });
  }

  #trusts(socket: TLSSocket): boolean {
    const known = this.#trusted.get(socket);
    if (known !== undefined) return known;
    const certificate = clientCertificate(socket);
    const { allowedNames } = this.#options;
    const trusted =
      certificate !== undefined &&
      isSignedBy(certificate, this.#authorities) &&
      (allowedNames.length === 0 || allowedNames.includes(commonNameOf(certificate) ?? ''));
    this.#trusted.set(socket, trusted);
    return trusted;
  }

  #extra(headers: IncomingHttpHeaders): Record<string, string[]> | undefined {
    const extra: Record<string, string[]> = {};
    for (const [header, value] of Object.entries(headers)) {
      const prefix = this.#options.extraPrefixes.find((one) => header.startsWith(one.toLowerCase()));
      if (prefix !== undefined) extra[decodeHeaderKey(header.slice(prefix.length))] = listOf(value);
    }
    return Object.keys(extra).length > 0 ? extra : undefined;
  }
}

/** Node joins the lines of one header with a comma. */
const listOf = (value: string | string[] | undefined): string[] =>
  (Array.isArray(value) ? value : (value?.split(',') ?? [])).map((one) => one.trim()).filter(Boolean);

const firstOf = (headers: IncomingHttpHeaders, names: readonly string[]): string | undefined =>
  names.map((name) => String(headers[name.toLowerCase()] ?? '')).find(Boolean);

/** Keys in header names are percent-encoded where a header cannot hold them. */
export function decodeHeaderKey(key: string): string {
  try {
    return decodeURIComponent(key);
  } catch (error) {
    if (error instanceof URIError) return key;
    throw error;
  }
}
